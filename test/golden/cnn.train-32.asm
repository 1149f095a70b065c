.routine "main" control
  io what=text external=9600 bytes=2768                                  ; 0000
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
  buf id=b1 memory=cache base=1728 slotBytes=64                          ; 00b0
  agu id=a1 space=p0 buffer=b1 dtype=f32                                 ; 00c0
  stride id=a1 index=0 s0=4                                              ; 00d0
  dim space=p1 index=0 extent=1 limit=2 step=1                           ; 00e0
  dim space=p1 index=1 extent=7 limit=12 level=i1 step=5                 ; 00f0
  dim space=p1 index=2 extent=12 limit=12                                ; 0100
  buf id=b2 memory=external base=4032 slotBytes=1152                     ; 0110
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute                   ; 0120
  stride id=a2 index=0 s0=576 s1=48 s2=4                                 ; 0130
  buf id=b3 memory=cache slots=4 base=0 slotBytes=384                    ; 0140
  agu id=a3 space=p1 buffer=b3 dtype=f32                                 ; 0150
  stride id=a3 index=0 s0=336 s1=48 s2=4                                 ; 0160
  ring id=a3 levelA=i0 factorA=2 levelB=i1 factorB=1                     ; 0170
  dim space=p2 index=0 extent=4 limit=4                                  ; 0180
  dim space=p2 index=1 extent=3 limit=3                                  ; 0190
  dim space=p2 index=2 extent=3 limit=3                                  ; 01a0
  buf id=b4 memory=external base=5184 slotBytes=192                      ; 01b0
  agu id=a4 space=p2 buffer=b4 dtype=f32 mode=absolute                   ; 01c0
  stride id=a4 index=0 s0=36 s1=12 s2=4                                  ; 01d0
  buf id=b5 memory=cache base=1536 slotBytes=192                         ; 01e0
  agu id=a5 space=p2 buffer=b5 dtype=f32                                 ; 01f0
  stride id=a5 index=0 s0=36 s1=12 s2=4                                  ; 0200
  buf id=b6 memory=cache slots=2 base=1792 slotBytes=832                 ; 0210
  dim space=p3 index=0 extent=1 limit=2 step=1                           ; 0220
  dim space=p3 index=1 extent=5 limit=10 level=i1 step=5                 ; 0230
  dim space=p3 index=2 extent=10 limit=10                                ; 0240
  dim space=p3 index=3 extent=4 limit=4                                  ; 0250
  agu id=a6 space=p3 buffer=b6 dtype=f32                                 ; 0260
  stride id=a6 index=0 s0=0 s1=160 s2=16                                 ; 0270
  stride id=a6 index=3 s0=4                                              ; 0280
  ring id=a6 levelA=i0 factorA=0 levelB=i1 factorB=1                     ; 0290
  buf id=b7 memory=external base=5568 slotBytes=3200                     ; 02a0
  agu id=a7 space=p3 buffer=b7 dtype=f32 mode=absolute                   ; 02b0
  stride id=a7 index=0 s0=1600 s1=160 s2=16                              ; 02c0
  stride id=a7 index=3 s0=4                                              ; 02d0
  buf id=b8 memory=accumulator slots=4 base=0 slotBytes=832              ; 02e0
  dim space=p4 index=0 extent=5 limit=10 level=i1 step=5                 ; 02f0
  dim space=p4 index=1 extent=10 limit=10                                ; 0300
  dim space=p4 index=2 extent=3 limit=3                                  ; 0310
  dim space=p4 index=3 extent=3 limit=3                                  ; 0320
  dim space=p4 index=4 extent=4 limit=4                                  ; 0330
  agu id=a8 space=p4 buffer=b3 dtype=f32                                 ; 0340
  stride id=a8 index=0 s0=48 s1=4 s2=48                                  ; 0350
  stride id=a8 index=3 s0=4                                              ; 0360
  ring id=a8 levelA=i0 factorA=2 levelB=i1 factorB=1                     ; 0370
  agu id=a9 space=p4 buffer=b5 dtype=f32                                 ; 0380
  stride id=a9 index=0 s0=0 s2=12                                        ; 0390
  stride id=a9 index=3 s0=4 s1=36                                        ; 03a0
  agu id=a10 space=p4 buffer=b8 dtype=f32                                ; 03b0
  stride id=a10 index=0 s0=160 s1=16                                     ; 03c0
  stride id=a10 index=3 s0=0 s1=4                                        ; 03d0
  ring id=a10 levelA=i0 factorA=2 levelB=i1 factorB=1                    ; 03e0
  dim space=p5 index=0 extent=5 limit=10 level=i1 step=5                 ; 03f0
  dim space=p5 index=1 extent=10 limit=10                                ; 0400
  dim space=p5 index=2 extent=4 limit=4                                  ; 0410
  agu id=a11 space=p5 buffer=b1 dtype=f32                                ; 0420
  stride id=a11 index=0 s0=0 s2=4                                        ; 0430
  agu id=a12 space=p5 buffer=b8 dtype=f32                                ; 0440
  stride id=a12 index=0 s0=160 s1=16 s2=4                                ; 0450
  ring id=a12 levelA=i0 factorA=2 levelB=i1 factorB=1                    ; 0460
  agu id=a13 space=p5 buffer=b6 dtype=f32                                ; 0470
  stride id=a13 index=0 s0=160 s1=16 s2=4                                ; 0480
  ring id=a13 levelA=i0 factorA=0 levelB=i1 factorB=1                    ; 0490
  loop level=i0 count=2                                                  ; 04a0
    loop level=i1 count=2                                                ; 04b0
      ld target=a1 source=a0 first=0b0011                                ; 04c0
      ld target=a3 source=a2                                             ; 04d0
      ld target=a5 source=a4 first=0b0011                                ; 04e0
      gemm x=a8 w=a9 out=a10 rows=2 contracted=2 dataflow=weight-stationary start=0b0000 ; 04f0
      vec target=a13 streams=2 s0=a11 s1=a12 stages=2                    ; 0500
        vop operation=add a=stream1 operands=f32 dtype=f32               ; 0510
        vop operation=max a=stage0 b=immediate operands=f32 dtype=f32    ; 0520
      st target=a7 source=a6                                             ; 0530
    endloop level=i1                                                     ; 0540
  endloop level=i0                                                       ; 0550
  ret                                                                    ; 0560

