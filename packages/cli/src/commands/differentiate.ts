/** @file `systole differentiate`: loss, gradient and, for a direction, the Gauss-Newton product of a model, computed by the device. */
import { buildReport, renderReport, type ResidualReport } from "@systole/report";
import {
  byteCount, checkGradient, checkSymmetry, Device, differentiate, elementCount, fail, formatType, isFloat, isWeighed, lossInputs, residualBytes, sameShape, signDirection, totalWeight, writeImage,
  type Derivatives, type LossChoice, type Run, type Tensor,
} from "@systole/systole";
import { compileOptions, settled, type GivenTensor } from "../compiling.ts";
import { isSameFile, readBytes, writeTogether } from "../files/files.ts";
import { readNpz, writeNpz } from "../files/npz.ts";
import { readTensorFile } from "../files/tensorFile.ts";
import { readInputs } from "../inputs.ts";
import { lossChoice, type LossFlags } from "../losses.ts";
import { defaultMachine, findMachine, type CompileFlags, type InputFlag, type OfOutput } from "../options.ts";
import { UsageError } from "../usage.ts";
import { note, Progress, type Terminal } from "../terminal.ts";

export interface DifferentiateFlags extends CompileFlags, LossFlags {
  readonly input: readonly InputFlag[];
  readonly target?: readonly OfOutput[];
  readonly targetMask?: readonly OfOutput[];
  readonly vector?: string;
  readonly freeze?: readonly string[];
  readonly seed?: number;
  readonly sampleAxis?: Readonly<Record<string, number>>;
  readonly rematerialize?: boolean;
  readonly check?: boolean;
  readonly report?: string;
  readonly out: string;
}

/** Larger differences are reported as such; float32 sums and central differences reach about 1e-4. */
const checkLimit = 1e-2;

export function differentiateCommand(terminal: Terminal, path: string, flags: DifferentiateFlags): number {
  refuseOverwriting(path, flags);
  const machine = findMachine(flags.machine ?? defaultMachine);
  const choice = lossChoice(flags);
  const ofLosses = readLossInputs(choice, flags);
  const given = readInputs(flags.input);
  refuseNaN(given, flags);
  refuseNaN(unmaskedTargets(choice, ofLosses), flags);
  const direction = flags.vector === undefined ? undefined : readNpz(flags.vector, (name) => name.startsWith("v/"));
  const start = terminal.now();
  const model = readBytes(path);
  const { made: derivatives, notes } = settled(compileOptions(path, flags, terminal), given, (options) => differentiate(model, machine, {
    ...options, ...choice, lossTypes: new Map([...ofLosses].map(([name, { dtype, shape }]) => [name, { dtype, shape }])),
    product: direction !== undefined || flags.check === true, ...(flags.freeze === undefined ? {} : { freeze: flags.freeze }), ...(flags.rematerialize === true ? { rematerialize: true } : {}), ...(flags.seed === undefined ? {} : { seed: flags.seed }), ...(flags.sampleAxis === undefined ? {} : { sampleAxes: flags.sampleAxis }),
  }));
  const compileMs = terminal.now() - start;
  for (const warning of [...derivatives.notes, ...notes]) note(terminal, warning);
  const inputs = bindInputs(derivatives, given, ofLosses);
  checkLosses(derivatives, inputs);
  const device = new Device(derivatives.image, machine);
  const v = direction === undefined ? defaultDirection(derivatives, 0) : chosenDirection(terminal, derivatives, direction, flags.vector!);
  const begun = terminal.now();
  const run = runWith(terminal, device, derivatives, inputs, v);
  const report = buildReport(derivatives.image, machine, run, { compileMs, runMs: terminal.now() - begun, imageBytes: writeImage(derivatives.image).length }, residualReport(derivatives));
  const results = [...run.outputs].filter(([name]) => name === "loss" || name.startsWith("g/") || (direction !== undefined && (name.startsWith("Gv/") || name.startsWith("Jv"))));
  writeTogether([[flags.out, writeNpz(new Map(results))], ...(flags.report === undefined ? [] : [[flags.report, `${JSON.stringify(report, undefined, 2)}\n`] as const])]);
  terminal.out(`${renderReport(report)}\nloss ${Number(run.outputs.get("loss")!.data[0])}\n${results.length} tensors for ${derivatives.parameters.length} parameters in ${flags.out}\n`);
  if (flags.check !== true) return 0;
  return printCheck(terminal, derivatives, device, inputs, run, v);
}

/** Two results in one file, or a result in place of what it is made of. */
function refuseOverwriting(path: string, { out, report, vector, input, target = [], targetMask = [] }: DifferentiateFlags): void {
  if (report !== undefined && isSameFile(out, report)) throw new UsageError(`-o and --report are both ${out}`);
  const read = [path, ...(vector === undefined ? [] : [vector]), ...input.map(({ file }) => file), ...[...target, ...targetMask].map(({ value }) => value)];
  for (const [option, file] of [["-o", out], ["--report", report]] as const) {
    if (file !== undefined && read.some((other) => isSameFile(file, other))) throw new UsageError(`${option} ${file} would overwrite what is read`);
  }
}

