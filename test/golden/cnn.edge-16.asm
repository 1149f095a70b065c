.routine "main" control
  io what=text external=9600 bytes=2352                                  ; 0000
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
  buf id=b1 memory=cache base=1728 slotBytes=64                          ; 00a0
  agu id=a1 space=p0 buffer=b1 dtype=f32 dense=1                         ; 00b0
  dim space=p1 index=0 extent=1 limit=2 step=1                           ; 00c0
  dim space=p1 index=1 extent=7 limit=12 level=i1 step=5                 ; 00d0
  dim space=p1 index=2 extent=12 limit=12                                ; 00e0
  buf id=b2 memory=external base=4032 slotBytes=1152                     ; 00f0
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute stride=576 dense=3 ; 0100
  stride id=a2 index=0 s0=576 s1=48 s2=4                                 ; 0110
  buf id=b3 memory=cache slots=4 base=0 slotBytes=384                    ; 0120
  agu id=a3 space=p1 buffer=b3 dtype=f32 stride=336 dense=3 level=i1 factor=1 ; 0130
  stride id=a3 index=0 s0=336 s1=48 s2=4                                 ; 0140
  ring id=a3 levelA=i0 factorA=2                                         ; 0150
  dim space=p2 index=0 extent=4 limit=4                                  ; 0160
  dim space=p2 index=1 extent=3 limit=3                                  ; 0170
  dim space=p2 index=2 extent=3 limit=3                                  ; 0180
  buf id=b4 memory=external base=5184 slotBytes=192                      ; 0190
  agu id=a4 space=p2 buffer=b4 dtype=f32 mode=absolute stride=36 dense=3 ; 01a0
  stride id=a4 index=0 s0=36 s1=12 s2=4                                  ; 01b0
  buf id=b5 memory=cache base=1536 slotBytes=192                         ; 01c0
  agu id=a5 space=p2 buffer=b5 dtype=f32 stride=36 dense=3               ; 01d0
  stride id=a5 index=0 s0=36 s1=12 s2=4                                  ; 01e0
  buf id=b6 memory=cache slots=2 base=1792 slotBytes=832                 ; 01f0
  dim space=p3 index=0 extent=1 limit=2 step=1                           ; 0200
  dim space=p3 index=1 extent=5 limit=10 level=i1 step=5                 ; 0210
  dim space=p3 index=2 extent=10 limit=10                                ; 0220
  dim space=p3 index=3 extent=4 limit=4                                  ; 0230
  agu id=a6 space=p3 buffer=b6 dtype=f32 stride=160 along=1 dense=4 level=i1 factor=1 ; 0240
  stride id=a6 index=0 s0=0 s1=160 s2=16                                 ; 0250
  ring id=a6 levelA=i0 factorA=0                                         ; 0260
  buf id=b7 memory=external base=5568 slotBytes=3200                     ; 0270
  agu id=a7 space=p3 buffer=b7 dtype=f32 mode=absolute stride=1600 dense=4 ; 0280
  stride id=a7 index=0 s0=1600 s1=160 s2=16                              ; 0290
  buf id=b8 memory=accumulator slots=4 base=0 slotBytes=832              ; 02a0
  dim space=p4 index=0 extent=5 limit=10 level=i1 step=5                 ; 02b0
  dim space=p4 index=1 extent=10 limit=10                                ; 02c0
  dim space=p4 index=2 extent=3 limit=3                                  ; 02d0
  dim space=p4 index=3 extent=3 limit=3                                  ; 02e0
  dim space=p4 index=4 extent=4 limit=4                                  ; 02f0
  agu id=a8 space=p4 buffer=b3 dtype=f32 stride=48 dense=4 level=i1 factor=1 ; 0300
  stride id=a8 index=0 s0=48 s1=4 s2=48                                  ; 0310
  ring id=a8 levelA=i0 factorA=2                                         ; 0320
  agu id=a9 space=p4 buffer=b5 dtype=f32 stride=12 along=2 dense=4       ; 0330
  stride id=a9 index=3 s0=4 s1=36                                        ; 0340
  agu id=a10 space=p4 buffer=b8 dtype=f32 stride=160 dense=5 level=i1 factor=1 ; 0350
  stride id=a10 index=0 s0=160 s1=16                                     ; 0360
  ring id=a10 levelA=i0 factorA=2                                        ; 0370
  dim space=p5 index=0 extent=5 limit=10 level=i1 step=5                 ; 0380
  dim space=p5 index=1 extent=10 limit=10                                ; 0390
  dim space=p5 index=2 extent=4 limit=4                                  ; 03a0
  agu id=a11 space=p5 buffer=b1 dtype=f32 dense=3                        ; 03b0
  agu id=a12 space=p5 buffer=b8 dtype=f32 stride=160 dense=3 level=i1 factor=1 ; 03c0
  stride id=a12 index=0 s0=160 s1=16 s2=4                                ; 03d0
  ring id=a12 levelA=i0 factorA=2                                        ; 03e0
  agu id=a13 space=p5 buffer=b6 dtype=f32 stride=160 dense=3 level=i1 factor=1 ; 03f0
  stride id=a13 index=0 s0=160 s1=16 s2=4                                ; 0400
  ring id=a13 levelA=i0 factorA=0                                        ; 0410
  loop level=i0 count=2                                                  ; 0420
    loop level=i1 count=2                                                ; 0430
      ld target=a1 source=a0 first=0b0011                                ; 0440
      ld target=a3 source=a2                                             ; 0450
      ld target=a5 source=a4 first=0b0011                                ; 0460
      gemm x=a8 w=a9 out=a10 rows=2 contracted=2 dataflow=weight-stationary start=0b0000 ; 0470
      vec target=a13 streams=2 s0=a11 s1=a12 stages=2                    ; 0480
        vop operation=add a=stream1 operands=f32 dtype=f32               ; 0490
        vop operation=max a=stage0 b=immediate operands=f32 dtype=f32    ; 04a0
      st target=a7 source=a6                                             ; 04b0
    endloop level=i1                                                     ; 04c0
  endloop level=i0                                                       ; 04d0
  ret                                                                    ; 04e0

