.routine "main" control
  io what=text external=9600 bytes=2112                                  ; 0000
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
  buf id=b6 memory=cache base=4608 slotBytes=3200                        ; 01e0
  dim space=p3 index=0 extent=2 limit=2                                  ; 01f0
  dim space=p3 index=1 extent=10 limit=10                                ; 0200
  dim space=p3 index=2 extent=10 limit=10                                ; 0210
  dim space=p3 index=3 extent=4 limit=4                                  ; 0220
  agu id=a6 space=p3 buffer=b6 dtype=f32 stride=1600 dense=4             ; 0230
  stride id=a6 index=0 s0=1600 s1=160 s2=16                              ; 0240
  buf id=b7 memory=external base=5568 slotBytes=3200                     ; 0250
  agu id=a7 space=p3 buffer=b7 dtype=f32 mode=absolute stride=1600 dense=4 ; 0260
  stride id=a7 index=0 s0=1600 s1=160 s2=16                              ; 0270
  buf id=b8 memory=cache base=1408 slotBytes=3200                        ; 0280
  dim space=p4 index=0 extent=2 limit=2                                  ; 0290
  dim space=p4 index=1 extent=10 limit=10                                ; 02a0
  dim space=p4 index=2 extent=10 limit=10                                ; 02b0
  dim space=p4 index=3 extent=4 limit=4                                  ; 02c0
  dim space=p4 index=4 extent=3 limit=3                                  ; 02d0
  dim space=p4 index=5 extent=3 limit=3                                  ; 02e0
  agu id=a8 space=p4 buffer=b3 dtype=f32 stride=576 dense=6              ; 02f0
  stride id=a8 index=0 s0=576 s1=48 s2=4                                 ; 0300
  stride id=a8 index=3 s0=0 s1=48 s2=4                                   ; 0310
  agu id=a9 space=p4 buffer=b5 dtype=f32 stride=36 along=3 dense=6       ; 0320
  stride id=a9 index=3 s0=36 s1=12 s2=4                                  ; 0330
  agu id=a10 space=p4 buffer=b8 dtype=f32 stride=1600 dense=4            ; 0340
  stride id=a10 index=0 s0=1600 s1=160 s2=16                             ; 0350
  agu id=a11 space=p3 buffer=b1 dtype=f32 dense=4                        ; 0360
  agu id=a12 space=p3 buffer=b8 dtype=f32 stride=1600 dense=4            ; 0370
  stride id=a12 index=0 s0=1600 s1=160 s2=16                             ; 0380
  ld target=a1 source=a0                                                 ; 0390
  ld target=a3 source=a2                                                 ; 03a0
  ld target=a5 source=a4                                                 ; 03b0
  vec target=a10 streams=2 s0=a8 s1=a9 stages=1 reduction=sum reduced=2  ; 03c0
    vop operation=mul a=stream0 b=stream1 operands=f32 dtype=f32         ; 03d0
  vec target=a6 streams=2 s0=a11 s1=a12 stages=2                         ; 03e0
    vop operation=add a=stream1 operands=f32 dtype=f32                   ; 03f0
    vop operation=max a=stage0 b=immediate operands=f32 dtype=f32        ; 0400
  st target=a7 source=a6                                                 ; 0410
  ret                                                                    ; 0420