/** Targets and masks under the names that the losses read. */
function readLossInputs(choice: LossChoice, { target = [], targetMask = [] }: DifferentiateFlags): Map<string, Tensor> {
  const losses = lossInputs(choice);
  const read = (option: string, kind: "target" | "mask", files: readonly OfOutput[]) => files.map(({ output, value }) => {
    const loss = output === undefined && losses.length === 1 ? losses[0]! : losses.find((one) => one.output === output && output !== undefined);
    const name = loss === undefined ? undefined : loss[kind];
    if (loss !== undefined && name === undefined) return fail("E0603", `${option}: a loss inside the model has its own target`, {}, ["Give it with --input."]);
    return [name ?? fail("E0603", `${option} ${output === undefined ? value : output}: which loss is it for?`, {}, [`wanted: ${losses.map((one) => `${option} ${one.output ?? "OUTPUT"}=FILE`).join(", ")}`]), readTensorFile(value)] as const;
  });
  const all = [...read("--target", "target", target), ...read("--target-mask", "mask", targetMask)];
  const given = new Map(all);
  if (given.size < all.length) throw new UsageError("a target or a mask is given twice");
  const missing = losses.filter((loss) => loss.target !== undefined && !given.has(loss.target));
  if (missing.length > 0) throw new UsageError(`--target ${missing.map(({ output }) => (losses.length === 1 ? "FILE" : `${output}=FILE`)).join(" --target ")} is missing`);
  return given;
}

/** Class numbers that are none, masks that are neither 0 nor 1, and targets of which nothing takes part. */
function checkLosses({ losses }: Derivatives, inputs: ReadonlyMap<string, Tensor>): void {
  for (const loss of losses) {
    const [target, mask] = [loss.targetInput, loss.maskInput].map((name) => (name === undefined ? undefined : inputs.get(name)));
    if (target !== undefined && (loss.name === "cross-entropy" || isWeighed(loss))) totalWeight(loss, target, mask);
  }
}

function residualReport({ residuals, keptBytes }: Derivatives): ResidualReport {
  const nodes = new Map<string, ResidualReport["nodes"][number]>();
  for (const { type, origin: { node, operator } } of residuals) {
    const key = JSON.stringify([node, operator]);
    const known = nodes.get(key) ?? { node, operator, count: 0, bytes: 0 };
    nodes.set(key, { ...known, count: known.count + 1, bytes: known.bytes + byteCount(type) });
  }
  return { count: residuals.length, bytes: residualBytes(residuals), keptBytes, nodes: [...nodes.values()] };
}

/** Behind a mask a target may hold anything. */
function unmaskedTargets(choice: LossChoice, ofLosses: ReadonlyMap<string, Tensor>): GivenTensor[] {
  return lossInputs(choice).flatMap(({ target, mask }) => {
    const tensor = target === undefined || (mask !== undefined && ofLosses.has(mask)) ? undefined : ofLosses.get(target);
    return tensor === undefined ? [] : [{ name: target, tensor }];
  });
}

/** A NaN in input or target would make every result NaN: say where it stands instead. */
function refuseNaN(given: readonly GivenTensor[], { sampleAxis }: Pick<DifferentiateFlags, "sampleAxis">): void {
  for (const { name, tensor } of given) {
    const at = firstNaN(tensor);
    if (at < 0) continue;
    const axis = name === undefined ? 0 : (sampleAxis?.[name] ?? 0);
    const sample = Math.floor(at / Math.max(1, elementCount(tensor.shape.slice(axis + 1)))) % Math.max(1, tensor.shape[axis] ?? 1);
    fail("E0602", `element ${at} is NaN, in sample ${sample}`, name === undefined ? {} : { value: name });
  }
}

function firstNaN({ dtype, data }: Tensor): number {
  return isFloat(dtype) ? (data as Float32Array).findIndex((x) => Number.isNaN(x)) : -1;
}

function bindInputs(derivatives: Derivatives, given: readonly GivenTensor[], ofLosses: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const wanted = derivatives.model.inputs;
  const bound = new Map(ofLosses);
  const own = new Set<string>();
  for (const { name, tensor } of given) {
    const only = wanted.length === 1 ? wanted[0]!.name : undefined;
    const input = wanted.find((one) => one.name === (name ?? only));
    if (input === undefined) return fail("E0601", name === undefined ? `the model has ${wanted.length} inputs: say which one the file is for` : `the model has no input "${name}"`, {}, wanted.map((one) => `--input ${one.name}=FILE with ${formatType(one.type)}`));
    if (own.has(input.name)) return fail("E0601", `input "${input.name}" is given twice`);
    own.add(input.name);
    bound.set(input.name, tensor);
  }
  const missing = wanted.filter(({ name }) => !bound.has(name));
  if (missing.length > 0) fail("E0601", `${missing.length} of ${wanted.length} inputs are missing`, {}, missing.map((one) => `wanted: --input ${one.name}=FILE with ${formatType(one.type)}`));
  return bound;
}

