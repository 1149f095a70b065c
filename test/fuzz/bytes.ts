/** @file Mutations that know nothing of what bytes mean. */

/** 32 random bits at every call. */
export type Bits = () => number;

export function pick<T>(bits: Bits, options: readonly T[]): T {
  return options[bits() % options.length]!;
}

const interesting = [0, 1, 0x7f, 0x80, 0xff] as const;

export function mutateBytes(bits: Bits, bytes: Uint8Array): Uint8Array {
  let mutated: Uint8Array = Uint8Array.from(bytes);
  for (let more = 1 + (bits() % 4); more > 0; more--) mutated = oneMutation(bits, mutated);
  return mutated;
}

function oneMutation(bits: Bits, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(bits() & 0xff);
  const at = bits() % bytes.length;
  const span = Math.min(1 + (bits() % 16), bytes.length - at);
  switch (bits() % 8) {
    case 0:
    case 1:
      bytes[at]! ^= 1 << (bits() & 7);
      return bytes;
    case 2:
      bytes[at] = bits();
      return bytes;
    case 3:
      bytes[at] = pick(bits, interesting);
      return bytes;
    case 4:
      bytes.fill(pick(bits, interesting), at, at + span);
      return bytes;
    case 5: {
      const from = bits() % bytes.length;
      bytes.copyWithin(at, from, from + span);
      return bytes;
    }
    case 6: return Uint8Array.of(...bytes.subarray(0, at), ...Array.from({ length: span }, () => bits() & 0xff), ...bytes.subarray(at));
    default: return bits() % 4 === 0 ? bytes.slice(0, at) : Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + span));
  }
}
