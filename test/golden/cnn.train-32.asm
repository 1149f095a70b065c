.routine "main" control
  io what=text external=5568 bytes=2016                                  ; 0000
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
  dim space=p3 index=0 extent=1 limit=2 step=1                           ; 01f0
  dim space=p3 index=1 extent=5 limit=10 level=i1 step=5                 ; 0200
  dim space=p3 index=2 extent=10 limit=10                                ; 0210
  dim space=p3 index=3 extent=3 limit=3                                  ; 0220
  dim space=p3 index=4 extent=3 limit=3                                  ; 0230
  dim space=p3 index=5 extent=4 limit=4                                  ; 0240
  agu id=a6 space=p3 buffer=b3 dtype=f32 stride=336 dense=5 level=i1 factor=1 ; 0250
  stride id=a6 index=0 s0=336 s1=48 s2=4                                 ; 0260
  stride id=a6 index=3 s0=48 s1=4                                        ; 0270
  ring id=a6 levelA=i0 factorA=2                                         ; 0280
  agu id=a7 space=p3 buffer=b5 dtype=f32 stride=12 along=3 dense=5       ; 0290
  stride id=a7 index=3 s0=12 s1=4 s2=36                                  ; 02a0
  buf id=b6 memory=accumulator slots=4 base=0 slotBytes=832              ; 02b0
  agu id=a8 space=p3 buffer=b6 dtype=f32 stride=800 dense=6 level=i1 factor=1 ; 02c0
  stride id=a8 index=0 s0=800 s1=160 s2=16                               ; 02d0
  ring id=a8 levelA=i0 factorA=2                                         ; 02e0
  dim space=p4 index=0 extent=1 limit=2 step=1                           ; 02f0
  dim space=p4 index=1 extent=5 limit=10 level=i1 step=5                 ; 0300
  dim space=p4 index=2 extent=10 limit=10                                ; 0310
  dim space=p4 index=3 extent=4 limit=4                                  ; 0320
  agu id=a9 space=p4 buffer=b1 dtype=f32 dense=4                         ; 0330
  agu id=a10 space=p4 buffer=b6 dtype=f32 stride=800 dense=4 level=i1 factor=1 ; 0340
  stride id=a10 index=0 s0=800 s1=160 s2=16                              ; 0350
  ring id=a10 levelA=i0 factorA=2                                        ; 0360
  buf id=b7 memory=cache base=1044544 slotBytes=3200                     ; 0370
  agu id=a11 space=p4 buffer=b7 dtype=f32 mode=absolute stride=1600 dense=4 ; 0380
  stride id=a11 index=0 s0=1600 s1=160 s2=16                             ; 0390
  loop level=i0 count=2                                                  ; 03a0
    loop level=i1 count=2                                                ; 03b0
      ld target=a1 source=a0 first=0b0011                                ; 03c0
      ld target=a3 source=a2                                             ; 03d0
      ld target=a5 source=a4 first=0b0011                                ; 03e0
      gemm x=a6 w=a7 out=a8 rows=3 contracted=2 dataflow=weight-stationary start=0b0000 ; 03f0
      vec target=a11 streams=2 s0=a9 s1=a10 stages=2                     ; 0400
        vop operation=add a=stream1 operands=f32 dtype=f32               ; 0410
        vop operation=max a=stage0 b=immediate operands=f32 dtype=f32    ; 0420
    endloop level=i1                                                     ; 0430
  endloop level=i0                                                       ; 0440
  ret                                                                    ; 0450

