/** @file Types of graph inputs: element type, and dimensions bound by --shape, --batch or the model itself. */
import { fail, type TensorType } from "@systole/base";
import { longToNumber, type ValueInfoProto } from "./proto.ts";
import { dtypeOf } from "./tensors.ts";

export interface Bindings {
  readonly batch?: number;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
}

/** A dimension as the model states it: a number, a name, or nothing at all. */
type Dimension = number | string | undefined;

const batchNames = /^(batch|batch_?size|n)$/i;

/** The types of all inputs at once, since a name means the same number wherever it stands. */
export function bindInputs(inputs: readonly ValueInfoProto[], bindings: Bindings): TensorType[] {
  const shapes = bindings.shapes ?? {};
  const names = inputs.map((info) => info.name ?? "");
  const unknown = Object.keys(shapes).find((name) => !names.includes(name));
  if (unknown !== undefined) fail("E0601", `a shape is given for "${unknown}", which is no input`, {}, [`inputs: ${names.join(", ")}`]);
  for (const extent of [bindings.batch ?? 1, ...Object.values(shapes).flat()]) {
    if (!Number.isSafeInteger(extent) || extent < 0) fail("E0603", `an extent of ${extent}`);
  }
  const stated = inputs.map(dimensionsOf);
  const symbols = new Map<string, number>();
  stated.forEach((dimensions, i) => bindSymbols(names[i]!, dimensions, shapes[names[i]!], symbols));
  const open = stated.filter((_, i) => shapes[names[i]!] === undefined);
  if (bindings.batch !== undefined) bindBatch(open, bindings.batch, symbols);
  return inputs.map((info, i) => {
    const dtype = dtypeOf(info.type?.tensorType?.elemType ?? 0, { value: names[i]! });
    const dimensions = stated[i];
    const given = shapes[names[i]!];
    if (given !== undefined) return { dtype, shape: given };
    if (dimensions === undefined) fail("E0204", `input "${names[i]}" has no shape`, { value: names[i]! });
    return { dtype, shape: dimensions.map((dimension, axis) => resolve(dimension, axis, names[i]!, bindings.batch, symbols)) };
  });
}

/** How the model writes the shape, for people: `[N, 3, 224, ?]`. */
export function statedShape(info: ValueInfoProto): string {
  const dimensions = dimensionsOf(info);
  return dimensions === undefined ? "?" : `[${dimensions.map((dimension) => dimension ?? "?").join(", ")}]`;
}

/** An input as the model declares it: an extent for each axis, undefined where it is open; no axes where the model states no shape. */
export interface DeclaredInput {
  readonly name: string;
  readonly extents: readonly (number | undefined)[] | undefined;
}

export function declaredInput(info: ValueInfoProto): DeclaredInput {
  return { name: info.name ?? "", extents: dimensionsOf(info)?.map((dimension) => (typeof dimension === "number" ? dimension : undefined)) };
}

function dimensionsOf(info: ValueInfoProto): Dimension[] | undefined {
  const where = { value: info.name ?? "" };
  const type = info.type;
  const tensorType = type?.tensorType;
  if (tensorType === null || tensorType === undefined) {
    const other = type === null || type === undefined ? "no type" : "a type that is not a dense tensor";
    return fail("E0207", `value "${where.value}" has ${other}`, where);
  }
  return tensorType.shape?.dim?.map((dimension): Dimension => {
    const extent = dimension.dimValue === null || dimension.dimValue === undefined ? undefined : longToNumber(dimension.dimValue);
    const name = dimension.dimParam ?? "";
    // Protobuf cannot tell an unset number from 0 when a name stands beside it; exporters also write -1 for unknown.
    if (name !== "") return name;
    return extent === undefined || extent < 0 || !Object.hasOwn(dimension, "dimValue") ? undefined : extent;
  });
}

function bindSymbols(name: string, dimensions: Dimension[] | undefined, given: readonly number[] | undefined, symbols: Map<string, number>): void {
  if (given === undefined || dimensions === undefined) return;
  if (given.length !== dimensions.length) fail("E0203", `input "${name}" has ${dimensions.length} dimensions, ${given.length} are given`, { value: name });
  dimensions.forEach((dimension, axis) => {
    const extent = given[axis]!;
    const known = typeof dimension === "string" ? symbols.get(dimension) : dimension;
    if (known !== undefined && known !== extent) fail("E0203", `dimension ${axis} of input "${name}" is ${known}, ${extent} is given`, { value: name });
    if (typeof dimension === "string") symbols.set(dimension, extent);
  });
}

/** The batch is every unknown first dimension and whatever is called so. */
function bindBatch(stated: readonly (Dimension[] | undefined)[], batch: number, symbols: Map<string, number>): void {
  stated.forEach((dimensions) => {
    dimensions?.forEach((dimension, axis) => {
      if (typeof dimension === "string" && !symbols.has(dimension) && (axis === 0 || batchNames.test(dimension))) symbols.set(dimension, batch);
    });
  });
}

/** The axis of each input that a batch is bound to: the one that is called so, where there is none the first if it is open, where there is none either simply the first. */
export function batchAxes(inputs: readonly ValueInfoProto[]): Readonly<Record<string, number>> {
  const stated = inputs.map((info) => ({ name: info.name ?? "", dimensions: dimensionsOf(info) ?? [undefined] }));
  const ways: readonly ((dimensions: readonly Dimension[]) => number)[] = [
    (dimensions) => dimensions.findIndex((dimension) => typeof dimension === "string" && batchNames.test(dimension)),
    (dimensions) => (dimensions.length > 0 && typeof dimensions[0] !== "number" ? 0 : -1),
    (dimensions) => (dimensions.length > 0 ? 0 : -1),
  ];
  const found = ways.map((way) => stated.map(({ name, dimensions }) => [name, way(dimensions)] as const).filter(([, axis]) => axis >= 0));
  return Object.fromEntries(found.find((axes) => axes.length > 0) ?? []);
}

function resolve(dimension: Dimension, axis: number, input: string, batch: number | undefined, symbols: ReadonlyMap<string, number>): number {
  if (typeof dimension === "number") return dimension;
  const extent = dimension === undefined ? (axis === 0 ? batch : undefined) : symbols.get(dimension);
  return extent ?? fail("E0204", `dimension ${axis}${dimension === undefined ? "" : ` ("${dimension}")`} of input "${input}" is unknown`, { value: input });
}
