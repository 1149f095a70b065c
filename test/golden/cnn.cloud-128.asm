.routine "main" control
  io what=text external=9600 bytes=2656                                  ; 0000
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
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute                   ; 0090
  stride id=a0 index=0 s0=4                                              ; 00a0
  buf id=b1 memory=cache base=1344 slotBytes=64                          ; 00b0
  agu id=a1 space=p0 buffer=b1 dtype=f32                                 ; 00c0
  stride id=a1 index=0 s0=4                                              ; 00d0
  dim space=p1 index=0 extent=2 limit=2                                  ; 00e0
  dim space=p1 index=1 extent=12 limit=12                                ; 00f0
  dim space=p1 index=2 extent=12 limit=12                                ; 0100
  buf id=b2 memory=external base=4032 slotBytes=1152                     ; 0110
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute                   ; 0120
  stride id=a2 index=0 s0=576 s1=48 s2=4                                 ; 0130
  buf id=b3 memory=cache base=0 slotBytes=1152                           ; 0140
  agu id=a3 space=p1 buffer=b3 dtype=f32                                 ; 0150
  stride id=a3 index=0 s0=576 s1=48 s2=4                                 ; 0160
  dim space=p2 index=0 extent=4 limit=4                                  ; 0170
  dim space=p2 index=1 extent=3 limit=3                                  ; 0180
  dim space=p2 index=2 extent=3 limit=3                                  ; 0190
  buf id=b4 memory=external base=5184 slotBytes=192                      ; 01a0
  agu id=a4 space=p2 buffer=b4 dtype=f32 mode=absolute                   ; 01b0
  stride id=a4 index=0 s0=36 s1=12 s2=4                                  ; 01c0
  buf id=b5 memory=cache base=1152 slotBytes=192                         ; 01d0
  agu id=a5 space=p2 buffer=b5 dtype=f32                                 ; 01e0
  stride id=a5 index=0 s0=36 s1=12 s2=4                                  ; 01f0
  buf id=b6 memory=cache base=1408 slotBytes=3200                        ; 0200
  dim space=p3 index=0 extent=2 limit=2                                  ; 0210
  dim space=p3 index=1 extent=10 limit=10                                ; 0220
  dim space=p3 index=2 extent=10 limit=10                                ; 0230
  dim space=p3 index=3 extent=4 limit=4                                  ; 0240
  agu id=a6 space=p3 buffer=b6 dtype=f32                                 ; 0250
  stride id=a6 index=0 s0=1600 s1=160 s2=16                              ; 0260
  stride id=a6 index=3 s0=4                                              ; 0270
  buf id=b7 memory=external base=5568 slotBytes=3200                     ; 0280
  agu id=a7 space=p3 buffer=b7 dtype=f32 mode=absolute                   ; 0290
  stride id=a7 index=0 s0=1600 s1=160 s2=16                              ; 02a0
  stride id=a7 index=3 s0=4                                              ; 02b0
  buf id=b8 memory=accumulator base=0 slotBytes=3200                     ; 02c0
  dim space=p4 index=0 extent=2 limit=2                                  ; 02d0
  dim space=p4 index=1 extent=10 limit=10                                ; 02e0
  dim space=p4 index=2 extent=10 limit=10                                ; 02f0
  dim space=p4 index=3 extent=3 limit=3                                  ; 0300
  dim space=p4 index=4 extent=3 limit=3                                  ; 0310
  dim space=p4 index=5 extent=4 limit=4                                  ; 0320
  agu id=a8 space=p4 buffer=b3 dtype=f32                                 ; 0330
  stride id=a8 index=0 s0=576 s1=48 s2=4                                 ; 0340
  stride id=a8 index=3 s0=48 s1=4                                        ; 0350
  agu id=a9 space=p4 buffer=b5 dtype=f32                                 ; 0360
  stride id=a9 index=3 s0=12 s1=4 s2=36                                  ; 0370
  agu id=a10 space=p4 buffer=b8 dtype=f32                                ; 0380
  stride id=a10 index=0 s0=1600 s1=160 s2=16                             ; 0390
  stride id=a10 index=3 s0=0 s2=4                                        ; 03a0
  dim space=p5 index=0 extent=2 limit=2                                  ; 03b0
  dim space=p5 index=1 extent=10 limit=10                                ; 03c0
  dim space=p5 index=2 extent=10 limit=10                                ; 03d0
  dim space=p5 index=3 extent=4 limit=4                                  ; 03e0
  agu id=a11 space=p5 buffer=b1 dtype=f32                                ; 03f0
  stride id=a11 index=3 s0=4                                             ; 0400
  agu id=a12 space=p5 buffer=b8 dtype=f32                                ; 0410
  stride id=a12 index=0 s0=1600 s1=160 s2=16                             ; 0420
  stride id=a12 index=3 s0=4                                             ; 0430
  agu id=a13 space=p5 buffer=b6 dtype=f32                                ; 0440
  stride id=a13 index=0 s0=1600 s1=160 s2=16                             ; 0450
  stride id=a13 index=3 s0=4                                             ; 0460
  ld target=a1 source=a0                                                 ; 0470
  ld target=a3 source=a2                                                 ; 0480
  ld target=a5 source=a4                                                 ; 0490
  gemm x=a8 w=a9 out=a10 rows=3 contracted=2 dataflow=weight-stationary start=0b0000 ; 04a0
  vec target=a13 streams=2 s0=a11 s1=a12 stages=2                        ; 04b0
    vop operation=add a=stream1 operands=f32 dtype=f32                   ; 04c0
    vop operation=max a=stage0 b=immediate operands=f32 dtype=f32        ; 04d0
  st target=a7 source=a6                                                 ; 04e0
  ret                                                                    ; 04f0

