/** @file Look-ups as instructions: rows that an index names are read, or overwritten, or combined with updates. */
import { dtypeNames, elementwiseNames, internal } from "@systole/base";
import type { Instruction } from "@systole/isa";
import { outputsOf, type Access, type TiledKernel } from "@systole/scheduler";
import type { TileAddresses } from "./tileAddresses.ts";

/** What is found goes to its place by itself where the tensor lies in the data cache, otherwise into the buffer of the result. */
export function gatherCode(at: TileAddresses): Instruction[] {
  const { kernel, staging } = at.tiled;
  if (kernel.engine.kind !== "gather") return internal("gather without gather");
  const { rows, rowCount } = kernel.engine;
  const dims = at.lookupDims();
  const space = at.space(dims);
  const source = at.rows(rows, space, dims);
  const index = indexOf(at);
  const output = onlyOutput(at.tiled);
  const target = output.direct === true ? at.tensor(output, space, dims) : at.tiles({ buffer: staging[0]!, dtype: rows.tensor.type.dtype }, space, dims);
  return [{ op: "gather", target, source, index, rows: rowCount, first: 0, last: 0 }];
}

export function scatterCode(at: TileAddresses): Instruction[] {
  const { kernel, operands, staging, sums } = at.tiled;
  if (kernel.engine.kind !== "scatter") return internal("scatter without scatter");
  const output = onlyOutput(at.tiled);
  const { rowCount: rows, combine } = kernel.engine;
  const dims = at.lookupDims();
  const space = at.space(dims);
  const target = at.rows(output, space, dims);
  const updates = at.operand(operands.find((o) => o.role === "stream")!, space, dims);
  const index = indexOf(at);
  if (combine === undefined) return [{ op: "scatter", target, source: updates, index, rows, first: 0, last: 0 }];
  // The row as it is, combined with the update, goes back to its place.
  const { dtype } = output.tensor.type;
  const old = at.tiles({ buffer: sums[0] ?? internal("a combining scatter has a buffer for the rows as they are"), dtype }, space, dims);
  const result = at.tiles({ buffer: staging[0]!, dtype }, space, dims);
  const code = dtypeNames.indexOf(dtype);
  return [
    { op: "gather", target: old, source: target, index, rows, first: 0, last: 0 },
    { op: "vec", target: result, streams: 2, s0: old, s1: updates, s2: 0, s3: 0, s4: 0, s5: 0, stages: 1, reduction: 0, reduced: 0, order: 0, start: 0, continues: 0, first: 0, last: 0 },
    { op: "vop", operation: elementwiseNames.indexOf(combine), a: 0, b: 1, c: 0, operands: code, dtype: code, immediate: 0n },
    { op: "scatter", target, source: result, index, rows, first: 0, last: 0 },
  ];
}

function onlyOutput({ kernel }: TiledKernel): Access {
  return outputsOf(kernel)[0] ?? internal("a look-up writes its result");
}

function indexOf(at: TileAddresses): number {
  const index = at.tiled.operands.find((o) => o.role === "index") ?? internal("gather and scatter have an index");
  const dims = [{ dim: 0, extent: at.tiled.tile[0]! }];
  return at.operand(index, at.space(dims), dims);
}
