/**
 * @file THE table of instructions. Encoder, decoder, assembler, disassembler, verifier, generator of random
 * instructions and docs/isa.md are loops over it. Every instruction is one 128-bit little-endian word; bits 7..0
 * are the opcode, bits that no field owns are zero.
 *
 * Words of this file: a *space* is a set of up to 8 nested dimensions over which an instruction iterates; a *generator*
 * (agu) turns a point of its space into an address; a *buffer* is a region of a memory cut in slots; *levels* 0..7 are the
 * hardware loops. Spaces, generators and buffers are registers of the controller, set outside loops.
 */
import { dtypeNames, elementwiseNames } from "@systole/base";
import { limits } from "./machine.ts";
import { bits, instruction, named, signedBits, type Fields, type InstructionSpec } from "./spec.ts";

export const memoryNames = ["external", "cache", "accumulator"] as const;
export type MemoryName = (typeof memoryNames)[number];

/** Reductions of `vec`. `scan` is the running sum (one result per element), the arg forms give indices. */
export const reductionNames = ["none", "sum", "prod", "max", "min", "argmax", "argmin", "argmaxlast", "argminlast", "scan", "exclusivescan"] as const;
export type ReductionName = (typeof reductionNames)[number];

export const scalarOperationNames = ["mov", "add", "sub", "mul", "div", "max", "min", "sqrt", "lt", "le", "eq", "floor"] as const;
/** Scalar operations that take `a` alone. */
export const unaryScalarOperations: ReadonlySet<string> = new Set(["mov", "sqrt", "floor"] satisfies (typeof scalarOperationNames)[number][]);
/** The scalar register that reads as the immediate; it cannot be written. */
export const immediateRegister = limits.scalarRegisters - 1;

/** What an `io` moves. */
export const ioNames = ["text", "load", "store", "copy"] as const;
export type IoName = (typeof ioNames)[number];

export const submoduleNames = ["control", "gradient", "damping", "gauss-newton", "conjugate-gradient", "basic"] as const;
/** 51 operation control, 52 gradient, 53 damping, 54 Gauss-Newton, 55 conjugate gradient, 56 basic operations. */
export type SubmoduleName = (typeof submoduleNames)[number];

const guard = (low: number) => ({
  first: bits(low, 8, "level mask", "execute only in iterations in which the index of every level in the mask is 0", { default: 0 }),
  last: bits(low + 8, 8, "level mask", "execute only in iterations in which every level in the mask is in its last iteration", { default: 0 }),
});

