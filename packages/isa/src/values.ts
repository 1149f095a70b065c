/** @file Field values: numbers, and bigints in fields wider than 48 bits. */

/** The value of a field of at most 48 bits. */
export function fieldNumber(value: number | bigint): number {
  return typeof value === "number" ? value : Number(value);
}

/** The 64 bits of an immediate, unsigned. */
export function fieldBits(value: number | bigint): bigint {
  return BigInt.asUintN(64, typeof value === "bigint" ? value : BigInt(Math.trunc(value)));
}

/** The float64 that has these bits. */
export function float64OfBits(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

/** What an immediate field holds for a float64. */
export function bitsOfFloat64(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

/** What a 32-bit fill field holds for a float32. */
export function bitsOfFloat32(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0);
}

/** Loop levels of a mask, ascending. */
export function levelsOfMask(mask: number | bigint): number[] {
  const bits = fieldNumber(mask);
  return [0, 1, 2, 3, 4, 5, 6, 7].filter((level) => ((bits >> level) & 1) === 1);
}

/** The mask of some loop levels. */
export function maskOfLevels(levels: readonly number[]): number {
  return levels.reduce((mask, level) => mask | (1 << level), 0);
}
