/**
 * @file What derivatives cost: cycles and multiply-adds of forward, gradient and gradient with a Gauss-Newton product on every machine, and the host's time for
 * them beside JAX. The networks are those of the oracle, whose stored values tell the error, and ResNet-50 for its cycles alone.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { compile, decodeTensor, Device, differentiate, InputError, presets, type Derivatives, type Machine, type Tensor, type TensorType } from "@systole/systole";
import { readNpz } from "../packages/cli/src/files/npz.ts";
import { floorsOf, type Floors } from "./contractions.ts";
import { runJax, type JaxResult } from "./jax.ts";
import { models } from "./models.ts";

export interface DerivativeModel {
  readonly name: string;
  readonly note: string;
  /** Rounds with values; 0: cycles alone. */
  readonly runs: number;
  readonly load: () => LoadedDerivativeModel | undefined;
}

export interface LoadedDerivativeModel {
  readonly bytes: Uint8Array;
  readonly target: TensorType;
  /** Inputs of the programs and the stored results, by name. */
  readonly values?: { readonly input: Tensor; readonly target: Tensor; readonly stored: ReadonlyMap<string, Tensor> };
}

interface Program {
  readonly cycles: number;
  readonly macs: number;
  readonly compileMs: number;
  /** Cycles of the kernels that do not use the array. */
  readonly cyclesWithoutMacs: number;
  readonly slowest: { readonly name: string; readonly cycles: number; readonly boundBy: string };
}

interface HostTime {
  readonly medianMs: number;
  readonly bestMs: number;
}

export interface DerivativeMachineResult {
  readonly machine: string;
  readonly forward: Program;
  readonly gradient: Program;
  /** Gradient and product in one program. */
  readonly both: Program;
  readonly host?: { readonly gradient: HostTime; readonly both: HostTime; readonly error: number };
}

export interface DerivativeResult {
  readonly name: string;
  readonly note: string;
  readonly runs: number;
  readonly floors?: Floors;
  readonly machines: readonly (DerivativeMachineResult | { readonly machine: string; readonly diagnostic: string })[];
  /** A text says why it did not run; missing: it was not asked. */
  readonly jax?: JaxResult | string;
}

const shared = join(import.meta.dirname, "../../shared/data/oracle");

function oracle(name: string, note: string, runs: number): DerivativeModel {
  const path = (file: string): string => join(shared, name, file);
  return {
    name, note, runs,
    load() {
      if (!existsSync(path("model.onnx"))) return undefined;
      const target = decodeTensor(readFileSync(path("target.pb")));
      const input = decodeTensor(readFileSync(path("test_data_set_0/input_0.pb")));
      return { bytes: readFileSync(path("model.onnx")), target, values: { input, target, stored: readNpz(path("oracle.npz")) } };
    },
  };
}

export const derivativeModels: readonly DerivativeModel[] = [
  oracle("mlp_relu_784_64_10", "two dense layers, 16 images", 41),
  oracle("lenet_28", "two convolutions, average and maximum pooling, two dense layers, 8 images", 15),
  oracle("resnet8_cifar_eval", "a residual network with stored statistics, 4 images of 32 x 32", 7),
  oracle("lstm_T9", "an LSTM of 24 units over 9 steps, 6 sequences", 15),
  oracle("encoder_L2_d32", "a transformer encoder of two layers, width 32, 4 sequences of 12", 15),
  {
    name: "resnet50", note: "the light architecture with weights filled by a hash, one image; cycles alone", runs: 0,
    load() {
      const bytes = models.find(({ name }) => name === "resnet50")!.load();
      return bytes === undefined ? undefined : { bytes, target: { dtype: "i64", shape: [1] } };
    },
  },
];

interface Prepared {
  readonly machine: Machine;
  readonly programs: Omit<DerivativeMachineResult, "machine" | "host">;
  readonly floors: Floors;
  /** Gradient, and gradient with product; only where they are to be run with values. */
  readonly subjects: readonly Subject[];
}

interface Subject {
  readonly device: Device;
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly ms: number[];
}