.routine "1.pool1" basic kernel=1
  dim space=p0 index=0 extent=2 limit=2                                  ; 0500
  dim space=p0 index=1 extent=10 limit=10                                ; 0510
  dim space=p0 index=2 extent=10 limit=10                                ; 0520
  dim space=p0 index=3 extent=4 limit=4                                  ; 0530
  buf id=b0 memory=external base=5568 slotBytes=3200                     ; 0540
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute                   ; 0550
  stride id=a0 index=0 s0=1600 s1=160 s2=16                              ; 0560
  stride id=a0 index=3 s0=4                                              ; 0570
  buf id=b1 memory=cache base=33551232 slotBytes=3200                    ; 0580
  agu id=a1 space=p0 buffer=b1 dtype=f32                                 ; 0590
  stride id=a1 index=0 s0=1600 s1=160 s2=16                              ; 05a0
  stride id=a1 index=3 s0=4                                              ; 05b0
  buf id=b2 memory=cache base=33550400 slotBytes=832                     ; 05c0
  dim space=p1 index=0 extent=2 limit=2                                  ; 05d0
  dim space=p1 index=1 extent=5 limit=5                                  ; 05e0
  dim space=p1 index=2 extent=5 limit=5                                  ; 05f0
  dim space=p1 index=3 extent=4 limit=4                                  ; 0600
  agu id=a2 space=p1 buffer=b2 dtype=f32                                 ; 0610
  stride id=a2 index=0 s0=400 s1=80 s2=16                                ; 0620
  stride id=a2 index=3 s0=4                                              ; 0630
  buf id=b3 memory=external base=8768 slotBytes=832                      ; 0640
  agu id=a3 space=p1 buffer=b3 dtype=f32 mode=absolute                   ; 0650
  stride id=a3 index=0 s0=400 s1=80 s2=16                                ; 0660
  stride id=a3 index=3 s0=4                                              ; 0670
  dim space=p2 index=0 extent=2 limit=2                                  ; 0680
  dim space=p2 index=1 extent=5 limit=5                                  ; 0690
  dim space=p2 index=2 extent=5 limit=5                                  ; 06a0
  dim space=p2 index=3 extent=4 limit=4                                  ; 06b0
  dim space=p2 index=4 extent=2 limit=2                                  ; 06c0
  dim space=p2 index=5 extent=2 limit=2                                  ; 06d0
  agu id=a4 space=p2 buffer=b1 dtype=f32                                 ; 06e0
  stride id=a4 index=0 s0=1600 s1=320 s2=32                              ; 06f0
  stride id=a4 index=3 s0=4 s1=160 s2=16                                 ; 0700
  agu id=a5 space=p2 buffer=b2 dtype=f32                                 ; 0710
  stride id=a5 index=0 s0=400 s1=80 s2=16                                ; 0720
  stride id=a5 index=3 s0=4                                              ; 0730
  ld target=a1 source=a0                                                 ; 0740
  vec target=a5 streams=1 s0=a4 reduction=max reduced=2                  ; 0750
  st target=a3 source=a2                                                 ; 0760
  ret                                                                    ; 0770

