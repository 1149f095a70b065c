/** @file Gauss-Newton products: oracles in float64, counts, symmetry and definiteness, the dense sum J'HJ, several losses, tied weights. */
import { elementCount, numbersOf, tensor, type Tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { binaryCrossEntropy, crossEntropy, deriveLoss, gaussNewton, gaussNewtonGraph, gradient, GraphBuilder, jvp, linearize, lossGradient, lossGraph, optimize, optimizeTrainable, printNode, residualBytes, squaredError, trainableParameters, verifyGraph, type Graph, type LossPiece, type Value } from "../src/index.ts";
import { count, eigenvalues, evaluate64, inner, opsOf, tensor64, type Tensors } from "./numeric.ts";
import { b1, directionOf, o1, o13, o2, w1, x } from "./oracles.ts";
import { drawFrom, type Draw } from "./samples.ts";

interface Layer {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

type Activation = "tanh" | "logistic" | "relu" | "softplus" | "none";

function activate(b: GraphBuilder, x: Value, kind: Activation): Value {
  if (kind === "none") return x;
  if (kind !== "relu") return b.apply(kind, [x], {});
  return b.apply("max", [x, b.apply("broadcast", [b.constant(tensor(x.type.dtype, [], [0]))], { shape: x.type.shape, axes: [] })], {});
}

/** Layers `y = activation(x W' + b)` with parameters W1, b1, W2, ... (rows of W are units). */
function denseNetwork(batch: number, layers: readonly Layer[], activations: readonly Activation[]): Graph {
  const b = new GraphBuilder();
  let x = b.input("x", { dtype: layers[0]!.weight.dtype, shape: [batch, layers[0]!.weight.shape[1]!] });
  layers.forEach(({ weight, bias }, i) => {
    b.setOrigin({ node: `fc${i + 1}`, operator: "Gemm" });
    const product = b.apply("dot", [x, b.parameter(`W${i + 1}`, weight)], { x: "mk", w: "nk", out: "mn", k: "k" });
    const shift = b.apply("broadcast", [b.parameter(`b${i + 1}`, bias)], { shape: product.type.shape, axes: [1] });
    x = activate(b, b.apply("add", [product, shift], {}), activations[i]!);
  });
  b.output("z", x);
  return b.build("dense");
}

const names = (graph: Graph): string[] => graph.parameters.map(({ name }) => name);

/** Slices of one vector, parameter by parameter. */
function unpack(graph: Graph, prefix: string, values: readonly number[]): Map<string, Tensor> {
  let position = 0;
  return new Map(graph.parameters.map(({ name, tensor: { shape } }) => {
    const part = values.slice(position, (position += elementCount(shape)));
    return [prefix + name, tensor64(shape, part)];
  }));
}

function pack(graph: Graph, prefix: string, tensors: Tensors): number[] {
  return graph.parameters.flatMap(({ name }) => numbersOf(tensors.get(prefix + name)!));
}

function expectClose(got: readonly number[], wanted: readonly number[], tolerance = 1e-9): void {
  expect(got).toHaveLength(wanted.length);
  got.forEach((value, i) => expect(Math.abs(value - wanted[i]!), `element ${i}: ${value} instead of ${wanted[i]}`).toBeLessThan(tolerance));
}

const x0 = tensor64([1, 2], x);
const layerOf = (weight: readonly (readonly number[])[], bias: readonly number[]): Layer => ({ weight: tensor64([weight.length, weight[0]!.length], weight.flat()), bias: tensor64([bias.length], bias) });
const first = layerOf(w1, b1);

describe("oracle O1: 2-2-1, tanh, squared error", () => {
  const network = denseNetwork(1, [first, layerOf(o1.w2, o1.b2)], ["tanh", "none"]);
  const pieces = [{ output: "z", loss: squaredError({ dtype: "f64", shape: [1, 1] }) }];
  const inputs = new Map([["x", x0], ["target", tensor64([1, 1], [1])]]);
  const v = directionOf(9);
  const got = evaluate64(verifyGraph(gaussNewtonGraph(network, pieces, names(network))), new Map([...inputs, ...unpack(network, "v/", v)]));

  test("loss and gradient", () => {
    expectClose(numbersOf(got.get("y/z")!), [o1.scores]);
    expectClose(numbersOf(got.get("loss")!), [o1.loss]);
    expectClose(pack(network, "g/", got), o1.gradient);
  });
  test("J v and G v", () => {
    const gv = pack(network, "Gv/", got);
    expectClose(numbersOf(got.get("Jv")!), o1.Jv);
    expectClose(gv, o1.Gv);
    expectClose([gv.reduce((sum, value, i) => sum + value * v[i]!, 0)], [o1.vGv]);
  });
  test("trace of G", () => {
    const { point, product, residuals } = gaussNewton(network, pieces, names(network));
    const values = evaluate64(point, inputs);
    const trace = v.map((_, i) => {
      const unit = v.map((__, j) => (i === j ? 1 : 0));
      return pack(network, "Gv/", evaluate64(product, given(product, inputs, values, residuals, unpack(network, "v/", unit))))[i]!;
    });
    expectClose([trace.reduce((a, b) => a + b)], [2.987417965], 1e-8);
  });
  test("the JVP of the gradient is the Hessian product, which differs from G v", () => {
    const derived = lossGradient(network, pieces, names(network));
    const hessian = verifyGraph(jvp(derived, { wrt: names(network), of: names(network).map((name) => `g/${name}`) }));
    const hv = pack(network, "d.g/", evaluate64(hessian, new Map([...inputs, ...unpack(network, "d.", v)])));
    expectClose(hv, [0.308142124, -0.616284248, -0.625363708, 1.250727416, 0.308142124, -0.625363708, 0.909834722, -0.378970088, 1.222256749], 1e-8);
  });
});

/** What the product reads. */
function given(product: Graph, inputs: Tensors, values: Tensors, residuals: readonly { readonly name: string }[], direction: Tensors): Map<string, Tensor> {
  const all = new Map([...inputs, ...residuals.map(({ name }) => [name, values.get(name)!] as const), ...direction]);
  return new Map(product.inputs.map(({ name }) => [name, all.get(name)!]));
}

test("oracle O2: 2-2-3, softmax", () => {
  const network = denseNetwork(1, [first, layerOf(o2.w2, o2.b2)], ["tanh", "none"]);
  const type = { dtype: "f64", shape: [1, 3] } as const;
  const v = directionOf(15);
  for (const target of [tensor("i64", [1], [1]), tensor64([1, 3], [0, 1, 0])]) {
    const whole = verifyGraph(gaussNewtonGraph(network, [{ output: "z", loss: crossEntropy({ scores: type, target }) }], names(network)));
    const got = evaluate64(whole, new Map([["x", x0], ["target", target], ...unpack(network, "v/", v)]));
    expectClose(numbersOf(got.get("loss")!), [o2.loss]);
    expectClose(numbersOf(got.get("Jv")!), o2.Jv);
    expectClose(pack(network, "Gv/", got), o2.Gv);
    expectClose([pack(network, "Gv/", got).reduce((sum, value, i) => sum + value * v[i]!, 0)], [o2.vGv]);
    expectClose(pack(network, "g/", got).slice(12), o2.biasGradient);
  }
});

test("oracle O13: the chain of squares, its gradient and what it costs", () => {
  const b = new GraphBuilder();
  let a = b.input("x", { dtype: "f64", shape: [3] });
  for (let i = 0; i < 3; i++) a = b.apply("mul", [a, a], {}, `A${i + 1}`);
  b.output("A3", a);
  const network = b.build("chain");
  const loss = squaredError({ dtype: "f64", shape: [3] });
  // Half the sum over the batch of 3: three times the mean is the L of the text.
  const got = evaluate64(verifyGraph(lossGradient(network, [{ output: "A3", loss }], ["x"])), new Map([["x", tensor64([3], o13.x)], ["target", tensor64([3], [0, 0, 0])]]));
  expect(numbersOf(got.get("loss")!)[0]! * 3).toBe(o13.loss);
  expectClose(numbersOf(got.get("g/x")!).map((value) => value * 3), o13.gradient, 1e-7);
  // One Hadamard product b(A, B) = 2 A B a cell: no Jacobian is made.
  const { linear } = linearize(network, { wrt: ["x"] });
  expect(linear.nodes.every((node) => elementCount(node.outputs[0]!.type.shape) <= 3)).toBe(true);
});

const layer = (d: Draw, units: number, inputs: number): Layer => {
  const values = (n: number): number[] => Array.from({ length: n }, () => d.int(-1000, 1000) / 900);
  return { weight: tensor64([units, inputs], values(units * inputs)), bias: tensor64([units], values(units)) };
};

describe("random small networks", () => {
  test("G is symmetric, positive semi-definite and equal to the dense sum J'HJ", () => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      const d = drawFrom(gen);
      const sizes = Array.from({ length: d.int(2, 4) }, () => d.int(1, 3));
      const layers = sizes.slice(1).map((units, i) => layer(d, units, sizes[i]!));
      const batch = d.int(1, 3);
      const network = denseNetwork(batch, layers, layers.map((_, i) => (i === layers.length - 1 ? "none" : d.pick(["tanh", "logistic", "relu", "softplus"] as const))));
      const classes = sizes.at(-1)!;
      const type = { dtype: "f64", shape: [batch, classes] } as const;
      const kind = d.pick(["ce", "mse", "bce"] as const);
      const loss = kind === "ce" ? crossEntropy({ scores: type, target: { dtype: "i64", shape: [batch] } }) : kind === "mse" ? squaredError(type) : binaryCrossEntropy(type);
      const target = kind === "ce" ? tensor("i64", [batch], Array.from({ length: batch }, () => d.int(0, classes - 1))) : tensor64(type.shape, Array.from({ length: batch * classes }, () => d.int(0, 1)));
      const inputs = new Map([["x", tensor64([batch, sizes[0]!], Array.from({ length: batch * sizes[0]! }, () => d.int(-1000, 1000) / 500))], ["target", target]]);
      const { point, product, residuals } = gaussNewton(network, [{ output: "z", loss }], names(network));
      const values = evaluate64(verifyGraph(point), inputs);
      verifyGraph(product);
      const n = network.parameters.reduce((sum, { tensor: t }) => sum + elementCount(t.shape), 0);
      const along = (unit: number): Map<string, Tensor> => {
        const direction = unpack(network, "v/", Array.from({ length: n }, (_, i) => (i === unit ? 1 : 0)));
        return evaluate64(product, given(product, inputs, values, residuals, direction));
      };
      const columns = Array.from({ length: n }, (_, i) => along(i));
      const g = columns.map((column) => pack(network, "Gv/", column));
      const jacobian = columns.map((column) => numbersOf(column.get("Jv")!));
      const hessian = denseHessian(kind, numbersOf(values.get("y/z")!), batch, classes);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const dense = jacobian[i]!.reduce((sum, a, p) => sum + a * jacobian[j]!.reduce((inside, c, q) => inside + hessian(p, q) * c, 0), 0);
          expect(Math.abs(g[i]![j]! - dense)).toBeLessThan(1e-10 * (1 + Math.abs(dense)));
        }
      }
      const symmetric = g.map((row, i) => row.map((value, j) => (value + g[j]![i]!) / 2));
      expect(Math.min(...eigenvalues(symmetric))).toBeGreaterThan(-1e-9 * (1 + Math.max(...symmetric.map((row, i) => row[i]!))));
    }), { numRuns: 25 });
  });
});