.routine "1.pool1" basic kernel=1
  dim space=p0 index=0 extent=2 limit=2                                  ; 0570
  dim space=p0 index=1 extent=10 limit=10                                ; 0580
  dim space=p0 index=2 extent=10 limit=10                                ; 0590
  dim space=p0 index=3 extent=4 limit=4                                  ; 05a0
  buf id=b0 memory=external base=5568 slotBytes=3200                     ; 05b0
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute                   ; 05c0
  stride id=a0 index=0 s0=1600 s1=160 s2=16                              ; 05d0
  stride id=a0 index=3 s0=4                                              ; 05e0
  buf id=b1 memory=cache base=1045376 slotBytes=3200                     ; 05f0
  agu id=a1 space=p0 buffer=b1 dtype=f32                                 ; 0600
  stride id=a1 index=0 s0=1600 s1=160 s2=16                              ; 0610
  stride id=a1 index=3 s0=4                                              ; 0620
  buf id=b2 memory=cache base=1044544 slotBytes=832                      ; 0630
  dim space=p1 index=0 extent=2 limit=2                                  ; 0640
  dim space=p1 index=1 extent=5 limit=5                                  ; 0650
  dim space=p1 index=2 extent=5 limit=5                                  ; 0660
  dim space=p1 index=3 extent=4 limit=4                                  ; 0670
  agu id=a2 space=p1 buffer=b2 dtype=f32                                 ; 0680
  stride id=a2 index=0 s0=400 s1=80 s2=16                                ; 0690
  stride id=a2 index=3 s0=4                                              ; 06a0
  buf id=b3 memory=external base=8768 slotBytes=832                      ; 06b0
  agu id=a3 space=p1 buffer=b3 dtype=f32 mode=absolute                   ; 06c0
  stride id=a3 index=0 s0=400 s1=80 s2=16                                ; 06d0
  stride id=a3 index=3 s0=4                                              ; 06e0
  dim space=p2 index=0 extent=2 limit=2                                  ; 06f0
  dim space=p2 index=1 extent=5 limit=5                                  ; 0700
  dim space=p2 index=2 extent=5 limit=5                                  ; 0710
  dim space=p2 index=3 extent=4 limit=4                                  ; 0720
  dim space=p2 index=4 extent=2 limit=2                                  ; 0730
  dim space=p2 index=5 extent=2 limit=2                                  ; 0740
  agu id=a4 space=p2 buffer=b1 dtype=f32                                 ; 0750
  stride id=a4 index=0 s0=1600 s1=320 s2=32                              ; 0760
  stride id=a4 index=3 s0=4 s1=160 s2=16                                 ; 0770
  agu id=a5 space=p2 buffer=b2 dtype=f32                                 ; 0780
  stride id=a5 index=0 s0=400 s1=80 s2=16                                ; 0790
  stride id=a5 index=3 s0=4                                              ; 07a0
  ld target=a1 source=a0                                                 ; 07b0
  vec target=a5 streams=1 s0=a4 reduction=max reduced=2                  ; 07c0
  st target=a3 source=a2                                                 ; 07d0
  ret                                                                    ; 07e0

