/** @file A scan as it is being put together: its body, and its operands by role. */
import type { TensorType } from "@systole/base";
import { GraphBuilder } from "../../builder.ts";
import type { Graph, Node, Origin, Value } from "../../graph.ts";
import type { Params, PrimitiveName } from "../../primitives/index.ts";
import { byRole, type ByRole } from "../../primitives/scan.ts";
import { inlineNodes } from "../inline.ts";

/** Adds a node; builders and rewriters can both do it. */
export type EmitNode = <P extends PrimitiveName>(op: P, inputs: readonly Value[], params: Params<P>, origin: Origin) => readonly Value[];

export function emitInto(b: GraphBuilder): EmitNode {
  return (op, inputs, params, origin) => {
    b.setOrigin(origin);
    return b.applyAll(op, inputs, params);
  };
}

export interface ScanCall extends ByRole<Value> {
  readonly body: Graph;
  readonly length: number;
  readonly reverse: boolean;
}

export function scanCall({ inputs, params }: Pick<Node<"scan">, "inputs" | "params">): ScanCall {
  return { body: params.body, length: params.length, reverse: params.reverse, ...byRole(inputs, params) };
}

/** A result that the body gives twice is made once. */
export function emitScan(emit: EmitNode, { body, length, reverse, consts, carries, sequences }: ScanCall, origin: Origin): readonly Value[] {
  const roles = { consts: consts.length, carries: carries.length };
  const results = [...new Set(body.outputs.slice(carries.length).map(({ value }) => value))];
  const outputs = [...body.outputs.slice(0, carries.length), ...results.map((value) => body.outputs.slice(carries.length).find((output) => output.value === value)!)];
  const made = emit("scan", [...consts, ...carries, ...sequences], { body: withRoleNames({ ...body, outputs }, roles), length, reverse, ...roles }, origin);
  return body.outputs.map(({ value }, i) => made[i < carries.length ? i : carries.length + results.indexOf(value)]!);
}

/** Inputs k0, k1, ... (constants), s0, ... (carries), x0, ... (sequences); outputs s0, ... and y0, ... Values are made anew. */
export function withRoleNames(body: Graph, roles: { readonly consts: number; readonly carries: number }): Graph {
  const types = byRole(body.inputs.map(({ value }) => value.type), roles);
  return buildScanBody(body.name, types, (b, given) => {
    const results = inlineBody(b, body, [...given.consts, ...given.carries, ...given.sequences]);
    return { carries: results.slice(0, roles.carries), results: results.slice(roles.carries) };
  });
}

interface StepResults {
  readonly carries: readonly Value[];
  readonly results: readonly Value[];
}

export function buildScanBody(name: string, types: ByRole<TensorType>, make: (b: GraphBuilder, inputs: ByRole<Value>) => StepResults): Graph {
  const b = new GraphBuilder();
  const declare = (letter: string, list: readonly TensorType[]): Value[] => list.map((type, i) => b.input(`${letter}${i}`, type));
  const { carries, results } = make(b, { consts: declare("k", types.consts), carries: declare("s", types.carries), sequences: declare("x", types.sequences) });
  carries.forEach((value, i) => b.output(`s${i}`, value));
  results.forEach((value, i) => b.output(`y${i}`, value));
  return b.build(name);
}

/** The outputs of the body, in order, for these operands. */
export function inlineBody(b: GraphBuilder, body: Graph, operands: readonly Value[]): readonly Value[] {
  const values = inlineNodes(b, body, new Map(body.inputs.map(({ name }, i) => [name, operands[i]!])));
  return body.outputs.map(({ value }) => values.get(value)!);
}
