/** @file The part of the benchmark's document that is about derivatives. */
import type { DerivativeMachineResult, DerivativeResult } from "./derivatives.ts";
import { grouped, milliseconds, table } from "./markdown.ts";

const times = (n: number, of: number): string => (n / of).toFixed(2);
const percent = (n: number, of: number): string => `${((100 * n) / of).toFixed(1)} %`;

function compiled({ machines }: DerivativeResult): DerivativeMachineResult[] {
  return machines.filter((one): one is DerivativeMachineResult => "forward" in one);
}

export function derivativeSections(results: readonly DerivativeResult[], missing: readonly string[]): string[] {
  const withValues = results.filter((r) => compiled(r).some(({ host }) => host !== undefined));
  return [
    "## Cost of derivatives",
    "",
    "One program computes loss and gradient, or both and one Gauss-Newton product (`differentiate`, cross-entropy, all parameters). `product` is the second",
    "program less the first, so it has the network's intermediate values for nothing. The forward run is that of the plain compiler: parameters are",
    "constants there, and what depends on them alone (normalisation with stored statistics, transposes) is folded.",
    "",
    ...results.map((r) => `- ${r.name}: ${r.note}`),
    ...missing.map((name) => `- ${name}: left out, its file is not there`),
    ...results.flatMap((r) => r.machines.flatMap((m) => ("diagnostic" in m ? [`- ${r.name} on ${m.machine}: left out, ${m.diagnostic}`] : []))),
    "",
    table(["model", "machine", "forward cycles", "gradient cycles", "product cycles", "gradient / forward", "product / forward", "gradient compile ms", "with product ms"], results.flatMap((r) => compiled(r).map((m) => {
      const product = m.both.cycles - m.gradient.cycles;
      return [
        r.name, m.machine, grouped(m.forward.cycles), grouped(m.gradient.cycles), grouped(product), times(m.gradient.cycles, m.forward.cycles), times(product, m.forward.cycles),
        milliseconds(m.gradient.compileMs), milliseconds(m.both.compileMs),
      ];
    }))),
    "",
    "Where they go: the share of the kernels that do not use the array, and the slowest kernel of the gradient.",
    "",
    table(["model", "machine", "of forward", "of gradient", "of gradient with product", "slowest kernel", "bound by", "of gradient"], results.flatMap((r) => compiled(r).map(({ machine, forward, gradient, both }) => [
      r.name, machine, ...[forward, gradient, both].map((p) => percent(p.cyclesWithoutMacs, p.cycles)), `\`${gradient.slowest.name}\``, gradient.slowest.boundBy, percent(gradient.slowest.cycles, gradient.cycles),
    ]))),
    "",
    "Multiply-adds beside the floor. A contraction between values that both depend on parameters costs a gradient 3 (itself and two cotangents) and a product 4",
    "(two tangents and two cotangents), one with the data 2 and 2: nothing flows back into the data. Floors are the sums of that over the network before any",
    "folding, over the multiply-adds of the forward run.",
    "",
    table(["model", "machine", "forward", "gradient / forward", "floor", "product / forward", "floor"], results.flatMap((r) => multiplyAddRows(r))),
    "",
    "A ratio above its floor is work on zeros: a convolution's cotangent runs over its borders too. Multiply-adds are those of the array; where the vector unit",
    "computes small contractions (attention on the larger machines) a ratio is below its floor. Machines that count alike share a row.",
    "",
    ...(withValues.length === 0 ? [] : hostSection(withValues)),
  ];
}

/** Machines that count the same stand in one row. */
function multiplyAddRows(result: DerivativeResult): string[][] {
  const { floors } = result;
  if (floors === undefined) return [];
  const groups = new Map<string, DerivativeMachineResult[]>();
  for (const m of compiled(result)) {
    const key = [m.forward.macs, m.gradient.macs, m.both.macs].join();
    groups.set(key, [...(groups.get(key) ?? []), m]);
  }
  return [...groups.values()].map((group) => {
    const { forward, gradient, both } = group[0]!;
    return [
      result.name, group.map(({ machine }) => machine).join(", "), grouped(forward.macs), times(gradient.macs, forward.macs), times(floors.gradient, forward.macs),
      times(both.macs - gradient.macs, forward.macs), times(floors.product, forward.macs),
    ];
  });
}

function hostSection(results: readonly DerivativeResult[]): string[] {
  const jax = results.flatMap((r) => (typeof r.jax === "object" ? [r.jax] : []));
  const absent = new Set(results.flatMap((r) => (typeof r.jax === "string" ? [r.jax] : [])));
  return [
    "### Time on the host",
    "",
    "Runs with values: the machines and both programs take turns, medians of the rounds after the first. JAX computes the same in float32, compiled by jit before, in a",
    "process of its own right after; `JAX product` is a program for the product alone, which runs the network again. The ratio is the time of JAX over that",
    "of the device, for gradient with product: above 1 the device is faster. Errors are relative to the length of the stored float64 values,",
    "the larger of those of gradient and product.",
    "",
    ...jax.slice(0, 1).map(({ version }) => `JAX ${version}, asked for one thread; it used at most ${Math.max(...jax.map(({ cores }) => cores)).toFixed(2)} cores.`),
    ...[...absent].map((note) => `JAX did not run: ${note}.`),
    "",
    table(["model", "machine", "gradient ms", "with product ms", "best", "JAX gradient ms", "JAX with product ms", "best", "JAX product ms", "ratio", "error", "JAX error"], results.flatMap((r) => compiled(r).flatMap((m) => {
      if (m.host === undefined) return [];
      const { gradient, both, error } = m.host;
      const other = typeof r.jax === "object" ? r.jax : undefined;
      const theirs = (ms: number | undefined): string => (ms === undefined ? "-" : milliseconds(ms));
      return [[
        r.name, m.machine, milliseconds(gradient.medianMs), milliseconds(both.medianMs), milliseconds(both.bestMs), theirs(other?.gradientMs), theirs(other?.bothMs), theirs(other?.bothBestMs), theirs(other?.productMs),
        other === undefined ? "-" : times(other.bothMs, both.medianMs), error.toExponential(1), other === undefined ? "-" : other.error.toExponential(1),
      ]];
    }))),
    "",
  ];
}
