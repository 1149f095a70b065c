/**
 * @file A convolution with a dilated input as convolutions without: the holes of the input are no terms of the sum, and which kernel positions fall
 * on elements depends only on the output position modulo a period. Each residue is a convolution of its own with a subsampled kernel,
 * written to every so many-th output; the order of the kernel positions stays.
 *
 * Output o takes kernel position k at input (o s + k D - pad) / L where that is a whole number. With P = L / gcd(s, L) and M = L / gcd(D, L):
 * o = P q + p takes k = k0 + M j at input (P s / L) q + (M D / L) j + (p s + k0 D - pad) / L.
 */
import type { Params } from "@systole/ir";

/** One residue of one spatial axis. */
export interface AxisPhase {
  readonly outStart: number;
  readonly outStep: number;
  readonly outCount: number;
  readonly kernelStart: number;
  readonly kernelStep: number;
  /** 0: no kernel position meets an element, the outputs are +0. */
  readonly kernelCount: number;
  /** Input position = outFactor * q + kernelFactor * j - low. */
  readonly outFactor: number;
  readonly kernelFactor: number;
  readonly low: number;
}

export function axisPhases(c: Params<"conv">, axis: number, out: number, kernel: number): readonly AxisPhase[] {
  const [stride, low, holes, dilation] = [c.strides[axis]!, c.padding[axis]![0], c.lhsDilation[axis]!, c.rhsDilation[axis]!];
  const period = holes / gcd(stride, holes);
  const kernelStep = holes / gcd(dilation, holes);
  return Array.from({ length: Math.min(period, out) }, (_, p) => {
    const position = (k: number) => p * stride + k * dilation - low;
    const kernelStart = Array.from({ length: kernelStep }, (__, k) => k).find((k) => position(k) % holes === 0);
    const start = kernelStart ?? 0;
    return {
      outStart: p, outStep: period, outCount: Math.ceil((out - p) / period), kernelStart: start, kernelStep, kernelCount: kernelStart === undefined ? 0 : Math.max(0, Math.ceil((kernel - start) / kernelStep)),
      outFactor: (period * stride) / holes, kernelFactor: (kernelStep * dilation) / holes, low: kernelStart === undefined ? 0 : -position(start) / holes,
    };
  });
}

/** Every combination of the phases of several axes. */
export function combinations<T>(choices: readonly (readonly T[])[]): readonly (readonly T[])[] {
  return choices.reduce<readonly (readonly T[])[]>((all, some) => all.flatMap((head) => some.map((one) => [...head, one])), [[]]);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
