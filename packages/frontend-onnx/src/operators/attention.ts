/** @file Attention and rotary embeddings. */
import { fail } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastAxes, broadcastTo, concat, convert, elementwise, filled, iota, rankOf, reshape, scalar, shapeOf, sliceAxis, spread, sum, takeAxis, transpose, withNumber } from "../lowering/values.ts";
import { pivotOf } from "./activations.ts";
import { input, operator, requireFloat, requireRank, type Call, type Operator } from "./operator.ts";

export const attentionOperators: readonly Operator[] = [
  operator("Attention", attention, "softmax_precision float32"),
  operator("RotaryEmbedding", rotaryEmbedding),
];

function attention(c: Call): readonly (Value | undefined)[] {
  const { e, attributes } = c;
  const rank = rankOf(input(c, 0));
  const heads = attributes.int("q_num_heads", 0);
  const pairs = attributes.int("kv_num_heads", 0);
  const q = byHead(c, input(c, 0), heads, "q_num_heads");
  const newKeys = byHead(c, input(c, 1), pairs, "kv_num_heads");
  const newValues = byHead(c, input(c, 2), pairs, "kv_num_heads");
  if ((c.inputs[4] === undefined) !== (c.inputs[5] === undefined)) fail("E0205", "past_key and past_value must be given together");
  const past = c.inputs[4] === undefined ? 0 : shapeOf(c.inputs[4])[2]!;
  const keys = c.inputs[4] === undefined ? newKeys : concat(e, [c.inputs[4], newKeys], 2);
  const values = c.inputs[5] === undefined ? newValues : concat(e, [c.inputs[5], newValues], 2);
  const [batch, qHeads, qLength, size] = shapeOf(q) as [number, number, number, number];
  const [, kHeads, kLength] = shapeOf(keys) as [number, number, number];
  if (qHeads % kHeads !== 0) fail("E0203", `${qHeads} query heads share ${kHeads} key heads`);
  if (attributes.int("softmax_precision", 1) !== 1) attributes.refuse("softmax_precision", "is not 1", "1 (float32)");
  const group = [batch, kHeads, qHeads / kHeads, qLength];
  const scale = attributes.has("scale") ? attributes.float("scale", 0) : 1 / Math.sqrt(size);
  const root = Math.sqrt(scale);
  const grouped = reshape(e, withNumber(e, "mul", q, root), [...group, size]);
  const full = [batch, qHeads, qLength, kLength];
  const raw = reshape(e, e.apply("dot", [grouped, withNumber(e, "mul", keys, root)], { x: "bhgqd", w: "bhkd", out: "bhgqk", k: "d" }), full);
  const cap = attributes.float("softcap", 0);
  const capped = cap === 0 ? raw : withNumber(e, "mul", elementwise(e, "tanh", withNumber(e, "div", raw, cap)), cap);
  const biased = addMask(c, capped, past);
  const weights = maskedSoftmax(e, biased);
  const mixed = e.apply("dot", [reshape(e, weights, [...group, kLength]), values], { x: "bhgqk", w: "bhkv", out: "bhgqv", k: "k" });
  const y = reshape(e, mixed, [batch, qHeads, qLength, shapeOf(values)[3]!]);
  const result = rank === 4 ? y : reshape(e, transpose(e, y, [0, 2, 1, 3]), [batch, qLength, qHeads * shapeOf(values)[3]!]);
  const mode = attributes.int("qk_matmul_output_mode", 0);
  const shown = [raw, capped, biased, weights][mode];
  if (shown === undefined) attributes.refuse("qk_matmul_output_mode", `is ${mode}`, "0 to 3");
  return [result, keys, values, shown];
}

/** [batch, length, heads * size] becomes [batch, heads, length, size]. */
function byHead(c: Call, x: Value, heads: number, name: string): Value {
  requireRank(x, 3, 4);
  requireFloat(x);
  if (rankOf(x) === 4) return x;
  const [batch, length, hidden] = shapeOf(x) as [number, number, number];
  if (heads < 1 || hidden % heads !== 0) c.attributes.refuse(name, `is ${heads}`, `a divisor of ${hidden}`);
  return transpose(c.e, reshape(c.e, x, [batch, length, heads, hidden / heads]), [0, 2, 1, 3]);
}