.routine "1.pool1" basic kernel=1
  dim space=p0 index=0 extent=2 limit=2                                  ; 04f0
  dim space=p0 index=1 extent=2 limit=10 step=2                          ; 0500
  dim space=p0 index=2 extent=10 limit=10                                ; 0510
  dim space=p0 index=3 extent=4 limit=4                                  ; 0520
  buf id=b0 memory=external base=5568 slotBytes=3200                     ; 0530
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=1600 dense=4 ; 0540
  stride id=a0 index=0 s0=1600 s1=160 s2=16                              ; 0550
  buf id=b1 memory=cache slots=4 base=259584 slotBytes=640               ; 0560
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=320 dense=4 factor=1     ; 0570
  stride id=a1 index=0 s0=320 s1=160 s2=16                               ; 0580
  buf id=b2 memory=cache slots=2 base=259200 slotBytes=192               ; 0590
  dim space=p1 index=0 extent=2 limit=2                                  ; 05a0
  dim space=p1 index=1 extent=1 limit=5 step=1                           ; 05b0
  dim space=p1 index=2 extent=5 limit=5                                  ; 05c0
  dim space=p1 index=3 extent=4 limit=4                                  ; 05d0
  agu id=a2 space=p1 buffer=b2 dtype=f32 stride=80 dense=4 factor=1      ; 05e0
  stride id=a2 index=0 s0=80 s2=16                                       ; 05f0
  buf id=b3 memory=external base=8768 slotBytes=832                      ; 0600
  agu id=a3 space=p1 buffer=b3 dtype=f32 mode=absolute stride=400 dense=4 ; 0610
  stride id=a3 index=0 s0=400 s1=80 s2=16                                ; 0620
  dim space=p2 index=0 extent=2 limit=2                                  ; 0630
  dim space=p2 index=1 extent=5 limit=5                                  ; 0640
  dim space=p2 index=2 extent=4 limit=4                                  ; 0650
  dim space=p2 index=3 extent=2 limit=2                                  ; 0660
  dim space=p2 index=4 extent=2 limit=2                                  ; 0670
  agu id=a4 space=p2 buffer=b1 dtype=f32 stride=320 dense=3 factor=1     ; 0680
  stride id=a4 index=0 s0=320 s1=32 s2=4                                 ; 0690
  stride id=a4 index=3 s0=160 s1=16                                      ; 06a0
  agu id=a5 space=p2 buffer=b2 dtype=f32 stride=80 dense=3 factor=1      ; 06b0
  stride id=a5 index=0 s0=80 s1=16 s2=4                                  ; 06c0
  loop level=i0 count=5                                                  ; 06d0
    ld target=a1 source=a0                                               ; 06e0
    vec target=a5 streams=1 s0=a4 reduction=max reduced=2                ; 06f0
    st target=a3 source=a2                                               ; 0700
  endloop level=i0                                                       ; 0710
  ret                                                                    ; 0720

