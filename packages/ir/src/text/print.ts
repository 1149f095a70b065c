/**
 * @file The text form of a graph; `parse.ts` reads it back exactly. One line a value:
 * `%3 = transpose(%0) {permutation=[0,2,3,1]} : f32[1,28,28,8] loc("node" "Conv")`. A body of structured control is a graph in the
 * place of a parameter, over lines of its own.
 */
import { formatType, type NumericArray, type Tensor } from "@systole/base";
import { isGraph, type Graph, type Node, type Value } from "../graph.ts";
import { encodeBase64 } from "./base64.ts";

/** Tensors of up to so many elements are printed as numbers. */
const listedElements = 16;

export interface PrintOptions {
  /** Replaces the bytes of long tensors by `...`: for people; the parser refuses it. */
  readonly elideTensors?: boolean;
}

export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  return `${printBody(graph, options)}\n`;
}

function printBody(graph: Graph, options: PrintOptions): string {
  return [
    `graph ${quote(graph.name)} {`,
    ...graph.inputs.map(({ name, value }) => `  input ${quote(name)} %${value.id} : ${formatType(value.type)}${nameNote(value, name)}`),
    ...graph.parameters.map(({ name, value, tensor }) => `  parameter ${quote(name)} %${value.id} : ${formatType(value.type)} = ${printElements(tensor, options)}${nameNote(value, name)}`),
    // Strings never break a line: what does is a body.
    ...graph.nodes.map((node) => `  ${printNode(node, options).replaceAll("\n", "\n  ")}`),
    ...graph.outputs.map(({ name, value }) => `  output ${quote(name)} %${value.id}`),
    "}",
  ].join("\n");
}

export function printNode(node: Node, options: PrintOptions = {}): string {
  const results = node.outputs.map((value) => `%${value.id}`).join(", ");
  const operands = node.inputs.map((value) => `%${value.id}`).join(", ");
  const entries = Object.entries(node.params as Readonly<Record<string, unknown>>).map(([key, value]) => `${key}=${printParameter(value, options)}`);
  const params = entries.length === 0 ? "" : ` {${entries.join(", ")}}`;
  const types = node.outputs.map((value) => formatType(value.type)).join(", ");
  const names = node.outputs.map((value) => nameNote(value, undefined)).join("");
  const { node: origin, operator, phase } = node.origin;
  const place = origin === "" && operator === "" && phase === undefined ? "" : ` loc(${quote(origin)} ${quote(operator)}${phase === undefined ? "" : ` ${phase}`})`;
  return `${results} = ${node.op}(${operands})${params} : ${types}${names}${place}`;
}

/** ` name(%3 "relu1")`, where the name is not the one expected. */
function nameNote(value: Value, expected: string | undefined): string {
  if (value.name === expected) return "";
  return value.name === undefined ? ` name(%${value.id})` : ` name(%${value.id} ${quote(value.name)})`;
}

export function quote(text: string): string {
  return JSON.stringify(text);
}

/** Parameters are JSON, except for tensors and graphs; `-0` does not occur in them. */
function printParameter(value: unknown, options: PrintOptions): string {
  if (isGraph(value)) return printBody(value, options);
  if (isTensor(value)) return `${formatType(value)} ${printElements(value, options)}`;
  return JSON.stringify(value);
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === "object" && value !== null && "dtype" in value && "data" in value;
}

/** `[1, -0, inf]`, or the little-endian bytes in base64; NaN has many bit patterns and is always printed as bytes. */
export function printElements(tensor: Tensor, options: PrintOptions): string {
  const { data, dtype } = tensor;
  if (data.length <= listedElements && !hasNan(data)) return `[${Array.from(data as ArrayLike<number | bigint>, (x) => formatNumber(x, dtype === "f32")).join(", ")}]`;
  if (options.elideTensors === true) return "...";
  return `base64 "${encodeBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))}"`;
}

function hasNan(data: NumericArray): boolean {
  return !(data instanceof BigInt64Array) && data.some(Number.isNaN);
}

/** The shortest text that reads back as the same number. */
function formatNumber(x: number | bigint, single: boolean): string {
  if (typeof x === "bigint") return String(x);
  if (Object.is(x, -0)) return "-0";
  if (Math.abs(x) === Infinity) return x > 0 ? "inf" : "-inf";
  if (!single || Number.isInteger(x)) return String(x);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(x.toPrecision(digits));
    if (Math.fround(short) === x) return String(short);
  }
  return String(x);
}