.routine "2.fc" basic kernel=2
  dim space=p0 index=0 extent=2 limit=2                                  ; 07f0
  dim space=p0 index=1 extent=100 limit=100                              ; 0800
  buf id=b0 memory=external base=8768 slotBytes=832                      ; 0810
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute                   ; 0820
  stride id=a0 index=0 s0=400 s1=4                                       ; 0830
  buf id=b1 memory=cache base=0 slotBytes=832                            ; 0840
  agu id=a1 space=p0 buffer=b1 dtype=f32                                 ; 0850
  stride id=a1 index=0 s0=400 s1=4                                       ; 0860
  dim space=p1 index=0 extent=100 limit=100                              ; 0870
  dim space=p1 index=1 extent=10 limit=10                                ; 0880
  buf id=b2 memory=external base=0 slotBytes=4032                        ; 0890
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute                   ; 08a0
  stride id=a2 index=0 s0=40 s1=4                                        ; 08b0
  buf id=b3 memory=cache base=832 slotBytes=4032                         ; 08c0
  agu id=a3 space=p1 buffer=b3 dtype=f32                                 ; 08d0
  stride id=a3 index=0 s0=40 s1=4                                        ; 08e0
  buf id=b4 memory=cache base=4864 slotBytes=128                         ; 08f0
  dim space=p2 index=0 extent=2 limit=2                                  ; 0900
  dim space=p2 index=1 extent=10 limit=10                                ; 0910
  agu id=a4 space=p2 buffer=b4 dtype=f32                                 ; 0920
  stride id=a4 index=0 s0=40 s1=4                                        ; 0930
  buf id=b5 memory=external base=5376 slotBytes=128                      ; 0940
  agu id=a5 space=p2 buffer=b5 dtype=f32 mode=absolute                   ; 0950
  stride id=a5 index=0 s0=40 s1=4                                        ; 0960
  buf id=b6 memory=accumulator base=0 slotBytes=128                      ; 0970
  dim space=p3 index=0 extent=2 limit=2                                  ; 0980
  dim space=p3 index=1 extent=100 limit=100                              ; 0990
  dim space=p3 index=2 extent=10 limit=10                                ; 09a0
  agu id=a6 space=p3 buffer=b1 dtype=f32                                 ; 09b0
  stride id=a6 index=0 s0=400 s1=4                                       ; 09c0
  agu id=a7 space=p3 buffer=b3 dtype=f32                                 ; 09d0
  stride id=a7 index=0 s0=0 s1=40 s2=4                                   ; 09e0
  agu id=a8 space=p3 buffer=b6 dtype=f32                                 ; 09f0
  stride id=a8 index=0 s0=40 s2=4                                        ; 0a00
  dim space=p4 index=0 extent=2 limit=2                                  ; 0a10
  dim space=p4 index=1 extent=10 limit=10                                ; 0a20
  agu id=a9 space=p4 buffer=b6 dtype=f32                                 ; 0a30
  stride id=a9 index=0 s0=40 s1=4                                        ; 0a40
  agu id=a10 space=p4 buffer=b4 dtype=f32                                ; 0a50
  stride id=a10 index=0 s0=40 s1=4                                       ; 0a60
  ld target=a1 source=a0                                                 ; 0a70
  ld target=a3 source=a2                                                 ; 0a80
  gemm x=a6 w=a7 out=a8 rows=1 contracted=1 dataflow=weight-stationary start=0b0000 ; 0a90
  vec target=a10 streams=1 s0=a9                                         ; 0aa0
  st target=a5 source=a4                                                 ; 0ab0
  ret                                                                    ; 0ac0