/** The Hessian of the loss at the scores, element by element, from its definition. */
function denseHessian(kind: "ce" | "mse" | "bce", z: readonly number[], batch: number, classes: number): (p: number, q: number) => number {
  return (p, q) => {
    if (Math.floor(p / classes) !== Math.floor(q / classes)) return 0;
    if (kind === "mse") return p === q ? 1 / batch : 0;
    const logistic = 1 / (1 + Math.exp(-z[p]!));
    if (kind === "bce") return p === q ? (logistic * (1 - logistic)) / batch : 0;
    const row = Math.floor(p / classes) * classes;
    const total = z.slice(row, row + classes).reduce((sum, value) => sum + Math.exp(value), 0);
    const softmax = (i: number): number => Math.exp(z[i]!) / total;
    return (softmax(p) * (p === q ? 1 : 0) - softmax(p) * softmax(q)) / batch;
  };
}

describe("what a product costs", () => {
  const d: Draw = { int: (min, max) => Math.floor((min + max) / 2) + 1, pick: (list) => list[0]! };
  const sizes = [8, 7, 6, 5];
  const network = denseNetwork(4, sizes.slice(1).map((units, i) => layer(d, units, sizes[i]!)), ["relu", "tanh", "none"]);
  const loss = crossEntropy({ scores: { dtype: "f64", shape: [4, 5] }, target: { dtype: "i64", shape: [4] } });
  const pieces = [{ output: "z", loss }];
  const { point, product, residuals } = gaussNewton(network, pieces, names(network));

  test("4 contractions a dense layer, 2 in the first; the gradient 3 and 2", () => {
    expect(count(product, "dot")).toBe(2 + 4 + 4);
    expect(count(lossGradient(network, pieces, names(network)), "dot")).toBe(2 + 3 + 3);
    expect(count(point, "dot")).toBe(2 + 3 + 3);
    expect(count(optimize(product), "dot")).toBe(2 + 4 + 4);
  });
  test("no function of the point and no movement inside the product", () => {
    expect(new Set(opsOf(product))).toEqual(new Set(["dot", "add", "mul", "div", "neg", "select", "reduce", "broadcast", "constant"]));
  });
  test("residuals: a mask, an activation and a slope a layer, and the softmax", () => {
    const [mask, activations] = [4 * 7 * 1, 4 * 7 * 8 + 4 * 6 * 8];
    const slope = 4 * 6 * 8;
    const softmax = 3 * 4 * 5 * 8;
    expect(residualBytes(residuals)).toBeLessThanOrEqual(mask + activations + slope + softmax);
  });
  test("phases: what loss and scores need is forward, the rest of the point backward, and the product is its own", () => {
    const whole = gaussNewtonGraph(network, pieces, names(network));
    const dots = whole.nodes.filter(({ op }) => op === "dot").map(({ origin }) => origin.phase);
    expect(dots).toEqual([...Array.from({ length: 3 }, () => "forward"), ...Array.from({ length: 5 }, () => "backward"), ...Array.from({ length: 10 }, () => "product")]);
    for (const node of optimizeTrainable(whole).nodes) expect(node.origin.phase, printNode(node)).toBeDefined();
    const forwardAlone = lossGraph(network, pieces);
    const forward = lossGradient(network, pieces, names(network)).nodes.filter(({ origin }) => origin.phase === "forward");
    expect(forward.map(({ op }) => op).toSorted()).toEqual(forwardAlone.nodes.map(({ op }) => op).toSorted());
    expect(new Set(gradient(forwardAlone, names(network), "loss").nodes.map(({ origin }) => origin.phase))).toEqual(new Set(["forward", "backward"]));
  });
  test("residuals know which node made them; the gradient alone keeps no more than the product", () => {
    const derived = deriveLoss(network, pieces, names(network), true);
    expect(derived.residuals.map(({ name, type }) => ({ name, type }))).toEqual(residuals);
    expect(derived.residuals.filter(({ name }) => name.startsWith("h.")).every(({ origin }) => origin.operator === "loss")).toBe(true);
    const alone = deriveLoss(network, pieces, names(network), false).residuals;
    expect(alone.length).toBeGreaterThan(0);
    expect(alone.every(({ name }) => name.startsWith("r."))).toBe(true);
    expect(residualBytes(alone)).toBeLessThanOrEqual(residualBytes(residuals));
  });
  test("no Jacobian: no value is larger than the largest parameter or activation", () => {
    const bound = Math.max(...network.parameters.map(({ tensor: t }) => elementCount(t.shape)), 4 * 8);
    for (const graph of [point, product]) for (const node of graph.nodes) for (const { type } of node.outputs) expect(elementCount(type.shape)).toBeLessThanOrEqual(bound);
  });
  test("nothing depends on what is frozen", () => {
    const top = gaussNewton(network, pieces, ["W3", "b3"]);
    expect(count(top.product, "dot")).toBe(2);
    expect(top.product.inputs.map(({ name }) => name).filter((name) => name.startsWith("v/"))).toEqual(["v/W3", "v/b3"]);
    expect(top.residuals.length).toBeLessThan(residuals.length);
  });
});

