/**
 * @file Independent checks of derivatives: the gradient along a direction of each parameter against a central difference of the loss in float64,
 * and the symmetry of the Gauss-Newton matrix, u'Gv = v'Gu.
 */
import { elementCount, type Tensor } from "@systole/base";
import { evaluate, type Graph } from "@systole/ir";

export interface GradientCheck {
  readonly parameter: string;
  /** The gradient's product with the direction, and the difference quotient of the loss along it. */
  readonly derivative: number;
  readonly difference: number;
  /** What |derivative - difference| has beyond the rounding of the difference quotient, over the larger of |derivative|, |difference| and the gradient's length times a thousandth of the direction's. */
  readonly relativeError: number;
}

/** Deterministic directions with elements +1 and -1. */
export function signDirection(shape: readonly number[], seed: number): Tensor {
  const data = new Float32Array(elementCount(shape));
  for (let i = 0; i < data.length; i++) {
    let h = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    data[i] = ((h ^ (h >>> 13)) & 1) === 0 ? 1 : -1;
  }
  return { dtype: "f32", shape: [...shape], data };
}

/** `gradient` by parameter name. The step is relative to the size of the parameter's elements. */
export function checkGradient(loss: Graph, inputs: ReadonlyMap<string, Tensor>, gradient: ReadonlyMap<string, Tensor>): GradientCheck[] {
  return [...gradient].map(([name, g], i) => {
    const parameter = loss.parameters.find((p) => p.name === name);
    if (parameter === undefined) return { parameter: name, derivative: dot(g, g), difference: 0, relativeError: dot(g, g) === 0 ? 0 : Infinity };
    const direction = signDirection(g.shape, i);
    const size = Math.sqrt(dot(parameter.tensor, parameter.tensor) / Math.max(1, g.data.length));
    // Small, so that few kinks lie between the two points; what float64 then rounds away is allowed for.
    const step = 1e-6 * Math.max(size, 1e-1);
    const [ahead, behind] = [lossAt(loss, inputs, name, direction, step), lossAt(loss, inputs, name, direction, -step)];
    const difference = (ahead - behind) / (2 * step);
    const rounding = (16 * Number.EPSILON * Math.abs(ahead)) / step;
    const derivative = dot(g, direction);
    const scale = Math.max(Math.abs(derivative), Math.abs(difference), 1e-3 * Math.sqrt(dot(g, g) * g.data.length), Number.MIN_VALUE);
    return { parameter: name, derivative, difference, relativeError: Math.max(0, Math.abs(derivative - difference) - rounding) / scale };
  });
}

/** The loss in float64 with one parameter moved along a direction. */
function lossAt(loss: Graph, inputs: ReadonlyMap<string, Tensor>, name: string, direction: Tensor, factor: number): number {
  const parameters = loss.parameters.map((p) => {
    if (p.name !== name) return p;
    const data = Float64Array.from(p.tensor.data as Float32Array, (x, i) => x + factor * Number(direction.data[i]));
    return { ...p, tensor: { ...p.tensor, data } };
  });
  return Number(evaluate({ ...loss, parameters }, inputs, "float64").get("loss")!.data[0]);
}

export interface SymmetryCheck {
  readonly uGv: number;
  readonly vGu: number;
  readonly vGv: number;
  readonly relativeError: number;
}

/** `Gu` and `Gv` by parameter name, for the directions u and v. */
export function checkSymmetry(u: ReadonlyMap<string, Tensor>, v: ReadonlyMap<string, Tensor>, Gu: ReadonlyMap<string, Tensor>, Gv: ReadonlyMap<string, Tensor>): SymmetryCheck {
  const product = (a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>) => [...a].reduce((sum, [name, tensor]) => sum + dot(tensor, b.get(name)!), 0);
  const [uGv, vGu, vGv, uGu] = [product(u, Gv), product(v, Gu), product(v, Gv), product(u, Gu)];
  // Cauchy-Schwarz: |u'Gv| is at most the root of the two squares, the size to measure against.
  return { uGv, vGu, vGv, relativeError: Math.abs(uGv - vGu) / Math.max(Math.sqrt(Math.abs(uGu * vGv)), Number.MIN_VALUE) };
}

function dot(a: Tensor, b: Tensor): number {
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += Number(a.data[i]) * Number(b.data[i]);
  return sum;
}
