/** @file TensorProto to tensor and back: every storage form of the standard, for the element types that the ir has. */
import { allocate, bytesOf, elementCount, fail, type Dtype, type NumericArray, type Place, type Tensor, type TensorType } from "@systole/base";
import { readExternalData, type ReadExternal } from "./external.ts";
import { decodeTensorProto, longToBigInt, longToNumber, messages, type TensorProto } from "./proto.ts";

/** TensorProto.DataType by number: the standard's name and, where the ir has it, the element type. */
const dataTypes: Readonly<Record<number, readonly [name: string, dtype?: Dtype]>> = {
  1: ["float32", "f32"], 2: ["uint8", "u8"], 3: ["int8", "i8"], 4: ["uint16"], 5: ["int16"], 6: ["int32", "i32"], 7: ["int64", "i64"],
  8: ["string"], 9: ["bool", "bool"], 10: ["float16"], 11: ["float64", "f64"], 12: ["uint32"], 13: ["uint64"], 14: ["complex64"], 15: ["complex128"],
  16: ["bfloat16"], 17: ["float8e4m3fn"], 18: ["float8e4m3fnuz"], 19: ["float8e5m2"], 20: ["float8e5m2fnuz"], 21: ["uint4"], 22: ["int4"],
  23: ["float4e2m1"], 24: ["float8e8m0"], 25: ["uint2"], 26: ["int2"],
};

const numberOfDtype: Readonly<Record<Dtype, number>> = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7, bool: 9, f64: 11 };

const externalLocation = 1;

/** The element type with this number in ONNX, or E0207. */
export function dtypeOf(dataType: number, where: Place): Dtype {
  const [name, dtype] = dataTypes[dataType] ?? [`number ${dataType}`];
  if (dataType === 0) fail("E0102", "element type not given", where);
  return dtype ?? fail("E0207", `element type ${name}`, where);
}

/** A TensorProto file (`.pb` of the conformance data) as a tensor; its name comes along. */
export function decodeTensor(bytes: Uint8Array): Tensor & { readonly name: string } {
  const proto = decodeTensorProto(bytes);
  return { ...tensorOf(proto, undefined), name: proto.name ?? "" };
}

/** A TensorProto with raw data. */
export function encodeTensor(tensor: Tensor, name = ""): Uint8Array {
  const count = elementCount(tensor.shape);
  // The float64 evaluator keeps f32 in a Float64Array, hence the copy into the type's own array.
  const data = allocate(tensor.dtype, count);
  for (let i = 0; i < count; i++) data[i] = tensor.data[i]!;
  const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return messages.TensorProto.encode({ dims: [...tensor.shape], dataType: numberOfDtype[tensor.dtype], rawData, name }).finish();
}

export function tensorTypeOf(proto: TensorProto): TensorType {
  return { dtype: dtypeOf(proto.dataType ?? 0, { value: proto.name ?? "" }), shape: (proto.dims ?? []).map((dim) => longToNumber(dim)) };
}

export function tensorOf(proto: TensorProto, read: ReadExternal | undefined): Tensor {
  const where: Place = { value: proto.name ?? "" };
  const { dtype, shape } = tensorTypeOf(proto);
  const count = elementCount(shape);
  if (shape.some((extent) => extent < 0) || !Number.isSafeInteger(count)) fail("E0102", `tensor with shape [${shape.join(",")}]`, where);
  if (proto.segment !== null && proto.segment !== undefined) fail("E0102", "tensors in segments were never part of the standard's use", where);
  return { dtype, shape, data: dataOf(proto, dtype, count, where, read) };
}

function dataOf(proto: TensorProto, dtype: Dtype, count: number, where: Place, read: ReadExternal | undefined): NumericArray {
  if (proto.dataLocation === externalLocation) return fromRaw(readExternalData(proto, read, count * bytesOf(dtype)), dtype, count, where);
  const raw = proto.rawData;
  if (raw !== null && raw !== undefined && raw.length > 0) return fromRaw(raw, dtype, count, where);
  const values = typedField(proto, dtype);
  if (values.length !== count) fail("E0102", `tensor with ${values.length} elements of data where its shape needs ${count}`, where);
  const data = allocate(dtype, count);
  for (let i = 0; i < count; i++) data[i] = (dtype === "i64" ? longToBigInt(values[i]!) : Number(values[i]!)) as never;
  if (dtype === "bool") normalizeBooleans(data);
  return data;
}

/** int32_data also carries the narrow integers and bool. */
function typedField(proto: TensorProto, dtype: Dtype): readonly (number | { readonly low: number; readonly high: number })[] {
  switch (dtype) {
    case "f32": return proto.floatData ?? [];
    case "f64": return proto.doubleData ?? [];
    case "i64": return proto.int64Data ?? [];
    case "i32":
    case "i8":
    case "u8":
    case "bool": return proto.int32Data ?? [];
  }
}

/** Raw data is little-endian, as are the hosts; it is copied because a view into the file may be unaligned. */
function fromRaw(raw: Uint8Array, dtype: Dtype, count: number, where: Place): NumericArray {
  const wanted = count * bytesOf(dtype);
  if (raw.length !== wanted) fail("E0102", `tensor with ${raw.length} bytes of data where its shape needs ${wanted}`, where);
  const data = allocate(dtype, count);
  new Uint8Array(data.buffer).set(raw);
  if (dtype === "bool") normalizeBooleans(data);
  return data;
}

function normalizeBooleans(data: NumericArray): void {
  for (let i = 0; i < data.length; i++) data[i] = (Number(data[i]!) !== 0 ? 1 : 0) as never;
}