describe("several losses, tied weights, names", () => {
  const weight = tensor64([2, 2], [0.3, -0.7, 0.2, 0.5]);
  const network = ((): Graph => {
    const b = new GraphBuilder();
    const w = b.parameter("W", weight);
    b.parameter("idle", tensor64([3], [1, 2, 3]));
    const apply = (x: Value): Value => b.apply("tanh", [b.apply("dot", [x, w], { x: "mk", w: "nk", out: "mn", k: "k" })], {});
    const hidden = apply(b.input("x", { dtype: "f64", shape: [2, 2] }));
    b.output("hidden", hidden);
    b.output("z", apply(hidden));
    return b.build("tied");
  })();
  const type = { dtype: "f64", shape: [2, 2] } as const;
  const [squares, entropy]: LossPiece[] = [{ output: "hidden", loss: squaredError(type), prefix: "aux." }, { output: "z", loss: crossEntropy({ scores: type, target: { dtype: "i64", shape: [2] } }) }];
  const inputs = new Map([["x", tensor64([2, 2], [1, -0.5, 0.25, 2])], ["aux.target", tensor64([2, 2], [0.1, 0.2, 0.3, 0.4])], ["target", tensor("i64", [2], [1, 0])], ["v/W", tensor64([2, 2], [1, 2, -1, 0.5])], ["v/idle", tensor64([3], [1, 1, 1])]]);
  const product = (pieces: readonly LossPiece[]): Map<string, Tensor> => {
    const graph = verifyGraph(gaussNewtonGraph(network, pieces, ["W", "idle"]));
    return evaluate64(graph, new Map(graph.inputs.map(({ name }) => [name, inputs.get(name)!])));
  };

  test("loss, gradient and G are the sums of the pieces", () => {
    const [both, one, other] = [product([squares!, entropy!]), product([squares!]), product([entropy!])];
    for (const name of ["loss", "g/W", "Gv/W"]) expectClose(numbersOf(both.get(name)!), numbersOf(one.get(name)!).map((value, i) => value + (other.get(name)!.data[i] as number)), 1e-12);
    expect([...both.keys()].sort()).toEqual(["Gv/W", "Gv/idle", "Jv/hidden", "Jv/z", "g/W", "g/idle", "loss", "y/hidden", "y/z"]);
  });
  test("two losses at one output", () => {
    const twice = product([entropy!, { ...entropy!, loss: squaredError(type), prefix: "aux." }]);
    expect(inner(twice.get("Gv/W")!, inputs.get("v/W")!)).toBeGreaterThan(0);
    expect(numbersOf(twice.get("Jv")!)).toHaveLength(4);
  });
  test("a parameter without influence has zeros under its name", () => {
    const got = product([entropy!]);
    expect(numbersOf(got.get("g/idle")!)).toEqual([0, 0, 0]);
    expect(numbersOf(got.get("Gv/idle")!)).toEqual([0, 0, 0]);
  });
  test("the gradient of the loss graph is the gradient in closed form", () => {
    const whole = lossGraph(network, [squares!, entropy!]);
    const derived = gradient(whole, ["W"], "loss");
    const closed = lossGradient(network, [squares!, entropy!], ["W"]);
    const at = (graph: Graph): Map<string, Tensor> => evaluate64(verifyGraph(graph), new Map(graph.inputs.map(({ name }) => [name, inputs.get(name)!])));
    expectClose(numbersOf(at(closed).get("g/W")!), numbersOf(at(derived).get("g/W")!), 1e-12);
  });
  test("derived graphs keep the place of the layer", () => {
    const dense = denseNetwork(1, [first, first], ["tanh", "none"]);
    const derived = gaussNewton(dense, [{ output: "z", loss: squaredError({ dtype: "f64", shape: [1, 2] }) }], names(dense));
    expect(new Set(derived.product.nodes.filter((node) => node.op === "dot").map((node) => node.origin.node))).toEqual(new Set(["fc1", "fc2"]));
  });
  test("misfits", () => {
    expect(() => gaussNewton(network, [{ output: "z", loss: squaredError({ dtype: "f64", shape: [2, 3] }) }], ["W"])).toThrow(/E0203: output "z" is f64\[2,2\]/);
    expect(() => gaussNewton(network, [], ["W"])).toThrow(/E0209/);
    expect(() => gaussNewton(network, [entropy!], [])).toThrow(/E0209/);
  });
});

test("trainable parameters", () => {
  const b = new GraphBuilder();
  const vector = tensor("f32", [1], [1]);
  b.output("y", b.apply("add", [b.parameter("layer.0.weight", vector), b.apply("stop_gradient", [b.parameter("layer.0.running", vector)], {})], {}));
  b.parameter("layer.1.weight", vector);
  b.parameter("steps", tensor("i64", [1], [1]));
  const graph = b.build("parameters");
  expect(trainableParameters(graph)).toEqual(["layer.0.weight", "layer.1.weight"]);
  expect(trainableParameters(graph, ["layer.1.*"])).toEqual(["layer.0.weight"]);
  expect(trainableParameters(graph, ["*.weight"])).toEqual([]);
  expect(trainableParameters(graph, ["layer?0*"])).toHaveLength(2);
});
