.routine "main" control
  io what=text external=5568 bytes=2048                                  ; 0000
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
  buf id=b0 memory=cache base=1040512 slotBytes=4032                     ; 0090
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute dense=1           ; 00a0
  buf id=b1 memory=external base=0 slotBytes=4032                        ; 00b0
  agu id=a1 space=p0 buffer=b1 dtype=f32 mode=absolute dense=1           ; 00c0
  ld target=a0 source=a1                                                 ; 00d0
  ret                                                                    ; 00e0

.routine "0.conv1" basic kernel=1
  dim space=p0 index=0 extent=4 limit=4                                  ; 00f0
  buf id=b0 memory=external base=5504 slotBytes=64                       ; 0100
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute dense=1           ; 0110
  buf id=b1 memory=cache base=1728 slotBytes=64                          ; 0120
  agu id=a1 space=p0 buffer=b1 dtype=f32 dense=1                         ; 0130
  dim space=p1 index=0 extent=1 limit=2 step=1                           ; 0140
  dim space=p1 index=1 extent=7 limit=12 level=i1 step=5                 ; 0150
  dim space=p1 index=2 extent=12 limit=12                                ; 0160
  buf id=b2 memory=external base=4032 slotBytes=1152                     ; 0170
  agu id=a2 space=p1 buffer=b2 dtype=f32 mode=absolute stride=576 dense=3 ; 0180
  stride id=a2 index=0 s0=576 s1=48 s2=4                                 ; 0190
  buf id=b3 memory=cache slots=4 base=0 slotBytes=384                    ; 01a0
  agu id=a3 space=p1 buffer=b3 dtype=f32 stride=336 dense=3 level=i1 factor=1 ; 01b0
  stride id=a3 index=0 s0=336 s1=48 s2=4                                 ; 01c0
  ring id=a3 levelA=i0 factorA=2                                         ; 01d0
  dim space=p2 index=0 extent=4 limit=4                                  ; 01e0
  dim space=p2 index=1 extent=3 limit=3                                  ; 01f0
  dim space=p2 index=2 extent=3 limit=3                                  ; 0200
  buf id=b4 memory=external base=5184 slotBytes=192                      ; 0210
  agu id=a4 space=p2 buffer=b4 dtype=f32 mode=absolute stride=36 dense=3 ; 0220
  stride id=a4 index=0 s0=36 s1=12 s2=4                                  ; 0230
  buf id=b5 memory=cache base=1536 slotBytes=192                         ; 0240
  agu id=a5 space=p2 buffer=b5 dtype=f32 stride=36 dense=3               ; 0250
  stride id=a5 index=0 s0=36 s1=12 s2=4                                  ; 0260
  dim space=p3 index=0 extent=1 limit=2 step=1                           ; 0270
  dim space=p3 index=1 extent=5 limit=10 level=i1 step=5                 ; 0280
  dim space=p3 index=2 extent=10 limit=10                                ; 0290
  dim space=p3 index=3 extent=3 limit=3                                  ; 02a0
  dim space=p3 index=4 extent=3 limit=3                                  ; 02b0
  dim space=p3 index=5 extent=4 limit=4                                  ; 02c0
  agu id=a6 space=p3 buffer=b3 dtype=f32 stride=336 dense=5 level=i1 factor=1 ; 02d0
  stride id=a6 index=0 s0=336 s1=48 s2=4                                 ; 02e0
  stride id=a6 index=3 s0=48 s1=4                                        ; 02f0
  ring id=a6 levelA=i0 factorA=2                                         ; 0300
  agu id=a7 space=p3 buffer=b5 dtype=f32 stride=12 along=3 dense=5       ; 0310
  stride id=a7 index=3 s0=12 s1=4 s2=36                                  ; 0320
  buf id=b6 memory=accumulator slots=4 base=0 slotBytes=832              ; 0330
  agu id=a8 space=p3 buffer=b6 dtype=f32 stride=800 dense=6 level=i1 factor=1 ; 0340
  stride id=a8 index=0 s0=800 s1=160 s2=16                               ; 0350
  ring id=a8 levelA=i0 factorA=2                                         ; 0360
  dim space=p4 index=0 extent=1 limit=2 step=1                           ; 0370
  dim space=p4 index=1 extent=5 limit=10 level=i1 step=5                 ; 0380
  dim space=p4 index=2 extent=10 limit=10                                ; 0390
  dim space=p4 index=3 extent=4 limit=4                                  ; 03a0
  agu id=a9 space=p4 buffer=b1 dtype=f32 dense=4                         ; 03b0
  agu id=a10 space=p4 buffer=b6 dtype=f32 stride=800 dense=4 level=i1 factor=1 ; 03c0
  stride id=a10 index=0 s0=800 s1=160 s2=16                              ; 03d0
  ring id=a10 levelA=i0 factorA=2                                        ; 03e0
  buf id=b7 memory=cache base=1044544 slotBytes=3200                     ; 03f0
  agu id=a11 space=p4 buffer=b7 dtype=f32 mode=absolute stride=1600 dense=4 ; 0400
  stride id=a11 index=0 s0=1600 s1=160 s2=16                             ; 0410
  loop level=i0 count=2                                                  ; 0420
    loop level=i1 count=2                                                ; 0430
      ld target=a1 source=a0 first=0b0011                                ; 0440
      ld target=a3 source=a2                                             ; 0450
      ld target=a5 source=a4 first=0b0011                                ; 0460
      gemm x=a6 w=a7 out=a8 rows=3 contracted=2 dataflow=weight-stationary start=0b0000 ; 0470
      vec target=a11 streams=2 s0=a9 s1=a10 stages=2                     ; 0480
        vop operation=add a=stream1 operands=f32 dtype=f32               ; 0490
        vop operation=max a=stage0 b=immediate operands=f32 dtype=f32    ; 04a0
    endloop level=i1                                                     ; 04b0
  endloop level=i0                                                       ; 04c0
  ret                                                                    ; 04d0