export const instructions = {
  // ---- configuration -------------------------------------------------------------------------------------------
  buf: instruction({
    opcode: 0x01, unit: "controller", doc: "Declares a buffer: `slots` slots of `slotBytes` bytes from byte `base` of a memory. A slot is the unit of hand-over between units.",
    meaning: ["buffer[id] = { memory, base, slotBytes, slots }", "its slots inherit the ready times of everything they overlap"],
    fields: {
      id: bits(8, 7, "buffer", "buffer register"),
      memory: named(15, 2, memoryNames, "which memory"),
      slots: bits(17, 20, "slots", "number of slots, at least 1", { default: 1 }),
      base: bits(37, 40, "bytes", "address of slot 0"),
      slotBytes: bits(77, 40, "bytes", "size of a slot, and the distance between slots"),
    },
  }),
  dim: instruction({
    opcode: 0x02, unit: "controller", doc: "One dimension of a space. The coordinate of point x in 0..extent-1 is c = offset + sum over levels of step[level] * i[level] + x. Dimensions are nested in the order of `index`; a dimension that is never set has extent 1. The first `dim` with index 0 after a use clears the space.",
    meaning: ["space[space].dim[index] = { extent, offset, limit, mode, step: { [level]: step } }",
      "mode cut: points with c >= limit do not exist (the extent shrinks)",
      "mode pad: points with c < 0 or c >= limit exist but lie outside the tensor: ld writes its fill value there",
      "limit 0 means no limit"],
    fields: {
      space: bits(8, 4, "space", "space register"),
      index: bits(12, 3, "dimension", "0 is the outermost dimension"),
      extent: bits(15, 24, "points", "number of points in one instruction, at least 1"),
      offset: signedBits(39, 28, "points", "coordinate of point 0 in the first iteration", { default: 0 }),
      limit: bits(67, 28, "points", "size of the tensor along this coordinate; 0 for none", { default: 0 }),
      mode: named(95, 1, ["cut", "pad"], "what happens at the limit", { default: 0 }),
      level: bits(96, 3, "level", "loop level that moves this coordinate", { default: 0 }),
      step: signedBits(99, 28, "points", "by how much per iteration of `level`; 0 for not at all", { default: 0 }),
    },
  }),
  step: instruction({
    opcode: 0x03, unit: "controller", doc: "More loop levels that move a dimension set by `dim`. Entries with step 0 are ignored.",
    meaning: ["space[space].dim[index].step[levelA] = stepA", "the same for B and C"],
    fields: {
      space: bits(8, 4, "space", "space register"),
      index: bits(12, 3, "dimension", "which dimension"),
      levelA: bits(15, 3, "level", "loop level"), stepA: signedBits(18, 28, "points", "points per iteration"),
      levelB: bits(46, 3, "level", "loop level", { default: 0 }), stepB: signedBits(49, 28, "points", "points per iteration", { default: 0 }),
      levelC: bits(77, 3, "level", "loop level", { default: 0 }), stepC: signedBits(80, 28, "points", "points per iteration", { default: 0 }),
    },
  }),
  agu: instruction({
    opcode: 0x04, unit: "controller", doc: "An address generator: where the points of a space lie in a buffer. Most generators need no more than this word; `stride`, `ring` and `base` add to it. Clears what they had set.",
    meaning: [
      "address = buffer.base + slot * buffer.slotBytes + base + row + sum over dimensions d of stride[d] * q[d]", "row = 0 unless `base` sets it",
      "relative: q[d] = x[d] + sum over levels L in `levels` of step[d][L] * i[L]",
      "absolute: q[d] = c[d], the whole coordinate with offset and every level",
      "slot = (sum over levels of ring[level] * i[level]) mod buffer.slots"],
    fields: {
      id: bits(8, 6, "generator", "generator register"),
      space: bits(14, 4, "space", "the space whose points it places"),
      buffer: bits(18, 7, "buffer", "where they lie"),
      dtype: named(25, 4, dtypeNames, "element type"),
      mode: named(29, 1, ["relative", "absolute"], "which part of the coordinate counts", { default: 0 }),
      levels: bits(30, 8, "level mask", "relative: the loop levels that move the address inside a slot", { default: 0 }),
      base: signedBits(38, 40, "bytes", "offset from the start of the slot", { default: 0 }),
      stride: signedBits(78, 32, "bytes", "bytes per point of dimension `along`", { default: 0 }), along: bits(110, 3, "dimension", "dimension of `stride`", { default: 0 }),
      dense: bits(113, 4, "dimension", "1 + the dimension whose points lie side by side, one element apart; 0 for none", { default: 0 }),
      level: bits(117, 3, "level", "loop level that walks over slots", { default: 0 }), factor: bits(120, 8, "slots", "slots per iteration of `level`", { default: 0 }),
    },
  }),
  stride: instruction({
    opcode: 0x05, unit: "controller", doc: "Strides of three consecutive dimensions of a generator. A stride that neither this nor `agu` sets is 0 (broadcast).",
    meaning: ["generator[id].stride[index .. index+2] = s0, s1, s2"],
    fields: {
      id: bits(8, 6, "generator", "generator register"),
      index: bits(14, 3, "dimension", "dimension of s0"),
      s0: signedBits(17, 36, "bytes", "bytes per point"),
      s1: signedBits(53, 36, "bytes", "bytes per point of the next dimension", { default: 0 }),
      s2: signedBits(89, 36, "bytes", "bytes per point of the one after", { default: 0 }),
    },
  }),
  ring: instruction({
    opcode: 0x06, unit: "controller", doc: "How a generator walks over the slots of its buffer: slot = (sum of factor * index) mod slots.",
    meaning: ["generator[id].ring[levelA] = factorA", "the same for B, C and D; entries with factor 0 are ignored"],
    fields: {
      id: bits(8, 6, "generator", "generator register"),
      levelA: bits(14, 3, "level", "loop level"), factorA: bits(17, 20, "slots", "slots per iteration"),
      levelB: bits(37, 3, "level", "loop level", { default: 0 }), factorB: bits(40, 20, "slots", "slots per iteration", { default: 0 }),
      levelC: bits(60, 3, "level", "loop level", { default: 0 }), factorC: bits(63, 20, "slots", "slots per iteration", { default: 0 }),
      levelD: bits(83, 3, "level", "loop level", { default: 0 }), factorD: bits(86, 20, "slots", "slots per iteration", { default: 0 }),
    },
  }),
  base: instruction({
    opcode: 0x07, unit: "controller", doc: "Moves a generator by rows: its address goes on by `stride` times the integer part of a scalar register. The register counts as it is when an instruction that uses the generator is executed: the controller waits for the scalar unit then. A row outside 0..count-1, or NaN, is a fault.",
    meaning: ["generator[id].row = stride * trunc(scalar[register])", "0 <= trunc(scalar[register]) < count"],
    fields: {
      id: bits(8, 6, "generator", "generator register"),
      register: bits(14, 6, "scalar", `row number, 0 to ${immediateRegister - 1}`),
      stride: signedBits(20, 40, "bytes", "bytes per row"),
      count: bits(60, 28, "rows", "number of rows, at least 1"),
    },
  }),
  // ---- control -------------------------------------------------------------------------------------------------
  loop: instruction({
    opcode: 0x10, unit: "controller", doc: "Opens a hardware loop. Loops nest; a level may be open once. The body may hold no configuration.",
    meaning: ["for i[level] in 0 .. count-1 until the matching endloop"],
    fields: { level: bits(8, 3, "level", "loop level"), count: bits(11, 32, "iterations", "trip count, at least 1") },
  }),
  endloop: instruction({ opcode: 0x11, unit: "controller", doc: "Closes the loop of `level`.", meaning: ["end of for i[level]"], fields: { level: bits(8, 3, "level", "loop level") } }),
  call: instruction({ opcode: 0x12, unit: "controller", doc: "Runs a routine in the submodule that owns it; the caller waits for its dispatch, not for its results. Only outside loops. Registers are undefined afterwards.", meaning: ["run routine[routine]"], fields: { routine: bits(8, 16, "routine", "index in the routine table") } }),
  ret: instruction({ opcode: 0x13, unit: "controller", doc: "Ends a routine.", meaning: ["return to the caller"], fields: {} }),
  br: instruction({
    opcode: 0x14, unit: "controller", doc: "Branches inside a routine on a scalar register. Only outside loops; spaces, generators and buffers are undefined at the target.",
    meaning: ["wait for the scalar unit", "if (scalar[register] != 0) == (when == 1) continue at instruction `target` of this routine"],
    fields: { register: bits(8, 6, "scalar", `scalar register, 0 to ${immediateRegister - 1}`), when: bits(14, 1, "flag", "1: if not zero, 0: if zero"), target: bits(15, 24, "instructions", "index inside the routine") },
  }),
  fence: instruction({ opcode: 0x15, unit: "controller", doc: "Waits until every unit is idle.", meaning: ["wait"], fields: {} }),
  halt: instruction({ opcode: 0x16, unit: "controller", doc: "Ends the program. Only in the main routine. A main routine that runs past its last instruction, with neither halt nor a finished judgement there, is a fault.", meaning: ["stop"], fields: {} }),
  // ---- data transfer -------------------------------------------------------------------------------------------
  ld: instruction({
    opcode: 0x20, unit: "load", doc: "Copies the points of the source's space to the data cache or, as sums to go on from, to the accumulators; from external memory or from another place in the data cache, which must not overlap the target. Points that lie outside a `pad` dimension get `fill`; points cut off are not touched.",
    meaning: ["for every point: target[point] = inside ? source[point] : fill"],
    fields: { target: bits(8, 6, "generator", "data cache or accumulator side"), source: bits(14, 6, "generator", "external or data cache side"), fill: bits(20, 32, "bits", "low 32 bits of the fill value", { default: 0 }), ...guard(52) },
  }),
  st: instruction({
    opcode: 0x21, unit: "store", doc: "Copies the points of the target's space from the data cache, to external memory or to another place in the data cache, which must not overlap the source. Points outside a limit are not written.",
    meaning: ["for every point inside: target[point] = source[point]"],
    fields: { target: bits(8, 6, "generator", "external or data cache side"), source: bits(14, 6, "generator", "data cache side"), ...guard(52) },
  }),
  gather: instruction({
    opcode: 0x22, unit: "load", doc: "As `ld`, but dimension 0 of the source is looked up: its coordinate is index[x0]. The space of `index` has one dimension. An index outside 0..rows-1 is a fault.",
    meaning: ["for every point: target[point] = source at coordinate (index[x0], x1, ...)"],
    fields: { target: bits(8, 6, "generator", "data cache side"), source: bits(14, 6, "generator", "table in external memory or the data cache, absolute"), index: bits(20, 6, "generator", "row numbers in the data cache, i32 or i64"), rows: bits(26, 26, "rows", "number of rows that exist"), ...guard(52) },
  }),
  scatter: instruction({
    opcode: 0x23, unit: "store", doc: "As `st`, but dimension 0 of the target is looked up; later rows overwrite earlier ones. An index outside 0..rows-1 is a fault.",
    meaning: ["for x0 ascending: target at coordinate (index[x0], x1, ...) = source[point]"],
    fields: { target: bits(8, 6, "generator", "table in external memory or the data cache, absolute"), source: bits(14, 6, "generator", "data cache side"), index: bits(20, 6, "generator", "row numbers in the data cache, i32 or i64"), rows: bits(26, 26, "rows", "number of rows that exist"), ...guard(52) },
  }),
  fill: instruction({
    opcode: 0x24, unit: "store", doc: "Writes one value to every point, in external memory or the data cache.",
    meaning: ["for every point inside: target[point] = value"],
    fields: { target: bits(8, 6, "generator", "external or data cache side"), value: bits(20, 32, "bits", "low 32 bits of the value", { default: 0 }), ...guard(52) },
  }),
  // ---- computation ---------------------------------------------------------------------------------------------
  gemm: instruction({
    opcode: 0x30, unit: "array", doc: "A block of a contraction: rows x columns sums over `contracted` dimensions. The dimensions of the space are: `rows` row dimensions, then `contracted` dimensions (slowest first), then one dimension of columns. Array passes take R consecutive k of the flattened contracted dimensions; columns beyond C are taken in panels, interleaved inside each k tile.",
    meaning: ["for every row m, column n: s = start ? +0 : out[m][n]", "for k ascending: s = round(s + round(x[m][k] * w[k][n]))", "out[m][n] = s", "start is true when the index of every level in `start` is 0, unless `continues`"],
    fields: {
      x: bits(8, 6, "generator", "left operand in the data cache; its space is the space of the block"),
      w: bits(14, 6, "generator", "right operand in the data cache, same space"),
      out: bits(20, 6, "generator", "sums in the accumulators, same space"),
      rows: bits(26, 3, "dimensions", "number of row dimensions"),
      contracted: bits(29, 3, "dimensions", "number of contracted dimensions"),
      dataflow: named(32, 1, ["weight-stationary", "output-stationary"], "which operand stays in the array"),
      start: bits(33, 8, "level mask", "a block starts from +0 when these indices are 0; with an empty mask always"),
      continues: bits(41, 1, "flag", "1: a block never starts from +0; the mask is empty then", { default: 0 }),
      ...guard(52),
    },
  }),
  vec: instruction({
    opcode: 0x31, unit: "vector", doc: "One pass of the vector unit: `streams` operands, `stages` chained operations (the `vop` words that follow), then optionally a reduction over the last `reduced` dimensions. With no stage the first stream passes through. Streams and target lie in the data cache or the accumulators; all have the same space.",
    meaning: ["for every point: v = chain(streams at point)", "no reduction: target[point] = v", "reduction: target[kept point] = fold of v over the reduced points ascending, continued from target unless start",
      "start is true when the index of every level in `start` is 0, unless `continues`", "blocked: the order of docs/numerics.md; the whole stream must be in one instruction"],
    fields: {
      target: bits(8, 6, "generator", "result; for a reduction its strides of reduced dimensions are 0"),
      streams: bits(14, 3, "streams", "number of operands, 0 to 6"),
      s0: bits(17, 6, "generator", "stream 0", { default: 0 }), s1: bits(23, 6, "generator", "stream 1", { default: 0 }), s2: bits(29, 6, "generator", "stream 2", { default: 0 }),
      s3: bits(35, 6, "generator", "stream 3", { default: 0 }), s4: bits(41, 6, "generator", "stream 4", { default: 0 }), s5: bits(47, 6, "generator", "stream 5", { default: 0 }),
      stages: bits(53, 4, "stages", "number of vop words that follow, 0 to 8", { default: 0 }),
      reduction: named(57, 4, reductionNames, "what happens to the last dimensions", { default: 0 }),
      reduced: bits(61, 3, "dimensions", "number of reduced dimensions", { default: 0 }),
      order: named(64, 1, ["sequential", "blocked"], "order of a sum", { default: 0 }),
      start: bits(65, 8, "level mask", "the reduction starts anew when these indices are 0; with an empty mask always", { default: 0 }),
      continues: bits(89, 1, "flag", "1: the reduction never starts anew; the mask is empty then", { default: 0 }),
      first: bits(73, 8, "level mask", "execute only in iterations in which the index of every level in the mask is 0", { default: 0 }),
      last: bits(81, 8, "level mask", "execute only in iterations in which every level in the mask is in its last iteration", { default: 0 }),
    },
  }),
  vop: instruction({
    opcode: 0x32, unit: "vector", doc: "One stage of the chain of the `vec` before it. Sources: 0..7 stream, 8..15 result of stage 0..7, 16..23 coordinate of dimension 0..7 as an integer, 24 the immediate.",
    meaning: ["stage = operation(a, b, c) rounded to `dtype`"],
    fields: {
      operation: named(8, 8, elementwiseNames, "row of the elementwise table"),
      a: bits(16, 5, "source", "first operand"), b: bits(21, 5, "source", "second operand", { default: 0 }), c: bits(26, 5, "source", "third operand", { default: 0 }),
      operands: named(31, 4, dtypeNames, "element type of the operands (of the last two for select)"),
      dtype: named(35, 4, dtypeNames, "element type of the result"),
      immediate: bits(39, 64, "bits", "the immediate: float64 bits for float operands, a 64-bit integer otherwise", { default: 0 }),
    },
  }),
  sop: instruction({
    opcode: 0x33, unit: "scalar", doc: `An operation on float64 scalar registers. \`mov\` with a == ${immediateRegister} takes the immediate; comparisons give 1 or 0, with NaN 0; mov, sqrt and floor take a alone.`,
    meaning: ["scalar[target] = operation(scalar[a], scalar[b])", `register ${immediateRegister} reads as the immediate`],
    fields: { operation: named(8, 4, scalarOperationNames, "operation"), target: bits(12, 6, "scalar", `result, 0 to ${immediateRegister - 1}`), a: bits(18, 6, "scalar", "first operand"), b: bits(24, 6, "scalar", "second operand", { default: 0 }), immediate: bits(30, 64, "float64 bits", `value of register ${immediateRegister}`, { default: 0 }) },
  }),
  smov: instruction({
    opcode: 0x34, unit: "scalar", doc: "Moves one element between the data cache and a scalar register.",
    meaning: ["to-register: scalar[register] = memory[generator at point 0]", "to-memory: memory[generator at point 0] = round(scalar[register])"],
    fields: { register: bits(8, 6, "scalar", `scalar register, 0 to ${immediateRegister - 1}`), generator: bits(14, 6, "generator", "place in the data cache"), direction: named(20, 1, ["to-register", "to-memory"], "direction") },
  }),
  // ---- the six kinds of instruction of the device text ------------------------------------------------------------
  io: instruction({
    opcode: 0x40, unit: "controller", doc: "IO (S1, S2, S3, S5, S9): moves a linear block by DMA. `text` loads instructions ahead of their use, `load` and `store` move parameters between external memory and the data cache, `copy` moves them inside external memory where the data cache cannot hold them.",
    meaning: ["text: instruction cache takes lines from `external`", "load: cache[cache .. cache+bytes) = external[...]", "store: the reverse", "copy: external[cache .. cache+bytes) = external[external .. external+bytes), which do not overlap"],
    fields: { what: named(8, 2, ioNames, "what moves"), external: bits(10, 40, "bytes", "external address"), cache: bits(50, 40, "bytes", "data cache address; copy: external address of the target", { default: 0 }), bytes: bits(90, 36, "bytes", "size") },
  }),
  assign: instruction({ opcode: 0x41, unit: "controller", doc: "ASSIGN (S4): initialises state by a routine of operation control.", meaning: ["run routine[routine], owned by control"], fields: { routine: bits(8, 16, "routine", "index in the routine table") } }),
  estimate: instruction({ opcode: 0x42, unit: "controller", doc: "SECOND-ORDER ESTIMATE (S6): evaluates the model at the parameters, by a routine of the gradient, damping or Gauss-Newton submodule. Inference is its first part.", meaning: ["run routine[routine], owned by gradient, damping or gauss-newton"], fields: { routine: bits(8, 16, "routine", "index in the routine table") } }),
  transfer: instruction({ opcode: 0x43, unit: "controller", doc: "DATA TRANSFER (S7): moves the estimate to where the update reads it, by a routine of operation control.", meaning: ["run routine[routine], owned by control"], fields: { routine: bits(8, 16, "routine", "index in the routine table") } }),
  update: instruction({ opcode: 0x44, unit: "controller", doc: "PARAMETER UPDATE (S8): runs a routine of the conjugate-gradient submodule.", meaning: ["run routine[routine], owned by conjugate-gradient"], fields: { routine: bits(8, 16, "routine", "index in the routine table") } }),
  converge: instruction({ opcode: 0x45, unit: "controller", doc: "CONVERGENCE JUDGEMENT (S10): runs a routine of operation control, then goes back unless scalar register 0 is not zero. The program ends where the main routine ends with a judgement that does not go back.", meaning: ["run routine[routine], owned by control", "if scalar[0] == 0 continue at instruction `back` of this routine"], fields: { routine: bits(8, 16, "routine", "index in the routine table"), back: bits(24, 24, "instructions", "index inside the main routine") } }),
} as const satisfies Readonly<Record<string, InstructionSpec>>;

