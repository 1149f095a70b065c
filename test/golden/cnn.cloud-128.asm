.routine "main" control
  io what=text external=5568 bytes=1856                                  ; 0000
  estimate routine=1                                                     ; 0010
  halt                                                                   ; 0020

.routine "forward" gradient
  call routine=2                                                         ; 0030
  call routine=3                                                         ; 0040
  call routine=4                                                         ; 0050
  ret                                                                    ; 0060

.routine "0.conv1" basic kernel=0
  dim space=p0 index=0 extent=4 limit=4                                  ; 0070
  buf id=b0 memory=external base=5504 slotBytes=64                       ; 0080
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute dense=1           ; 0090
  buf id=b1 memory=cache base=1344 slotBytes=64                          ; 00a0
  agu id=a1 space=p0 buffer=b1 dtype=f32 dense=1                         ; 00b0
  dim space=p1 index=0 extent=2 limit=2                                  ; 00c0
  dim space=p1 index=1 extent=12 limit=12                                ; 00d0
  dim space=p1 index=2 extent=12 limit=12                                ; 00e0
  buf id=b2 memory=external base=4032 slotBytes=1152                     ; 00f0
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute stride=576 dense=3 ; 0100
  stride id=a2 index=0 s0=576 s1=48 s2=4                                 ; 0110
  buf id=b3 memory=cache base=0 slotBytes=1152                           ; 0120
  agu id=a3 space=p1 buffer=b3 dtype=f32 stride=576 dense=3              ; 0130
  stride id=a3 index=0 s0=576 s1=48 s2=4                                 ; 0140
  dim space=p2 index=0 extent=4 limit=4                                  ; 0150
  dim space=p2 index=1 extent=3 limit=3                                  ; 0160
  dim space=p2 index=2 extent=3 limit=3                                  ; 0170
  buf id=b4 memory=external base=5184 slotBytes=192                      ; 0180
  agu id=a4 space=p2 buffer=b4 dtype=f32 mode=absolute stride=36 dense=3 ; 0190
  stride id=a4 index=0 s0=36 s1=12 s2=4                                  ; 01a0
  buf id=b5 memory=cache base=1152 slotBytes=192                         ; 01b0
  agu id=a5 space=p2 buffer=b5 dtype=f32 stride=36 dense=3               ; 01c0
  stride id=a5 index=0 s0=36 s1=12 s2=4                                  ; 01d0
  dim space=p3 index=0 extent=2 limit=2                                  ; 01e0
  dim space=p3 index=1 extent=10 limit=10                                ; 01f0
  dim space=p3 index=2 extent=10 limit=10                                ; 0200
  dim space=p3 index=3 extent=4 limit=4                                  ; 0210
  dim space=p3 index=4 extent=3 limit=3                                  ; 0220
  dim space=p3 index=5 extent=3 limit=3                                  ; 0230
  agu id=a6 space=p3 buffer=b3 dtype=f32 stride=576 dense=6              ; 0240
  stride id=a6 index=0 s0=576 s1=48 s2=4                                 ; 0250
  stride id=a6 index=3 s0=0 s1=48 s2=4                                   ; 0260
  agu id=a7 space=p3 buffer=b5 dtype=f32 stride=36 along=3 dense=6       ; 0270
  stride id=a7 index=3 s0=36 s1=12 s2=4                                  ; 0280
  buf id=b6 memory=cache base=1408 slotBytes=3200                        ; 0290
  agu id=a8 space=p3 buffer=b6 dtype=f32 stride=1600 dense=4             ; 02a0
  stride id=a8 index=0 s0=1600 s1=160 s2=16                              ; 02b0
  dim space=p4 index=0 extent=2 limit=2                                  ; 02c0
  dim space=p4 index=1 extent=10 limit=10                                ; 02d0
  dim space=p4 index=2 extent=10 limit=10                                ; 02e0
  dim space=p4 index=3 extent=4 limit=4                                  ; 02f0
  agu id=a9 space=p4 buffer=b1 dtype=f32 dense=4                         ; 0300
  agu id=a10 space=p4 buffer=b6 dtype=f32 stride=1600 dense=4            ; 0310
  stride id=a10 index=0 s0=1600 s1=160 s2=16                             ; 0320
  buf id=b7 memory=cache base=33550400 slotBytes=3200                    ; 0330
  agu id=a11 space=p4 buffer=b7 dtype=f32 mode=absolute stride=1600 dense=4 ; 0340
  stride id=a11 index=0 s0=1600 s1=160 s2=16                             ; 0350
  ld target=a1 source=a0                                                 ; 0360
  ld target=a3 source=a2                                                 ; 0370
  ld target=a5 source=a4                                                 ; 0380
  vec target=a8 streams=2 s0=a6 s1=a7 stages=1 reduction=sum reduced=2   ; 0390
    vop operation=mul a=stream0 b=stream1 operands=f32 dtype=f32         ; 03a0
  vec target=a11 streams=2 s0=a9 s1=a10 stages=2                         ; 03b0
    vop operation=add a=stream1 operands=f32 dtype=f32                   ; 03c0
    vop operation=max a=stage0 b=immediate operands=f32 dtype=f32        ; 03d0
  ret                                                                    ; 03e0