.routine "2.fc" basic kernel=2
  dim space=p0 index=0 extent=2 limit=2                                  ; 0780
  dim space=p0 index=1 extent=100 limit=100                              ; 0790
  buf id=b0 memory=external base=8768 slotBytes=832                      ; 07a0
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute                   ; 07b0
  stride id=a0 index=0 s0=400 s1=4                                       ; 07c0
  buf id=b1 memory=cache base=0 slotBytes=832                            ; 07d0
  agu id=a1 space=p0 buffer=b1 dtype=f32                                 ; 07e0
  stride id=a1 index=0 s0=400 s1=4                                       ; 07f0
  dim space=p1 index=0 extent=100 limit=100                              ; 0800
  dim space=p1 index=1 extent=10 limit=10                                ; 0810
  buf id=b2 memory=external base=0 slotBytes=4032                        ; 0820
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute                   ; 0830
  stride id=a2 index=0 s0=40 s1=4                                        ; 0840
  buf id=b3 memory=cache base=832 slotBytes=4032                         ; 0850
  agu id=a3 space=p1 buffer=b3 dtype=f32                                 ; 0860
  stride id=a3 index=0 s0=40 s1=4                                        ; 0870
  buf id=b4 memory=cache base=4864 slotBytes=128                         ; 0880
  dim space=p2 index=0 extent=2 limit=2                                  ; 0890
  dim space=p2 index=1 extent=10 limit=10                                ; 08a0
  agu id=a4 space=p2 buffer=b4 dtype=f32                                 ; 08b0
  stride id=a4 index=0 s0=40 s1=4                                        ; 08c0
  buf id=b5 memory=external base=5376 slotBytes=128                      ; 08d0
  agu id=a5 space=p2 buffer=b5 dtype=f32 mode=absolute                   ; 08e0
  stride id=a5 index=0 s0=40 s1=4                                        ; 08f0
  buf id=b6 memory=accumulator base=0 slotBytes=128                      ; 0900
  dim space=p3 index=0 extent=2 limit=2                                  ; 0910
  dim space=p3 index=1 extent=100 limit=100                              ; 0920
  dim space=p3 index=2 extent=10 limit=10                                ; 0930
  agu id=a6 space=p3 buffer=b1 dtype=f32                                 ; 0940
  stride id=a6 index=0 s0=400 s1=4                                       ; 0950
  agu id=a7 space=p3 buffer=b3 dtype=f32                                 ; 0960
  stride id=a7 index=0 s0=0 s1=40 s2=4                                   ; 0970
  agu id=a8 space=p3 buffer=b6 dtype=f32                                 ; 0980
  stride id=a8 index=0 s0=40 s2=4                                        ; 0990
  dim space=p4 index=0 extent=2 limit=2                                  ; 09a0
  dim space=p4 index=1 extent=10 limit=10                                ; 09b0
  agu id=a9 space=p4 buffer=b6 dtype=f32                                 ; 09c0
  stride id=a9 index=0 s0=40 s1=4                                        ; 09d0
  agu id=a10 space=p4 buffer=b4 dtype=f32                                ; 09e0
  stride id=a10 index=0 s0=40 s1=4                                       ; 09f0
  ld target=a1 source=a0                                                 ; 0a00
  ld target=a3 source=a2                                                 ; 0a10
  gemm x=a6 w=a7 out=a8 rows=1 contracted=1 dataflow=weight-stationary start=0b0000 ; 0a20
  vec target=a10 streams=1 s0=a9                                         ; 0a30
  st target=a5 source=a4                                                 ; 0a40
  ret                                                                    ; 0a50
