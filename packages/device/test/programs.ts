/** @file Small programs in assembly for tests: a tiled matrix product with a chain behind it, and wrappers for single routines. */
import { assembleRoutines, machineHash, type Image, type KernelDebug, type Machine, type TensorSymbol } from "@systole/isa";

export function imageOf(machine: Machine, assembly: string, symbols: readonly TensorSymbol[], externalBytes: number, kernels: readonly string[] = []): Image {
  const routines = assembleRoutines(assembly);
  const textBytes = routines.reduce((sum, routine) => sum + routine.instructions.length * 16, 0);
  const textAddress = Math.ceil(externalBytes / 64) * 64;
  return {
    machineName: machine.name, machineHash: machineHash(machine), routines, segments: [], externalBytes: textAddress + Math.ceil(textBytes / 64) * 64, textAddress, symbols,
    debug: { model: "test", kernels: kernels.map(kernelOf) },
  };
}

function kernelOf(name: string): KernelDebug {
  return { name, nodes: [{ node: `node of ${name}`, operator: "MatMul" }], macs: 0, predictedCycles: 0, lowerBoundBytes: 0, tiling: "" };
}

export interface MatmulOptions {
  readonly size: readonly [m: number, n: number, k: number];
  readonly tile: readonly [m: number, n: number, k: number];
  readonly dataflow?: "weight-stationary" | "output-stationary";
  readonly slots?: number;
}

/** y = max(x w, 0) over tiles; tails by limits, operands double buffered. */
export function matmulImage(machine: Machine, { size: [m, n, k], tile: [mt, nt, kt], dataflow = "weight-stationary", slots = 2 }: MatmulOptions): Image {
  const tilesN = Math.ceil(n / nt);
  const tilesK = Math.ceil(k / kt);
  const x = { address: 0, bytes: m * k * 4 };
  const w = { address: align(x.bytes), bytes: k * n * 4 };
  const y = { address: align(w.address + w.bytes), bytes: m * n * 4 };
  const slot = { x: mt * kt * 4, w: kt * nt * 4, y: mt * nt * 4 };
  const cacheW = align(slots * slot.x);
  const cacheY = align(cacheW + slots * slot.w);
  const everyTile = `levelA=i2 factorA=1 levelB=i1 factorB=${tilesK} levelC=i0 factorC=${tilesK * tilesN}`;
  const everyBlock = `levelA=i1 factorA=1 levelB=i0 factorB=${tilesN}`;
  const assembly = `
.routine "main" control
io what=text external=0 bytes=${64 * 16}
estimate routine=1
halt
.routine "step" gradient
call routine=2
ret
.routine "matmul" basic kernel=0
buf id=b0 memory=external base=${x.address} slotBytes=${x.bytes}
buf id=b1 memory=external base=${w.address} slotBytes=${w.bytes}
buf id=b2 memory=external base=${y.address} slotBytes=${y.bytes}
buf id=b3 memory=cache base=0 slotBytes=${slot.x} slots=${slots}
buf id=b4 memory=cache base=${cacheW} slotBytes=${slot.w} slots=${slots}
buf id=b5 memory=cache base=${cacheY} slotBytes=${slot.y} slots=${slots}
buf id=b6 memory=accumulator base=0 slotBytes=${slot.y} slots=${slots}
dim space=p0 index=0 extent=${mt} limit=${m} level=i0 step=${mt}
dim space=p0 index=1 extent=${kt} limit=${k} level=i2 step=${kt}
dim space=p1 index=0 extent=${kt} limit=${k} level=i2 step=${kt}
dim space=p1 index=1 extent=${nt} limit=${n} level=i1 step=${nt}
dim space=p2 index=0 extent=${mt} limit=${m} level=i0 step=${mt}
dim space=p2 index=1 extent=${kt} limit=${k} level=i2 step=${kt}
dim space=p2 index=2 extent=${nt} limit=${n} level=i1 step=${nt}
dim space=p3 index=0 extent=${mt} limit=${m} level=i0 step=${mt}
dim space=p3 index=1 extent=${nt} limit=${n} level=i1 step=${nt}
agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute
stride id=a0 index=0 s0=${k * 4} s1=4
agu id=a1 space=p0 buffer=b3 dtype=f32
stride id=a1 index=0 s0=${kt * 4} s1=4
ring id=a1 ${everyTile}
agu id=a2 space=p1 buffer=b1 dtype=f32 mode=absolute
stride id=a2 index=0 s0=${n * 4} s1=4
agu id=a3 space=p1 buffer=b4 dtype=f32
stride id=a3 index=0 s0=${nt * 4} s1=4
ring id=a3 ${everyTile}
agu id=a4 space=p2 buffer=b3 dtype=f32
stride id=a4 index=0 s0=${kt * 4} s1=4 s2=0
ring id=a4 ${everyTile}
agu id=a5 space=p2 buffer=b4 dtype=f32
stride id=a5 index=0 s0=0 s1=${nt * 4} s2=4
ring id=a5 ${everyTile}
agu id=a6 space=p2 buffer=b6 dtype=f32
stride id=a6 index=0 s0=${nt * 4} s1=0 s2=4
ring id=a6 ${everyBlock}
agu id=a7 space=p3 buffer=b6 dtype=f32
stride id=a7 index=0 s0=${nt * 4} s1=4
ring id=a7 ${everyBlock}
agu id=a8 space=p3 buffer=b5 dtype=f32
stride id=a8 index=0 s0=${nt * 4} s1=4
ring id=a8 ${everyBlock}
agu id=a9 space=p3 buffer=b2 dtype=f32 mode=absolute
stride id=a9 index=0 s0=${n * 4} s1=4
loop level=i0 count=${Math.ceil(m / mt)}
loop level=i1 count=${tilesN}
loop level=i2 count=${tilesK}
ld target=a1 source=a0
ld target=a3 source=a2
gemm x=a4 w=a5 out=a6 rows=1 contracted=1 dataflow=${dataflow} start=0b100
vec target=a8 streams=1 s0=a7 stages=1 last=0b100
vop operation=max a=stream0 b=immediate operands=f32 dtype=f32
st target=a9 source=a8 last=0b100
endloop level=i2
endloop level=i1
endloop level=i0
ret
`;
  const symbol = (name: string, kind: TensorSymbol["kind"], shape: readonly number[], address: number): TensorSymbol => ({ name, kind, dtype: "f32", shape, address });
  return imageOf(machine, assembly, [symbol("x", "input", [m, k], x.address), symbol("w", "input", [k, n], w.address), symbol("y", "output", [m, n], y.address)], y.address + y.bytes, ["matmul"]);
}

function align(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}