.routine "1.pool1" basic kernel=1
  dim space=p0 index=0 extent=1 limit=2 step=1                           ; 03f0
  dim space=p0 index=1 extent=5 limit=5                                  ; 0400
  dim space=p0 index=2 extent=5 limit=5                                  ; 0410
  dim space=p0 index=3 extent=4 limit=4                                  ; 0420
  dim space=p0 index=4 extent=2 limit=2                                  ; 0430
  dim space=p0 index=5 extent=2 limit=2                                  ; 0440
  buf id=b0 memory=cache base=33550400 slotBytes=3200                    ; 0450
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=1600 dense=4 ; 0460
  stride id=a0 index=0 s0=1600 s1=320 s2=32                              ; 0470
  stride id=a0 index=3 s0=4 s1=160 s2=16                                 ; 0480
  buf id=b1 memory=cache slots=2 base=32504960 slotBytes=448             ; 0490
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=400 dense=4 factor=1     ; 04a0
  stride id=a1 index=0 s0=400 s1=80 s2=16                                ; 04b0
  dim space=p1 index=0 extent=1 limit=2 step=1                           ; 04c0
  dim space=p1 index=1 extent=5 limit=5                                  ; 04d0
  dim space=p1 index=2 extent=5 limit=5                                  ; 04e0
  dim space=p1 index=3 extent=4 limit=4                                  ; 04f0
  agu id=a2 space=p1 buffer=b1 dtype=f32 stride=80 along=1 dense=4 factor=1 ; 0500
  stride id=a2 index=0 s0=0 s1=80 s2=16                                  ; 0510
  buf id=b2 memory=cache base=33553600 slotBytes=832                     ; 0520
  agu id=a3 space=p1 buffer=b2 dtype=f32 mode=absolute stride=400 dense=4 ; 0530
  stride id=a3 index=0 s0=400 s1=80 s2=16                                ; 0540
  loop level=i0 count=2                                                  ; 0550
    vec target=a1 streams=1 reduction=max reduced=2                      ; 0560
    st target=a3 source=a2                                               ; 0570
  endloop level=i0                                                       ; 0580
  ret                                                                    ; 0590

.routine "2.fc" basic kernel=2
  dim space=p0 index=0 extent=100 limit=100                              ; 05a0
  dim space=p0 index=1 extent=10 limit=10                                ; 05b0
  buf id=b0 memory=external base=0 slotBytes=4032                        ; 05c0
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=40 dense=2 ; 05d0
  buf id=b1 memory=cache base=0 slotBytes=4032                           ; 05e0
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=40 dense=2               ; 05f0
  dim space=p1 index=0 extent=1 limit=2 step=1                           ; 0600
  dim space=p1 index=1 extent=10 limit=10                                ; 0610
  dim space=p1 index=2 extent=100 limit=100                              ; 0620
  buf id=b2 memory=cache base=33553600 slotBytes=832                     ; 0630
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute stride=400 dense=3 ; 0640
  agu id=a3 space=p1 buffer=b1 dtype=f32 stride=40 along=2 dense=2       ; 0650
  buf id=b3 memory=cache slots=2 base=4032 slotBytes=64                  ; 0660
  agu id=a4 space=p1 buffer=b3 dtype=f32 stride=40 dense=2 factor=1      ; 0670
  dim space=p2 index=0 extent=1 limit=2 step=1                           ; 0680
  dim space=p2 index=1 extent=10 limit=10                                ; 0690
  agu id=a5 space=p2 buffer=b3 dtype=f32 dense=2 factor=1                ; 06a0
  buf id=b4 memory=external base=5376 slotBytes=128                      ; 06b0
  agu id=a6 space=p2 buffer=b4 dtype=f32 mode=absolute stride=40 dense=2 ; 06c0
  loop level=i0 count=2                                                  ; 06d0
    ld target=a1 source=a0 first=0b0001                                  ; 06e0
    vec target=a4 streams=2 s0=a2 s1=a3 stages=1 reduction=sum reduced=1 ; 06f0
      vop operation=mul a=stream0 b=stream1 operands=f32 dtype=f32       ; 0700
    st target=a6 source=a5                                               ; 0710
  endloop level=i0                                                       ; 0720
  ret                                                                    ; 0730
