/** @file What type rules check again and again; every failure is E0203 and names both sides. */
import { fail, formatType, isFloat, isInteger, sameShape, type Dtype, type TensorType } from "@systole/base";

/** Primitives without parameters. */
export type NoParams = Readonly<Record<string, never>>;

export function require(condition: boolean, message: () => string): asserts condition {
  if (!condition) fail("E0203", message());
}

export function requireOperands(name: string, inputs: readonly TensorType[], count: number): void {
  require(inputs.length === count, () => `${name} takes ${count} operand${count === 1 ? "" : "s"}, ${inputs.length} given`);
}

/** `count` operands, then perhaps one more. */
export function requireOperandsAndPerhaps(name: string, inputs: readonly TensorType[], count: number, more: string): void {
  require(inputs.length === count || inputs.length === count + 1, () => `${name} takes ${count} operand${count === 1 ? "" : "s"} and perhaps ${more}, ${inputs.length} given`);
}

/** What a sum starts from has the type of the result. */
export function requireInitial(name: string, given: TensorType | undefined, wanted: TensorType): void {
  require(given === undefined || (given.dtype === wanted.dtype && sameShape(given.shape, wanted.shape)), () => `${name}: the initial sums are ${formatType(given!)}, the result is ${formatType(wanted)}`);
}

export function requireSameDtype(name: string, a: TensorType, b: TensorType): void {
  require(a.dtype === b.dtype, () => `${name}: element types differ: ${formatType(a)} and ${formatType(b)}`);
}

export function requireNumeric(name: string, type: TensorType): void {
  require(isFloat(type.dtype) || isInteger(type.dtype), () => `${name} is not defined for ${formatType(type)}`);
}

export function requireDtype(name: string, what: string, type: TensorType, wanted: readonly Dtype[]): void {
  require(wanted.includes(type.dtype), () => `${name}: ${what} is ${formatType(type)}, wanted ${wanted.join(" or ")}`);
}

export function requireShape(name: string, what: string, given: readonly number[], wanted: readonly number[]): void {
  require(sameShape(given, wanted), () => `${name}: ${what} has shape [${given.join(",")}], wanted [${wanted.join(",")}]`);
}

/** Extents are whole numbers and not negative. */
export function requireExtents(name: string, shape: readonly number[]): void {
  require(shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0), () => `${name}: [${shape.join(",")}] is not a shape`);
}

export function requireAxis(name: string, type: TensorType, axis: number): void {
  require(Number.isInteger(axis) && axis >= 0 && axis < type.shape.length, () => `${name}: ${formatType(type)} has no axis ${axis}`);
}

/** Distinct axes of the operand, ascending. */
export function requireAxes(name: string, type: TensorType, axes: readonly number[]): void {
  for (const axis of axes) requireAxis(name, type, axis);
  require(axes.every((axis, i) => i === 0 || axes[i - 1]! < axis), () => `${name}: axes [${axes.join(",")}] are not ascending`);
}

/** One whole number at least `least` for each of `rank` axes. */
export function requireAmounts(name: string, what: string, values: readonly number[], rank: number, least: number): void {
  require(values.length === rank, () => `${name}: ${values.length} ${what} for ${rank} axes`);
  require(values.every((value) => Number.isSafeInteger(value) && value >= least), () => `${name}: ${what} [${values.join(",")}] must be whole numbers from ${least}`);
}

export function requirePadding(name: string, padding: readonly (readonly [number, number])[], rank: number): void {
  require(padding.length === rank, () => `${name}: ${padding.length} pairs of padding for ${rank} axes`);
  require(padding.every((pair) => pair.length === 2 && pair.every(Number.isSafeInteger)), () => `${name}: padding ${JSON.stringify(padding)} is not a list of pairs`);
}

/** What cannot be differentiated; the caller adds the node. */
export function noDerivative(what: string): never {
  return fail("E0208", `no derivative is defined for ${what}`);
}
