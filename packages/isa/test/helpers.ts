import { InputError } from "@systole/base";
import { assembleRoutines, machineHash, presets, type Image } from "@systole/isa";

/** The code of the diagnostic that `body` ends in; another exception passes through. */
export function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return error.diagnostic.code;
    throw error;
  }
  return "none";
}

/** The message of the diagnostic that `body` ends in. */
export function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return `${error.diagnostic.code} ${error.diagnostic.message}`;
    throw error;
  }
  return "accepted";
}

/** An image of the edge-16 machine whose routines are written in assembly. */
export function imageOf(text: string, more: Partial<Image> = {}): Image {
  return {
    machineName: "edge-16", machineHash: machineHash(presets["edge-16"]), routines: assembleRoutines(text), segments: [], externalBytes: 1 << 20, textAddress: 0x80000,
    symbols: [], debug: { model: "test", kernels: [] }, ...more,
  };
}

/**
 * out[40][24] = x[40][20] * w[20][24], then relu, in tiles of 16 rows and 16 columns with tails: loops, limits, rings, guards.
 */
export const matrixProgram = `
.routine "main" control
  io what=text external=0x80000 bytes=64
  call routine=1
  sop operation=mov target=r0 a=r63 immediate=0x3ff0000000000000
  halt
.routine "product" basic
  buf id=b0 memory=external base=0 slotBytes=3200
  buf id=b1 memory=external base=4096 slotBytes=1920
  buf id=b2 memory=external base=8192 slotBytes=3840
  buf id=b3 memory=cache slots=2 base=0 slotBytes=512
  buf id=b4 memory=cache slots=2 base=1024 slotBytes=512
  buf id=b5 memory=accumulator slots=2 base=0 slotBytes=1024
  buf id=b6 memory=cache base=2048 slotBytes=1024
  dim space=p0 index=0 extent=16 limit=40 level=i0 step=16
  dim space=p0 index=1 extent=8 limit=20 level=i2 step=8
  agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute
  stride id=a0 index=0 s0=80 s1=4
  agu id=a1 space=p0 buffer=b3 dtype=f32
  stride id=a1 index=0 s0=32 s1=4
  ring id=a1 levelA=i2 factorA=1
  dim space=p1 index=0 extent=8 limit=20 level=i2 step=8
  dim space=p1 index=1 extent=16 limit=24 level=i1 step=16
  agu id=a2 space=p1 buffer=b1 dtype=f32 mode=absolute
  stride id=a2 index=0 s0=96 s1=4
  agu id=a3 space=p1 buffer=b4 dtype=f32
  stride id=a3 index=0 s0=64 s1=4
  ring id=a3 levelA=i2 factorA=1
  dim space=p2 index=0 extent=16 limit=40 level=i0 step=16
  dim space=p2 index=1 extent=8 limit=20 level=i2 step=8
  dim space=p2 index=2 extent=16 limit=24 level=i1 step=16
  agu id=a4 space=p2 buffer=b3 dtype=f32
  stride id=a4 index=0 s0=32 s1=4
  ring id=a4 levelA=i2 factorA=1
  agu id=a5 space=p2 buffer=b4 dtype=f32
  stride id=a5 index=0 s0=0 s1=64 s2=4
  ring id=a5 levelA=i2 factorA=1
  agu id=a6 space=p2 buffer=b5 dtype=f32
  stride id=a6 index=0 s0=64 s1=0 s2=4
  ring id=a6 levelA=i1 factorA=1
  dim space=p3 index=0 extent=16 limit=40 level=i0 step=16
  dim space=p3 index=1 extent=16 limit=24 level=i1 step=16
  agu id=a7 space=p3 buffer=b5 dtype=f32
  stride id=a7 index=0 s0=64 s1=4
  ring id=a7 levelA=i1 factorA=1
  agu id=a8 space=p3 buffer=b6 dtype=f32
  stride id=a8 index=0 s0=64 s1=4
  agu id=a9 space=p3 buffer=b2 dtype=f32 mode=absolute
  stride id=a9 index=0 s0=96 s1=4
  loop level=i0 count=3
    loop level=i1 count=2
      loop level=i2 count=3
        ld target=a1 source=a0
        ld target=a3 source=a2
        gemm x=a4 w=a5 out=a6 rows=1 contracted=1 dataflow=weight-stationary start=0b0100
        vec target=a8 streams=1 s0=a7 stages=1 last=0b0100
        vop operation=max a=stream0 b=immediate operands=f32 dtype=f32
        st target=a9 source=a8 last=0b0100
      endloop level=i2
    endloop level=i1
  endloop level=i0
  ret
`;
