/** @file Random cases of RNN, GRU and LSTM: every form that onnxruntime has too (it has no layout 1). */
import { tensor } from "@systole/base";
import type { Case, Random } from "./operatorCase.ts";
import type { AttributeInput } from "./support.ts";

/** Name, and which of alpha and beta it takes. */
const functions = [
  ["Tanh", ""], ["Sigmoid", ""], ["Relu", ""], ["Affine", "ab"], ["LeakyRelu", "a"], ["ThresholdedRelu", "a"], ["ScaledTanh", "ab"],
  ["HardSigmoid", "ab"], ["Elu", "a"], ["Softsign", ""], ["Softplus", ""],
] as const;

interface RecurrentOperator {
  readonly gates: number;
  readonly functions: number;
  readonly outputs: number;
  readonly extra: (r: Random) => Readonly<Record<string, AttributeInput>>;
}

const recurrent = (operator: RecurrentOperator) => (r: Random): Case => {
  const direction = r.pick(["forward", "reverse", "bidirectional"]);
  const directions = direction === "bidirectional" ? 2 : 1;
  const [steps, batch, features, hidden] = [r.int(1, 5), r.int(1, 3), r.int(1, 4), r.int(1, 5)];
  const rows = operator.gates * hidden;
  const maybe = (name: string, shape: readonly number[]) => (r.int(0, 1) === 1 ? { [name]: r.f32(shape, -1, 1) } : { [`none${name}`]: tensor("f32", [0], []) });
  const lengths = tensor("i32", [batch], Array.from({ length: batch }, () => r.int(1, steps)));
  const cell = operator.outputs === 3;
  const wanted = r.int(0, operator.outputs - 1);
  return {
    inputs: {
      x: r.f32([steps, batch, features], -2, 2), w: r.f32([directions, rows, features], -1, 1), r: r.f32([directions, rows, hidden], -0.5, 0.5),
      ...maybe("b", [directions, 2 * rows]), ...(r.int(0, 1) === 1 ? { lengths } : { nonelengths: lengths }), ...maybe("h", [directions, batch, hidden]),
      ...(cell ? { ...maybe("c", [directions, batch, hidden]), ...maybe("p", [directions, 3 * hidden]) } : {}),
    },
    attributes: {
      hidden_size: hidden, direction, ...operator.extra(r), ...(r.int(0, 2) === 0 ? { clip: { f: r.int(2, 8) / 8 } } : {}),
      ...(r.int(0, 2) > 0 ? activations(r, operator.functions * directions) : {}),
    },
    outputs: Array.from({ length: operator.outputs }, (_, i) => (i === wanted ? "y" : `other${i}`)),
    fixed: r.int(0, 1) === 1 ? ["lengths"] : [],
  };
};

function activations(r: Random, count: number): Readonly<Record<string, AttributeInput>> {
  const chosen = Array.from({ length: count }, () => r.pick(functions));
  const numbers = (letter: string) => chosen.filter(([, takes]) => takes.includes(letter)).map(() => r.int(1, 6) / 8);
  return { activation_alpha: { fs: numbers("a") }, activation_beta: { fs: numbers("b") }, activations: { ss: chosen.map(([name]) => name) } };
}

export const recurrentCases: Readonly<Record<string, (r: Random) => Case>> = {
  RNN: recurrent({ gates: 1, functions: 1, outputs: 2, extra: () => ({}) }),
  GRU: recurrent({ gates: 3, functions: 2, outputs: 2, extra: (r) => ({ linear_before_reset: r.int(0, 1) }) }),
  LSTM: recurrent({ gates: 4, functions: 3, outputs: 3, extra: (r) => ({ input_forget: r.int(0, 1) }) }),
};