.routine "1.pool1" basic kernel=2
  dim space=p0 index=0 extent=2 limit=2                                  ; 04e0
  dim space=p0 index=1 extent=5 limit=5                                  ; 04f0
  dim space=p0 index=2 extent=1 limit=5 step=1                           ; 0500
  dim space=p0 index=3 extent=1 limit=4 level=i1 step=1                  ; 0510
  dim space=p0 index=4 extent=2 limit=2                                  ; 0520
  dim space=p0 index=5 extent=2 limit=2                                  ; 0530
  buf id=b0 memory=cache base=1044544 slotBytes=3200                     ; 0540
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=1600 dense=4 ; 0550
  stride id=a0 index=0 s0=1600 s1=320 s2=32                              ; 0560
  stride id=a0 index=3 s0=4 s1=160 s2=16                                 ; 0570
  buf id=b1 memory=cache slots=2 base=1015680 slotBytes=64               ; 0580
  agu id=a1 space=p0 buffer=b1 dtype=f32 stride=20 dense=4 level=i1 factor=1 ; 0590
  stride id=a1 index=0 s0=20 s1=4 s2=4                                   ; 05a0
  ring id=a1 levelA=i0 factorA=0                                         ; 05b0
  dim space=p1 index=0 extent=2 limit=2                                  ; 05c0
  dim space=p1 index=1 extent=5 limit=5                                  ; 05d0
  dim space=p1 index=2 extent=1 limit=5 step=1                           ; 05e0
  dim space=p1 index=3 extent=1 limit=4 level=i1 step=1                  ; 05f0
  agu id=a2 space=p1 buffer=b1 dtype=f32 stride=20 dense=2 level=i1 factor=1 ; 0600
  ring id=a2 levelA=i0 factorA=0                                         ; 0610
  buf id=b2 memory=cache base=1047744 slotBytes=832                      ; 0620
  agu id=a3 space=p1 buffer=b2 dtype=f32 mode=absolute stride=400 dense=4 ; 0630
  stride id=a3 index=0 s0=400 s1=80 s2=16                                ; 0640
  loop level=i0 count=5                                                  ; 0650
    loop level=i1 count=4                                                ; 0660
      vec target=a1 streams=1 reduction=max reduced=2                    ; 0670
      st target=a3 source=a2                                             ; 0680
    endloop level=i1                                                     ; 0690
  endloop level=i0                                                       ; 06a0
  ret                                                                    ; 06b0

.routine "2.fc" basic kernel=3
  dim space=p0 index=0 extent=2 limit=2                                  ; 06c0
  dim space=p0 index=1 extent=100 limit=100                              ; 06d0
  dim space=p0 index=2 extent=10 limit=10                                ; 06e0
  buf id=b0 memory=cache base=1047744 slotBytes=832                      ; 06f0
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute stride=400 dense=2 ; 0700
  buf id=b1 memory=cache base=1040512 slotBytes=4032                     ; 0710
  agu id=a1 space=p0 buffer=b1 dtype=f32 mode=absolute stride=40 along=1 dense=3 ; 0720
  buf id=b2 memory=accumulator base=0 slotBytes=128                      ; 0730
  agu id=a2 space=p0 buffer=b2 dtype=f32 stride=40 dense=3               ; 0740
  dim space=p1 index=0 extent=2 limit=2                                  ; 0750
  dim space=p1 index=1 extent=10 limit=10                                ; 0760
  agu id=a3 space=p1 buffer=b2 dtype=f32 stride=40 dense=2               ; 0770
  buf id=b3 memory=cache base=0 slotBytes=128                            ; 0780
  agu id=a4 space=p1 buffer=b3 dtype=f32 stride=40 dense=2               ; 0790
  buf id=b4 memory=external base=5376 slotBytes=128                      ; 07a0
  agu id=a5 space=p1 buffer=b4 dtype=f32 mode=absolute stride=40 dense=2 ; 07b0
  gemm x=a0 w=a1 out=a2 rows=1 contracted=1 dataflow=weight-stationary start=0b0000 ; 07c0
  vec target=a4 streams=1 s0=a3                                          ; 07d0
  st target=a5 source=a4                                                 ; 07e0
  ret                                                                    ; 07f0