.routine "2.fc" basic kernel=2
  dim space=p0 index=0 extent=2 limit=2                                  ; 0730
  dim space=p0 index=1 extent=100 limit=100                              ; 0740
  buf id=b0 memory=external base=8768 slotBytes=832                      ; 0750
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=400 dense=2 ; 0760
  buf id=b1 memory=cache base=0 slotBytes=832                            ; 0770
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=400 dense=2              ; 0780
  dim space=p1 index=0 extent=100 limit=100                              ; 0790
  dim space=p1 index=1 extent=10 limit=10                                ; 07a0
  buf id=b2 memory=external base=0 slotBytes=4032                        ; 07b0
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute stride=40 dense=2 ; 07c0
  buf id=b3 memory=cache base=832 slotBytes=4032                         ; 07d0
  agu id=a3 space=p1 buffer=b3 dtype=f32 stride=40 dense=2               ; 07e0
  buf id=b4 memory=cache base=4864 slotBytes=128                         ; 07f0
  dim space=p2 index=0 extent=2 limit=2                                  ; 0800
  dim space=p2 index=1 extent=10 limit=10                                ; 0810
  agu id=a4 space=p2 buffer=b4 dtype=f32 stride=40 dense=2               ; 0820
  buf id=b5 memory=external base=5376 slotBytes=128                      ; 0830
  agu id=a5 space=p2 buffer=b5 dtype=f32 mode=absolute stride=40 dense=2 ; 0840
  buf id=b6 memory=accumulator base=0 slotBytes=128                      ; 0850
  dim space=p3 index=0 extent=2 limit=2                                  ; 0860
  dim space=p3 index=1 extent=100 limit=100                              ; 0870
  dim space=p3 index=2 extent=10 limit=10                                ; 0880
  agu id=a6 space=p3 buffer=b1 dtype=f32 stride=400 dense=2              ; 0890
  agu id=a7 space=p3 buffer=b3 dtype=f32 stride=40 along=1 dense=3       ; 08a0
  agu id=a8 space=p3 buffer=b6 dtype=f32 stride=40 dense=3               ; 08b0
  agu id=a9 space=p2 buffer=b6 dtype=f32 stride=40 dense=2               ; 08c0
  ld target=a1 source=a0                                                 ; 08d0
  ld target=a3 source=a2                                                 ; 08e0
  gemm x=a6 w=a7 out=a8 rows=1 contracted=1 dataflow=weight-stationary start=0b0000 ; 08f0
  vec target=a4 streams=1 s0=a9                                          ; 0900
  st target=a5 source=a4                                                 ; 0910
  ret                                                                    ; 0920