/** The direction of the file, one tensor `v/PARAMETER` for each parameter; it does not move those that it leaves out, which a note says. */
function chosenDirection(terminal: Terminal, derivatives: Derivatives, tensors: ReadonlyMap<string, Tensor>, file: string): Map<string, Tensor> {
  const { model, parameters } = derivatives;
  const wanted = `wanted: one tensor for each of ${parameters.map((name) => `v/${name}`).join(", ")}`;
  const names = [...tensors.keys()].filter((name) => name.startsWith("v/")).map((name) => name.slice(2));
  const strange = names.find((name) => !model.graph.parameters.some((parameter) => parameter.name === name));
  if (strange !== undefined) fail("E0601", `"v/${strange}" is the direction of no parameter`, { file }, [wanted]);
  const missing = parameters.filter((name) => !names.includes(name));
  if (missing.length === parameters.length) fail("E0601", "there is no direction of a parameter", { file }, [wanted]);
  if (missing.length > 0) note(terminal, `${file} has no ${missing.map((name) => `v/${name}`).join(", ")}: zero`);
  return new Map(parameters.map((name) => {
    const type = parameterType(derivatives, name);
    const tensor = tensors.get(`v/${name}`) ?? { ...type, data: new Float32Array(elementCount(type.shape)) };
    if (!sameShape(tensor.shape, type.shape)) fail("E0602", `"v/${name}" is ${formatType(tensor)}, the parameter ${formatType(type)}`, { file });
    const data = tensor.dtype === "f32" ? (tensor.data as Float32Array) : Float32Array.from(tensor.data as ArrayLike<number>, Number);
    const at = data.findIndex((x) => !Number.isFinite(x));
    if (at >= 0) fail("E0602", `element ${at} of "v/${name}" is ${Number.isNaN(data[at]) ? "NaN" : `${data[at]} in float32`}`, { file });
    return [name, { dtype: "f32" as const, shape: tensor.shape, data }];
  }));
}

function defaultDirection(derivatives: Derivatives, seed: number): Map<string, Tensor> {
  return new Map(derivatives.parameters.map((name, i) => [name, signDirection(parameterType(derivatives, name).shape, seed * 1000 + i)]));
}

function parameterType(derivatives: Derivatives, name: string): { readonly dtype: "f32"; readonly shape: readonly number[] } {
  const parameter = derivatives.model.graph.parameters.find((p) => p.name === name);
  return { dtype: "f32", shape: parameter?.tensor.shape ?? [] };
}

function runWith(terminal: Terminal, device: Device, derivatives: Derivatives, inputs: ReadonlyMap<string, Tensor>, direction: ReadonlyMap<string, Tensor>): Run {
  const progress = new Progress(terminal, "running");
  try {
    const wanted = new Set(derivatives.image.symbols.filter((symbol) => symbol.kind === "input").map((symbol) => symbol.name));
    const all = [...inputs, ...[...direction].map(([name, tensor]): [string, Tensor] => [`v/${name}`, tensor])].filter(([name]) => wanted.has(name));
    return device.run(new Map(all), { now: terminal.now, onProgress: (done, total) => progress.update(done, total) });
  } finally {
    progress.end();
  }
}

function printCheck(terminal: Terminal, derivatives: Derivatives, device: Device, inputs: ReadonlyMap<string, Tensor>, run: Run, v: ReadonlyMap<string, Tensor>): number {
  const { parameters } = derivatives;
  const take = (from: Run, prefix: string) => new Map(parameters.map((name) => [name, from.outputs.get(prefix + name)!]));
  const rows = checkGradient(derivatives.lossGraph, inputs, take(run, "g/"));
  const width = Math.max(9, ...rows.map((row) => row.parameter.length));
  terminal.out(`\n${"parameter".padEnd(width)}  gradient along a direction  central difference  relative, beyond the rounding of the difference\n`);
  for (const row of rows) terminal.out(`${row.parameter.padEnd(width)}  ${row.derivative.toExponential(6).padStart(27)}  ${row.difference.toExponential(6).padStart(18)}  ${row.relativeError.toExponential(1).padStart(48)}\n`);
  const u = defaultDirection(derivatives, 1);
  const symmetry = checkSymmetry(u, v, take(runWith(terminal, device, derivatives, inputs, u), "Gv/"), take(run, "Gv/"));
  terminal.out(`Gauss-Newton: u'Gv ${symmetry.uGv.toExponential(6)}, v'Gu ${symmetry.vGu.toExponential(6)}, relative difference ${symmetry.relativeError.toExponential(1)}; v'Gv ${symmetry.vGv.toExponential(6)}\n`);
  const wrong = rows.filter((row) => !(row.relativeError <= checkLimit)).map((row) => row.parameter);
  if (wrong.length === 0 && symmetry.relativeError <= checkLimit) return 0;
  terminal.err(`the check failed for ${[...wrong, ...(symmetry.relativeError <= checkLimit ? [] : ["the symmetry of G"])].join(", ")}: a kink of the network near the point, or a mistake\n`);
  return 1;
}