.routine "1.pool1" basic kernel=1
  dim space=p0 index=0 extent=2 limit=2                                  ; 0460
  dim space=p0 index=1 extent=5 limit=5                                  ; 0470
  dim space=p0 index=2 extent=1 limit=5 step=1                           ; 0480
  dim space=p0 index=3 extent=1 limit=4 level=i1 step=1                  ; 0490
  dim space=p0 index=4 extent=2 limit=2                                  ; 04a0
  dim space=p0 index=5 extent=2 limit=2                                  ; 04b0
  buf id=b0 memory=cache base=1044544 slotBytes=3200                     ; 04c0
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=1600 dense=4 ; 04d0
  stride id=a0 index=0 s0=1600 s1=320 s2=32                              ; 04e0
  stride id=a0 index=3 s0=4 s1=160 s2=16                                 ; 04f0
  buf id=b1 memory=cache slots=2 base=1015680 slotBytes=64               ; 0500
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=20 dense=4 level=i1 factor=1 ; 0510
  stride id=a1 index=0 s0=20 s1=4 s2=4                                   ; 0520
  ring id=a1 levelA=i0 factorA=0                                         ; 0530
  dim space=p1 index=0 extent=2 limit=2                                  ; 0540
  dim space=p1 index=1 extent=5 limit=5                                  ; 0550
  dim space=p1 index=2 extent=1 limit=5 step=1                           ; 0560
  dim space=p1 index=3 extent=1 limit=4 level=i1 step=1                  ; 0570
  agu id=a2 space=p1 buffer=b1 dtype=f32 stride=20 dense=2 level=i1 factor=1 ; 0580
  ring id=a2 levelA=i0 factorA=0                                         ; 0590
  buf id=b2 memory=cache base=1047744 slotBytes=832                      ; 05a0
  agu id=a3 space=p1 buffer=b2 dtype=f32 mode=absolute stride=400 dense=4 ; 05b0
  stride id=a3 index=0 s0=400 s1=80 s2=16                                ; 05c0
  loop level=i0 count=5                                                  ; 05d0
    loop level=i1 count=4                                                ; 05e0
      vec target=a1 streams=1 reduction=max reduced=2                    ; 05f0
      st target=a3 source=a2                                             ; 0600
    endloop level=i1                                                     ; 0610
  endloop level=i0                                                       ; 0620
  ret                                                                    ; 0630

.routine "2.fc" basic kernel=2
  dim space=p0 index=0 extent=100 limit=100                              ; 0640
  dim space=p0 index=1 extent=10 limit=10                                ; 0650
  buf id=b0 memory=external base=0 slotBytes=4032                        ; 0660
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=40 dense=2 ; 0670
  buf id=b1 memory=cache base=0 slotBytes=4032                           ; 0680
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=40 dense=2               ; 0690
  dim space=p1 index=0 extent=2 limit=2                                  ; 06a0
  dim space=p1 index=1 extent=100 limit=100                              ; 06b0
  dim space=p1 index=2 extent=10 limit=10                                ; 06c0
  buf id=b2 memory=cache base=1047744 slotBytes=832                      ; 06d0
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute stride=400 dense=2 ; 06e0
  agu id=a3 space=p1 buffer=b1 dtype=f32 stride=40 along=1 dense=3       ; 06f0
  buf id=b3 memory=accumulator base=0 slotBytes=128                      ; 0700
  agu id=a4 space=p1 buffer=b3 dtype=f32 stride=40 dense=3               ; 0710
  dim space=p2 index=0 extent=2 limit=2                                  ; 0720
  dim space=p2 index=1 extent=10 limit=10                                ; 0730
  agu id=a5 space=p2 buffer=b3 dtype=f32 stride=40 dense=2               ; 0740
  buf id=b4 memory=cache base=4032 slotBytes=128                         ; 0750
  agu id=a6 space=p2 buffer=b4 dtype=f32 stride=40 dense=2               ; 0760
  buf id=b5 memory=external base=5376 slotBytes=128                      ; 0770
  agu id=a7 space=p2 buffer=b5 dtype=f32 mode=absolute stride=40 dense=2 ; 0780
  ld target=a1 source=a0                                                 ; 0790
  gemm x=a2 w=a3 out=a4 rows=1 contracted=1 dataflow=weight-stationary start=0b0000 ; 07a0
  vec target=a6 streams=1 s0=a5                                          ; 07b0
  st target=a7 source=a6                                                 ; 07c0
  ret                                                                    ; 07d0