export function measureDerivatives(model: DerivativeModel, loaded: LoadedDerivativeModel, runs: number): DerivativeResult {
  const prepared = Object.values(presets).map((machine) => prepareOrSay(loaded, machine, runs > 0));
  const ready = prepared.filter((one): one is Prepared => "programs" in one);
  const subjects = ready.flatMap((one) => one.subjects);
  // The first round is not counted: kernels are compiled in it.
  for (let round = 0; round <= runs; round++) for (const { device, inputs, ms } of subjects) ms.push(timed(() => device.run(inputs)));
  const jax = runs > 0 ? runJax(shared, model.name) : undefined;
  return {
    name: model.name, note: model.note, runs,
    machines: prepared.map((one) => ("programs" in one ? resultOf(one, loaded) : one)),
    ...(ready[0] === undefined ? {} : { floors: ready[0].floors }),
    ...(jax === undefined ? {} : { jax }),
  };
}

function prepareOrSay(loaded: LoadedDerivativeModel, machine: Machine, withValues: boolean): Prepared | { readonly machine: string; readonly diagnostic: string } {
  try {
    return prepare(loaded, machine, withValues);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { machine: machine.name, diagnostic: `${error.diagnostic.code}: ${error.diagnostic.message}` };
  }
}

function prepare(loaded: LoadedDerivativeModel, machine: Machine, withValues: boolean): Prepared {
  const derive = (product: boolean) => timeOfProgram(machine, () => differentiate(loaded.bytes, machine, { loss: "cross-entropy", target: loaded.target, product }));
  const forward = timeOfProgram(machine, () => compile(loaded.bytes, machine));
  const [gradient, both] = [derive(false), derive(true)];
  const { values } = loaded;
  const subject = (derived: { readonly device: Device; readonly compiled: Derivatives }): Subject[] => (withValues && values !== undefined ? [{ device: derived.device, inputs: inputsOf(derived.compiled, values), ms: [] }] : []);
  return {
    machine,
    programs: { forward: forward.program, gradient: gradient.program, both: both.program },
    floors: floorsOf(gradient.compiled.lossGraph, gradient.compiled.parameters),
    subjects: [...subject(gradient), ...subject(both)],
  };
}

function timeOfProgram<C extends Pick<Derivatives, "image">>(machine: Machine, make: () => C): { readonly program: Program; readonly compiled: C; readonly device: Device } {
  const begun = performance.now();
  const compiled = make();
  const compileMs = performance.now() - begun;
  const device = new Device(compiled.image, machine);
  const { cycles, macs, kernels } = device.run(new Map(), { timingOnly: true });
  const named = kernels.map((kernel, i) => ({ ...kernel, name: compiled.image.debug.kernels[i]!.name }));
  const cyclesWithoutMacs = named.reduce((sum, kernel) => sum + (kernel.macs === 0 ? kernel.cycles : 0), 0);
  const slowest = named.reduce((a, b) => (b.cycles > a.cycles ? b : a));
  return { program: { cycles, macs, compileMs, cyclesWithoutMacs, slowest }, compiled, device };
}

function inputsOf({ graph }: Derivatives, { input, target, stored }: NonNullable<LoadedDerivativeModel["values"]>): Map<string, Tensor> {
  return new Map(graph.inputs.map(({ name }) => [name, name === "target" ? target : stored.get(name) ?? input]));
}

function timed(body: () => void): number {
  const begun = performance.now();
  body();
  return performance.now() - begun;
}

function resultOf({ machine, programs, subjects: [gradient, both] }: Prepared, { values }: LoadedDerivativeModel): DerivativeMachineResult {
  if (gradient === undefined || both === undefined || values === undefined) return { machine: machine.name, ...programs };
  const { outputs } = both.device.run(both.inputs);
  const error = Math.max(relativeError(outputs, values.stored, "g/"), relativeError(outputs, values.stored, "Gv/"));
  return { machine: machine.name, ...programs, host: { gradient: hostTime(gradient.ms), both: hostTime(both.ms), error } };
}

function hostTime(ms: readonly number[]): HostTime {
  const sorted = ms.slice(1).toSorted((a, b) => a - b);
  return { medianMs: sorted[sorted.length >> 1]!, bestMs: sorted[0]! };
}

/** Length of the difference over that of the stored values, all parameters together. */
function relativeError(outputs: ReadonlyMap<string, Tensor>, stored: ReadonlyMap<string, Tensor>, kind: string): number {
  let [wrong, whole] = [0, 0];
  for (const [name, { data }] of outputs) {
    if (!name.startsWith(kind)) continue;
    const wanted = stored.get(name)!.data;
    for (let i = 0; i < wanted.length; i++) {
      wrong += (Number(data[i]) - Number(wanted[i])) ** 2;
      whole += Number(wanted[i]) ** 2;
    }
  }
  return Math.sqrt(wrong / whole);
}
