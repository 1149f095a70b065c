/**
 * @file NumPy's .npy files: format version 1 to 3, little-endian, C order; Fortran order is converted while reading. The format is in
 * numpy/lib/format.py: magic, version, length of the header, a Python dictionary as text, the elements.
 */
import { allocate, byteCount, bytesOf, elementCount, fail, type Dtype, type NumericArray, type Tensor } from "@systole/systole";

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const headerMultiple = 64;
const mostDimensions = 32;

const descriptors: Readonly<Record<Dtype, string>> = { f32: "<f4", f64: "<f8", i64: "<i8", i32: "<i4", i8: "|i1", u8: "|u1", bool: "|b1" };

export function isNpy(bytes: Uint8Array): boolean {
  return magic.every((byte, at) => bytes[at] === byte);
}

export function readNpy(bytes: Uint8Array, file: string): Tensor {
  const refuse = (message: string, notes: readonly string[] = []): never => fail("E0105", message, { file }, notes);
  if (!isNpy(bytes) || bytes.length < 10) refuse("not a .npy file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6]!;
  if (version < 1 || version > 3) refuse(`format version ${version}; versions 1 to 3 are known`);
  const [start, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, bytes.length < 12 ? Infinity : view.getUint32(8, true)];
  if (start + length > bytes.length) refuse("the file ends inside its header");
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const descriptor = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const dimensions = /'shape'\s*:\s*\(([0-9,\sL]*)\)/.exec(header)?.[1];
  if (descriptor === undefined || order === undefined || dimensions === undefined) return refuse("the header cannot be read");
  const dtype = dtypeOf(descriptor) ?? refuse(`elements of type "${descriptor}"`, [`accepted are ${Object.values(descriptors).join(", ")}: use array.astype(...)`]);
  const shape = dimensions.split(",").map((text) => text.trim()).filter((text) => text !== "").map((text) => Number.parseInt(text, 10));
  if (shape.length > mostDimensions || !Number.isSafeInteger(elementCount(shape))) refuse(`shape (${dimensions})`);
  const type = { dtype, shape };
  const wanted = byteCount(type);
  const given = bytes.length - start - length;
  if (given !== wanted) refuse(`${given} bytes of elements where the shape (${shape.join(", ")}) needs ${wanted}`);
  const data = allocate(dtype, elementCount(shape));
  new Uint8Array(data.buffer).set(bytes.subarray(start + length));
  if (dtype === "bool") for (let i = 0; i < data.length; i++) data[i] = data[i] === 0 ? 0 : 1;
  return { ...type, data: order === "True" ? fromFortranOrder(data, dtype, shape) : data };
}

export function writeNpy(tensor: Tensor): Uint8Array {
  const { dtype, shape } = tensor;
  // A tuple of one element is written with a comma.
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '${descriptors[dtype]}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const headerBytes = Math.ceil((10 + text.length + 1) / headerMultiple) * headerMultiple - 10;
  const result = new Uint8Array(10 + headerBytes + byteCount(tensor));
  result.set([...magic, 1, 0, headerBytes & 0xff, headerBytes >> 8]);
  result.set(new TextEncoder().encode(`${text.padEnd(headerBytes - 1)}\n`), 10);
  const elements = dtype === "f32" && tensor.data instanceof Float64Array ? new Float32Array(tensor.data) : tensor.data;
  result.set(new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength), 10 + headerBytes);
  return result;
}

function dtypeOf(descriptor: string): Dtype | undefined {
  const found = Object.entries(descriptors).find(([, known]) => known === descriptor || (known.startsWith("|") && descriptor.slice(1) === known.slice(1)));
  return found?.[0] as Dtype | undefined;
}

function fromFortranOrder(data: NumericArray, dtype: Dtype, shape: readonly number[]): NumericArray {
  const result = allocate(dtype, data.length);
  const from = new Uint8Array(data.buffer);
  const to = new Uint8Array(result.buffer);
  const width = bytesOf(dtype);
  const index = shape.map(() => 0);
  for (let target = 0; target < data.length; target++) {
    const source = index.reduceRight((at, i, axis) => at * shape[axis]! + i, 0);
    to.set(from.subarray(source * width, (source + 1) * width), target * width);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return result;
}
