/** @file Constants, what is known from shapes alone, element types, and operators that are the identity in inference. */
import { elementCount, fail, isFloat, tensor, type Tensor } from "@systole/base";
import type { Value } from "@systole/ir";
import { dtypeOf } from "../model/tensors.ts";
import { broadcastAxes, convert, elementwise, filled, integers, iota, range, rankOf, scalar, shapeOf, withNumber } from "../lowering/values.ts";
import { input, knownIntegers, knownNumber, operator, requireFloat, requireRank, type Call, type Operator } from "./operator.ts";

export const sourceOperators: readonly Operator[] = [
  operator("Constant", (c) => c.e.constant(constantValue(c)), "no strings, no sparse tensors"),
  operator("ConstantOfShape", constantOfShape),
  operator("Shape", shape),
  operator("Size", (c) => scalar(c.e, "i64", elementCount(shapeOf(input(c, 0))))),
  operator("Range", rangeOperator, "bounds known at import"),
  operator("EyeLike", eyeLike),
  operator("Trilu", trilu, "k known at import"),
  operator("Cast", (c) => cast(c, dtypeOf(c.attributes.int("to", 0), { attribute: "to" })), "between the supported element types"),
  operator("CastLike", (c) => cast(c, input(c, 1).type.dtype), "between the supported element types"),
  operator("Dropout", dropout, "in training form with random masks, under `train` and `differentiate` only and where the samples can be told apart; elsewhere the identity"),
];

function constantValue(c: Call): Tensor {
  const { attributes } = c;
  const given = attributes.names();
  if (given.length !== 1) fail("E0202", `one value wanted, attributes given: ${given.join(", ")}`);
  switch (given[0]) {
    case "value": return attributes.tensor("value") ?? fail("E0102", "an empty tensor attribute");
    case "value_float": return tensor("f32", [], [attributes.float("value_float", 0)]);
    case "value_floats": return listOf("f32", attributes.floats("value_floats") ?? []);
    case "value_int": return tensor("i64", [], [attributes.bigint("value_int") ?? 0n]);
    case "value_ints": return listOf("i64", attributes.bigints("value_ints") ?? []);
    default: return fail("E0207", `a constant by ${given[0]}`, { attribute: given[0] ?? "" });
  }
}

const listOf = (dtype: "f32" | "i64", values: readonly (number | bigint)[]): Tensor => tensor(dtype, [values.length], values);

function constantOfShape(c: Call): Value {
  const value = c.attributes.tensor("value") ?? tensor("f32", [], [0]);
  if (elementCount(value.shape) !== 1) c.attributes.refuse("value", `has ${elementCount(value.shape)} elements`, "one element");
  return filled(c.e, value.dtype, value.data[0]!, knownIntegers(c, 0, "input"));
}

function shape(c: Call): Value {
  const extents = shapeOf(input(c, 0));
  const clamp = (value: number): number => Math.min(Math.max(value < 0 ? value + extents.length : value, 0), extents.length);
  return integers(c.e, extents.slice(clamp(c.attributes.int("start", 0)), clamp(c.attributes.int("end", extents.length))));
}

function rangeOperator(c: Call): Value {
  const { dtype } = input(c, 0).type;
  c.attributes.ignore("stash_type");
  const [start, limit, delta] = [knownNumber(c, 0, "start"), knownNumber(c, 1, "limit"), knownNumber(c, 2, "delta")];
  if (delta === 0) fail("E0203", "a range with delta 0");
  const count = Math.max(Math.ceil((limit - start) / delta), 0);
  return c.e.constant(tensor(dtype, [count], range(count).map((i) => start + i * delta)));
}

function eyeLike(c: Call): Value {
  const x = input(c, 0);
  requireRank(x, 2, 2);
  const dtype = c.attributes.has("dtype") ? dtypeOf(c.attributes.int("dtype", 0), { attribute: "dtype" }) : x.type.dtype;
  const k = c.attributes.int("k", 0);
  const extents = shapeOf(x);
  const column = iota(c.e, "i64", extents, 1);
  return convert(c.e, elementwise(c.e, "eq", column, withNumber(c.e, "add", iota(c.e, "i64", extents, 0), k)), dtype);
}

/** Keeps column >= row + k above, column <= row + k below. */
function trilu(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  requireRank(x, 2);
  const upper = c.attributes.flag("upper", true);
  const k = c.inputs[1] === undefined ? 0 : knownNumber(c, 1, "k");
  const matrix = shapeOf(x).slice(-2);
  const edge = withNumber(e, "add", iota(e, "i64", matrix, 0), k);
  const kept = elementwise(e, upper ? "ge" : "le", iota(e, "i64", matrix, 1), edge);
  const mask = broadcastAxes(e, kept, shapeOf(x), range(2, rankOf(x) - 2));
  return elementwise(e, "select", mask, x, scalar(e, x.type.dtype, 0));
}

/** `saturate` and `round_mode` speak of 8-bit floats only. */
function cast(c: Call, dtype: Tensor["dtype"]): Value {
  c.attributes.ignore("saturate", "round_mode");
  return convert(c.e, input(c, 0), dtype);
}

/** The mask's type is that of the data before opset 10. */
function dropout(c: Call): Value[] {
  const x = input(c, 0);
  c.attributes.ignore("ratio", "seed");
  // A ratio that is an initializer is no parameter, whether it counts here or not.
  if (c.inputs[1] !== undefined) c.e.readable(c.inputs[1]);
  const training = c.inputs[2] !== undefined && knownNumber(c, 2, "training_mode") !== 0;
  const ratio = !training ? 0 : c.inputs[1] === undefined ? 0.5 : knownNumber(c, 1, "ratio");
  if (!(ratio >= 0 && ratio < 1)) fail("E0202", `a ratio of ${ratio}`, {}, ["accepted: from 0 to below 1"]);
  if (ratio > 0 && c.dropout !== "off") return withRandomMask(c, x, ratio);
  if (c.wanted[1] !== true) return [x];
  const dtype = c.opset < 10 && isFloat(x.type.dtype) ? x.type.dtype : "bool";
  return [x, filled(c.e, dtype, 1, shapeOf(x))];
}

/** What is kept is divided by the part that is kept. */
function withRandomMask({ e, dropout: random }: Call, x: Value, ratio: number): Value[] {
  requireFloat(x);
  if (random === undefined || random === "off") return fail("E0202", `training with ratio ${ratio}`, {}, ["accepted: training_mode false, or ratio 0; `train` and `differentiate` draw masks"]);
  // The bits are a signed number: uniform from -2^31 on.
  const kept = withNumber(e, "ge", random.bits(x), Math.min(Math.round(ratio * 2 ** 32), 2 ** 32 - 1) - 2 ** 31);
  return [elementwise(e, "select", kept, withNumber(e, "mul", x, 1 / (1 - ratio)), scalar(e, x.type.dtype, 0)), kept];
}
