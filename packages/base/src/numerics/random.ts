/** @file Counter-based random bits: Threefry-2x32 with 20 rounds (Salmon et al., SC 2011). A pure function of seed and counter. */

/** By how many bits each of eight rounds rotates, and what the third key word is made with. */
export const threefryRotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;
export const threefryParity = 0x1bd11bda;
export const threefryRounds = 20;

/** Both words of one block; the words of key and counter are 32-bit integers of either sign. */
export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number): readonly [number, number] {
  const keys = [key0, key1, key0 ^ key1 ^ threefryParity] as const;
  let x0 = (counter0 + key0) | 0;
  let x1 = (counter1 + key1) | 0;
  for (let round = 0; round < threefryRounds; round++) {
    const r = threefryRotations[round % 8]!;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      x0 = (x0 + keys[injection % 3]!) | 0;
      x1 = (x1 + keys[(injection + 1) % 3]! + injection) | 0;
    }
  }
  return [x0, x1];
}

/** Element `index` of `random_bits(seed)`, as a signed 32-bit integer. */
export function randomBits(seed: bigint, index: number): number {
  const low = Number(BigInt.asIntN(32, seed));
  const high = Number(BigInt.asIntN(32, seed >> 32n));
  return threefry2x32(low, high, index | 0, Math.floor(index / 4294967296) | 0)[0];
}

/** A seed of its own for each of several streams: both words of the block with the seed as key and the counter (stream, -1), which no `randomBits` reads. */
export function streamSeed(seed: bigint, stream: number): bigint {
  const [low, high] = threefry2x32(Number(BigInt.asIntN(32, seed)), Number(BigInt.asIntN(32, seed >> 32n)), stream | 0, -1);
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}