.routine "1.pool1" basic kernel=1
  dim space=p0 index=0 extent=2 limit=2                                  ; 0430
  dim space=p0 index=1 extent=10 limit=10                                ; 0440
  dim space=p0 index=2 extent=10 limit=10                                ; 0450
  dim space=p0 index=3 extent=4 limit=4                                  ; 0460
  buf id=b0 memory=external base=5568 slotBytes=3200                     ; 0470
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=1600 dense=4 ; 0480
  stride id=a0 index=0 s0=1600 s1=160 s2=16                              ; 0490
  buf id=b1 memory=cache base=33551232 slotBytes=3200                    ; 04a0
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=1600 dense=4             ; 04b0
  stride id=a1 index=0 s0=1600 s1=160 s2=16                              ; 04c0
  buf id=b2 memory=cache base=33550400 slotBytes=832                     ; 04d0
  dim space=p1 index=0 extent=2 limit=2                                  ; 04e0
  dim space=p1 index=1 extent=5 limit=5                                  ; 04f0
  dim space=p1 index=2 extent=5 limit=5                                  ; 0500
  dim space=p1 index=3 extent=4 limit=4                                  ; 0510
  agu id=a2 space=p1 buffer=b2 dtype=f32 stride=400 dense=4              ; 0520
  stride id=a2 index=0 s0=400 s1=80 s2=16                                ; 0530
  buf id=b3 memory=external base=8768 slotBytes=832                      ; 0540
  agu id=a3 space=p1 buffer=b3 dtype=f32 mode=absolute stride=400 dense=4 ; 0550
  stride id=a3 index=0 s0=400 s1=80 s2=16                                ; 0560
  dim space=p2 index=0 extent=2 limit=2                                  ; 0570
  dim space=p2 index=1 extent=5 limit=5                                  ; 0580
  dim space=p2 index=2 extent=5 limit=5                                  ; 0590
  dim space=p2 index=3 extent=4 limit=4                                  ; 05a0
  dim space=p2 index=4 extent=2 limit=2                                  ; 05b0
  dim space=p2 index=5 extent=2 limit=2                                  ; 05c0
  agu id=a4 space=p2 buffer=b1 dtype=f32 stride=1600 dense=4             ; 05d0
  stride id=a4 index=0 s0=1600 s1=320 s2=32                              ; 05e0
  stride id=a4 index=3 s0=4 s1=160 s2=16                                 ; 05f0
  agu id=a5 space=p2 buffer=b2 dtype=f32 stride=400 dense=4              ; 0600
  stride id=a5 index=0 s0=400 s1=80 s2=16                                ; 0610
  ld target=a1 source=a0                                                 ; 0620
  vec target=a5 streams=1 s0=a4 reduction=max reduced=2                  ; 0630
  st target=a3 source=a2                                                 ; 0640
  ret                                                                    ; 0650

.routine "2.fc" basic kernel=2
  dim space=p0 index=0 extent=2 limit=2                                  ; 0660
  dim space=p0 index=1 extent=100 limit=100                              ; 0670
  buf id=b0 memory=external base=8768 slotBytes=832                      ; 0680
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=400 dense=2 ; 0690
  buf id=b1 memory=cache base=0 slotBytes=832                            ; 06a0
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=400 dense=2              ; 06b0
  dim space=p1 index=0 extent=100 limit=100                              ; 06c0
  dim space=p1 index=1 extent=10 limit=10                                ; 06d0
  buf id=b2 memory=external base=0 slotBytes=4032                        ; 06e0
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute stride=40 dense=2 ; 06f0
  buf id=b3 memory=cache base=832 slotBytes=4032                         ; 0700
  agu id=a3 space=p1 buffer=b3 dtype=f32 stride=40 dense=2               ; 0710
  buf id=b4 memory=cache base=4864 slotBytes=128                         ; 0720
  dim space=p2 index=0 extent=2 limit=2                                  ; 0730
  dim space=p2 index=1 extent=10 limit=10                                ; 0740
  agu id=a4 space=p2 buffer=b4 dtype=f32 stride=40 dense=2               ; 0750
  buf id=b5 memory=external base=5376 slotBytes=128                      ; 0760
  agu id=a5 space=p2 buffer=b5 dtype=f32 mode=absolute stride=40 dense=2 ; 0770
  dim space=p3 index=0 extent=2 limit=2                                  ; 0780
  dim space=p3 index=1 extent=10 limit=10                                ; 0790
  dim space=p3 index=2 extent=100 limit=100                              ; 07a0
  agu id=a6 space=p3 buffer=b1 dtype=f32 stride=400 dense=3              ; 07b0
  agu id=a7 space=p3 buffer=b3 dtype=f32 stride=40 along=2 dense=2       ; 07c0
  agu id=a8 space=p3 buffer=b4 dtype=f32 stride=40 dense=2               ; 07d0
  ld target=a1 source=a0                                                 ; 07e0
  ld target=a3 source=a2                                                 ; 07f0
  vec target=a8 streams=2 s0=a6 s1=a7 stages=1 reduction=sum reduced=1   ; 0800
    vop operation=mul a=stream0 b=stream1 operands=f32 dtype=f32         ; 0810
  st target=a5 source=a4                                                 ; 0820
  ret                                                                    ; 0830
