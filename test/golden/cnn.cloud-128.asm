.routine "main" control
  io what=text external=5568 bytes=1936                                  ; 0000
  estimate routine=1                                                     ; 0010
  halt                                                                   ; 0020

.routine "forward" gradient
  call routine=2                                                         ; 0030
  call routine=3                                                         ; 0040
  call routine=4                                                         ; 0050
  call routine=5                                                         ; 0060
  ret                                                                    ; 0070

.routine "fetch.f" basic kernel=0
  dim space=p0 index=0 extent=1000 limit=1000                            ; 0080
  buf id=b0 memory=cache base=33546368 slotBytes=4032                    ; 0090
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute dense=1           ; 00a0
  buf id=b1 memory=external base=0 slotBytes=4032                        ; 00b0
  agu id=a1 space=p0 buffer=b1 dtype=f32 mode=absolute dense=1           ; 00c0
  ld target=a0 source=a1                                                 ; 00d0
  ret                                                                    ; 00e0

.routine "0.conv1" basic kernel=1
  dim space=p0 index=0 extent=4 limit=4                                  ; 00f0
  buf id=b0 memory=external base=5504 slotBytes=64                       ; 0100
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute dense=1           ; 0110
  buf id=b1 memory=cache base=1344 slotBytes=64                          ; 0120
  agu id=a1 space=p0 buffer=b1 dtype=f32 dense=1                         ; 0130
  dim space=p1 index=0 extent=2 limit=2                                  ; 0140
  dim space=p1 index=1 extent=12 limit=12                                ; 0150
  dim space=p1 index=2 extent=12 limit=12                                ; 0160
  buf id=b2 memory=external base=4032 slotBytes=1152                     ; 0170
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute stride=576 dense=3 ; 0180
  stride id=a2 index=0 s0=576 s1=48 s2=4                                 ; 0190
  buf id=b3 memory=cache base=0 slotBytes=1152                           ; 01a0
  agu id=a3 space=p1 buffer=b3 dtype=f32 stride=576 dense=3              ; 01b0
  stride id=a3 index=0 s0=576 s1=48 s2=4                                 ; 01c0
  dim space=p2 index=0 extent=4 limit=4                                  ; 01d0
  dim space=p2 index=1 extent=3 limit=3                                  ; 01e0
  dim space=p2 index=2 extent=3 limit=3                                  ; 01f0
  buf id=b4 memory=external base=5184 slotBytes=192                      ; 0200
  agu id=a4 space=p2 buffer=b4 dtype=f32 mode=absolute stride=36 dense=3 ; 0210
  stride id=a4 index=0 s0=36 s1=12 s2=4                                  ; 0220
  buf id=b5 memory=cache base=1152 slotBytes=192                         ; 0230
  agu id=a5 space=p2 buffer=b5 dtype=f32 stride=36 dense=3               ; 0240
  stride id=a5 index=0 s0=36 s1=12 s2=4                                  ; 0250
  dim space=p3 index=0 extent=2 limit=2                                  ; 0260
  dim space=p3 index=1 extent=10 limit=10                                ; 0270
  dim space=p3 index=2 extent=10 limit=10                                ; 0280
  dim space=p3 index=3 extent=4 limit=4                                  ; 0290
  dim space=p3 index=4 extent=3 limit=3                                  ; 02a0
  dim space=p3 index=5 extent=3 limit=3                                  ; 02b0
  agu id=a6 space=p3 buffer=b3 dtype=f32 stride=576 dense=6              ; 02c0
  stride id=a6 index=0 s0=576 s1=48 s2=4                                 ; 02d0
  stride id=a6 index=3 s0=0 s1=48 s2=4                                   ; 02e0
  agu id=a7 space=p3 buffer=b5 dtype=f32 stride=36 along=3 dense=6       ; 02f0
  stride id=a7 index=3 s0=36 s1=12 s2=4                                  ; 0300
  buf id=b6 memory=cache base=1408 slotBytes=3200                        ; 0310
  agu id=a8 space=p3 buffer=b6 dtype=f32 stride=1600 dense=4             ; 0320
  stride id=a8 index=0 s0=1600 s1=160 s2=16                              ; 0330
  dim space=p4 index=0 extent=2 limit=2                                  ; 0340
  dim space=p4 index=1 extent=10 limit=10                                ; 0350
  dim space=p4 index=2 extent=10 limit=10                                ; 0360
  dim space=p4 index=3 extent=4 limit=4                                  ; 0370
  agu id=a9 space=p4 buffer=b1 dtype=f32 dense=4                         ; 0380
  agu id=a10 space=p4 buffer=b6 dtype=f32 stride=1600 dense=4            ; 0390
  stride id=a10 index=0 s0=1600 s1=160 s2=16                             ; 03a0
  buf id=b7 memory=cache base=33550400 slotBytes=3200                    ; 03b0
  agu id=a11 space=p4 buffer=b7 dtype=f32 mode=absolute stride=1600 dense=4 ; 03c0
  stride id=a11 index=0 s0=1600 s1=160 s2=16                             ; 03d0
  ld target=a1 source=a0                                                 ; 03e0
  ld target=a3 source=a2                                                 ; 03f0
  ld target=a5 source=a4                                                 ; 0400
  vec target=a8 streams=2 s0=a6 s1=a7 stages=1 reduction=sum reduced=2   ; 0410
    vop operation=mul a=stream0 b=stream1 operands=f32 dtype=f32         ; 0420
  vec target=a11 streams=2 s0=a9 s1=a10 stages=2                         ; 0430
    vop operation=add a=stream1 operands=f32 dtype=f32                   ; 0440
    vop operation=max a=stage0 b=immediate operands=f32 dtype=f32        ; 0450
  ret                                                                    ; 0460