/** A float mask is added; what a boolean mask, causality, the window or the padding exclude becomes minus infinity. */
function addMask(c: Call, scores: Value, past: number): Value {
  const { e, attributes } = c;
  const shape = shapeOf(scores);
  const [batch, , qLength, kLength] = shape as [number, number, number, number];
  const grid = [batch, 1, qLength, kLength];
  const key = iota(e, "i64", grid, 3);
  const lengths = c.inputs[6] === undefined ? undefined : broadcastAxes(e, convert(e, reshape(e, c.inputs[6], [batch]), "i64"), grid, [0]);
  const offset = lengths === undefined ? filled(e, "i64", past, grid) : withNumber(e, "sub", lengths, qLength);
  const position = elementwise(e, "add", iota(e, "i64", grid, 2), offset);
  const allowed: Value[] = [];
  const left = attributes.int("left_window_size", -1);
  const right = attributes.int("right_window_size", -1);
  if (attributes.flag("is_causal", false)) allowed.push(elementwise(e, "le", key, position));
  if (left >= 0) allowed.push(elementwise(e, "ge", key, withNumber(e, "sub", position, left)));
  if (right >= 0) allowed.push(elementwise(e, "le", key, withNumber(e, "add", position, right)));
  if (lengths !== undefined) allowed.push(elementwise(e, "lt", key, lengths));
  const mask = c.inputs[3] === undefined ? undefined : padMask(e, c.inputs[3], kLength);
  if (mask?.type.dtype === "bool") allowed.push(mask);
  const added = mask === undefined || mask.type.dtype === "bool" ? scores : elementwise(e, "add", scores, broadcastTo(e, mask, shape));
  return allowed.reduce((value, condition) => elementwise(e, "select", condition, value, scalar(e, value.type.dtype, -Infinity)), added);
}

/** A mask that ends early excludes the rest. */
function padMask(e: Emitter, mask: Value, length: number): Value {
  const axis = rankOf(mask) - 1;
  const missing = length - (shapeOf(mask)[axis] ?? length);
  if (axis < 0 || missing <= 0 || shapeOf(mask)[axis] === 1) return mask;
  const value = scalar(e, mask.type.dtype, mask.type.dtype === "bool" ? 0 : -Infinity);
  const none = shapeOf(mask).map(() => 0);
  return e.apply("pad", [mask, value], { low: none, high: none.map((_, a) => (a === axis ? missing : 0)), interior: none });
}

/** A row in which everything is excluded gives zeros. */
function maskedSoftmax(e: Emitter, x: Value): Value {
  const shape = shapeOf(x);
  const top = pivotOf(e, x, [3]);
  const empty = withNumber(e, "eq", top, -Infinity);
  const pivot = elementwise(e, "select", empty, scalar(e, x.type.dtype, 0), top);
  const shifted = elementwise(e, "exp", elementwise(e, "sub", x, spread(e, pivot, shape, [3])));
  const total = elementwise(e, "select", empty, scalar(e, x.type.dtype, 1), sum(e, shifted, [3]));
  return elementwise(e, "div", shifted, spread(e, total, shape, [3]));
}

function rotaryEmbedding(c: Call): Value {
  const { e, attributes } = c;
  const x = input(c, 0);
  requireRank(x, 3, 4);
  // The rotation runs on [batch, length, heads, size].
  const flat = rankOf(x) === 3;
  const heads = attributes.int("num_heads", 0);
  const [batch, length] = flat ? [shapeOf(x)[0]!, shapeOf(x)[1]!] : [shapeOf(x)[0]!, shapeOf(x)[2]!];
  if (flat && (heads < 1 || shapeOf(x)[2]! % heads !== 0)) attributes.refuse("num_heads", `is ${heads}`, `a divisor of ${shapeOf(x)[2]}`);
  const apart = flat ? reshape(e, x, [batch, length, heads, shapeOf(x)[2]! / heads]) : transpose(e, x, [0, 2, 1, 3]);
  const size = shapeOf(apart)[3]!;
  const given = attributes.int("rotary_embedding_dim", 0);
  const width = given === 0 ? size : given;
  if (width % 2 !== 0 || width > size) attributes.refuse("rotary_embedding_dim", `is ${width}`, `an even number up to ${size}`);
  const half = width / 2;
  const turned = sliceAxis(e, apart, 3, 0, width);
  const interleaved = attributes.flag("interleaved", false);
  const part = (which: 0 | 1): Value =>
    interleaved ? sliceAxis(e, turned, 3, which, width, 2) : sliceAxis(e, turned, 3, which * half, (which + 1) * half);
  const [a, b] = [part(0), part(1)];
  const angle = (index: number): Value => {
    const cache = input(c, index);
    const rows = c.inputs[3] === undefined ? cache : takeAxis(e, cache, 0, c.inputs[3]);
    if (rankOf(rows) !== 3 || shapeOf(rows)[2] !== half) fail("E0203", `a cache of [${shapeOf(cache).join(",")}] for ${half} angles`);
    const sized = broadcastTo(e, rows, [batch, length, half]);
    return broadcastAxes(e, sized, shapeOf(a), [0, 1, 3]);
  };
  const [cos, sin] = [angle(1), angle(2)];
  const times = (u: Value, v: Value): Value => elementwise(e, "mul", u, v);
  const real = elementwise(e, "sub", times(cos, a), times(sin, b));
  const imaginary = elementwise(e, "add", times(sin, a), times(cos, b));
  const paired = (v: Value): Value => reshape(e, v, [...shapeOf(v), 1]);
  const joined = interleaved ? reshape(e, concat(e, [paired(real), paired(imaginary)], 4), shapeOf(turned)) : concat(e, [real, imaginary], 3);
  const whole = width === size ? joined : concat(e, [joined, sliceAxis(e, apart, 3, width, size)], 3);
  return flat ? reshape(e, whole, shapeOf(x)) : transpose(e, whole, [0, 2, 1, 3]);
}