export type Mnemonic = keyof typeof instructions;
type FieldValues<F extends Fields> = { readonly [K in keyof F]: F[K] extends { readonly high: number } ? number | bigint : never };
/** Every instruction as a plain object. Fields wider than 48 bits (immediates) hold a bigint, all others a number; named fields hold the index of the name. */
export type Instruction = { [M in Mnemonic]: { readonly op: M } & FieldValues<(typeof instructions)[M]["fields"]> }[Mnemonic];
/** One instruction by mnemonic. */
export type InstructionOf<M extends Mnemonic> = Extract<Instruction, { op: M }>;

export const mnemonics = Object.keys(instructions) as readonly Mnemonic[];

/** Whom a routine may run: operation control dispatches to all, the others call each other and basic operations, which call nobody. */
export const submoduleCallees: Readonly<Record<SubmoduleName, readonly SubmoduleName[]>> = {
  control: submoduleNames,
  gradient: submoduleNames.slice(1), damping: submoduleNames.slice(1), "gauss-newton": submoduleNames.slice(1), "conjugate-gradient": submoduleNames.slice(1),
  basic: [],
};

/** The six kinds of instruction of the device text. */
export const macroNames = ["io", "assign", "estimate", "transfer", "update", "converge"] as const satisfies readonly Mnemonic[];
export type MacroName = (typeof macroNames)[number];

/** The macro-instructions that run a routine, and the submodules that may own it. */
export const macroOwners: Readonly<Partial<Record<Mnemonic, readonly SubmoduleName[]>>> = {
  assign: ["control"], estimate: ["gradient", "damping", "gauss-newton"], transfer: ["control"], update: ["conjugate-gradient"], converge: ["control"],
};