.routine "1.pool1" basic kernel=2
  dim space=p0 index=0 extent=1 limit=2 step=1                           ; 0470
  dim space=p0 index=1 extent=5 limit=5                                  ; 0480
  dim space=p0 index=2 extent=5 limit=5                                  ; 0490
  dim space=p0 index=3 extent=4 limit=4                                  ; 04a0
  dim space=p0 index=4 extent=2 limit=2                                  ; 04b0
  dim space=p0 index=5 extent=2 limit=2                                  ; 04c0
  buf id=b0 memory=cache base=33550400 slotBytes=3200                    ; 04d0
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=1600 dense=4 ; 04e0
  stride id=a0 index=0 s0=1600 s1=320 s2=32                              ; 04f0
  stride id=a0 index=3 s0=4 s1=160 s2=16                                 ; 0500
  buf id=b1 memory=cache slots=2 base=32504960 slotBytes=448             ; 0510
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=400 dense=4 factor=1     ; 0520
  stride id=a1 index=0 s0=400 s1=80 s2=16                                ; 0530
  dim space=p1 index=0 extent=1 limit=2 step=1                           ; 0540
  dim space=p1 index=1 extent=5 limit=5                                  ; 0550
  dim space=p1 index=2 extent=5 limit=5                                  ; 0560
  dim space=p1 index=3 extent=4 limit=4                                  ; 0570
  agu id=a2 space=p1 buffer=b1 dtype=f32 stride=80 along=1 dense=4 factor=1 ; 0580
  stride id=a2 index=0 s0=0 s1=80 s2=16                                  ; 0590
  buf id=b2 memory=cache base=33553600 slotBytes=832                     ; 05a0
  agu id=a3 space=p1 buffer=b2 dtype=f32 mode=absolute stride=400 dense=4 ; 05b0
  stride id=a3 index=0 s0=400 s1=80 s2=16                                ; 05c0
  loop level=i0 count=2                                                  ; 05d0
    vec target=a1 streams=1 reduction=max reduced=2                      ; 05e0
    st target=a3 source=a2                                               ; 05f0
  endloop level=i0                                                       ; 0600
  ret                                                                    ; 0610

.routine "2.fc" basic kernel=3
  dim space=p0 index=0 extent=2 limit=2                                  ; 0620
  dim space=p0 index=1 extent=10 limit=10                                ; 0630
  dim space=p0 index=2 extent=64 limit=100 step=64                       ; 0640
  buf id=b0 memory=cache base=33553600 slotBytes=832                     ; 0650
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=400 dense=3 ; 0660
  buf id=b1 memory=cache base=33546368 slotBytes=4032                    ; 0670
  agu id=a1 space=p0 buffer=b1 dtype=f32 mode=absolute stride=40 along=2 dense=2 ; 0680
  buf id=b2 memory=cache base=0 slotBytes=128                            ; 0690
  agu id=a2 space=p0 buffer=b2 dtype=f32 stride=40 dense=2               ; 06a0
  dim space=p1 index=0 extent=2 limit=2                                  ; 06b0
  dim space=p1 index=1 extent=10 limit=10                                ; 06c0
  agu id=a3 space=p1 buffer=b2 dtype=f32 stride=40 dense=2               ; 06d0
  buf id=b3 memory=cache base=128 slotBytes=128                          ; 06e0
  agu id=a4 space=p1 buffer=b3 dtype=f32 stride=40 dense=2               ; 06f0
  buf id=b4 memory=external base=5376 slotBytes=128                      ; 0700
  agu id=a5 space=p1 buffer=b4 dtype=f32 mode=absolute stride=40 dense=2 ; 0710
  loop level=i0 count=2                                                  ; 0720
    vec target=a2 streams=2 s1=a1 stages=1 reduction=sum reduced=1 start=0b0001 ; 0730
      vop operation=mul a=stream0 b=stream1 operands=f32 dtype=f32       ; 0740
  endloop level=i0                                                       ; 0750
  vec target=a4 streams=1 s0=a3                                          ; 0760
  st target=a5 source=a4                                                 ; 0770
  ret                                                                    ; 0780
