/**
 * @file Loss, gradient and Gauss-Newton product G v = J' H J v of a network under one or several losses. J is the network linearized at a
 * point, J' the same map turned round, H the JVP of the loss's gradient at the scores. Everything that depends on the point only
 * is computed once and read by every product.
 */
import { fail, formatType, sameShape } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import { definitions, type Graph, type Origin, type Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { add } from "../primitives/emit.ts";
import { Declarations, inline, type Bindings } from "./inline.ts";
import { linearize, type Linearized, type Residual } from "./linearize.ts";
import { cotangentName, sourcesOf, tangentName, targetsOf } from "./names.ts";
import { forwardAndBackward, inPhase } from "./phases.ts";
import { sumContractions } from "./sumContractions.ts";
import { transposeLinear } from "./transpose.ts";
import { inlinePoint } from "./vjp.ts";

/** One loss at one output of the network. */
export interface LossPiece {
  /** The output of the network that is the loss's `scores`. */
  readonly output: string;
  /** Inputs `scores` and others (`target`), outputs `loss` and `gradient` (that of the loss at the scores, in closed form). */
  readonly loss: Graph;
  /** The loss's other inputs keep their names, behind this prefix. */
  readonly prefix?: string;
  /** Loss and gradient are 0 at the point by construction, such as of a distance to the point: only the product takes part of it. */
  readonly curvatureOnly?: boolean;
}

export interface GaussNewton {
  /** Outputs `loss`, `g/NAME` for each name, `y/OUTPUT` for each piece, and the residuals. */
  readonly point: Graph;
  /** Inputs `v/NAME`, the residuals, and inputs and parameters of the network that it needs; outputs `Gv/NAME` and `Jv` (of several pieces: `Jv/OUTPUT`). */
  readonly product: Graph;
  /** What the product reads of the point. */
  readonly residuals: readonly Residual[];
}

/** One graph for a whole evaluation, and what its backward part and its product read of the forward values. */
export interface DerivedLoss {
  readonly graph: Graph;
  readonly residuals: readonly KeptResidual[];
}

export interface KeptResidual extends Residual {
  /** Of the node that makes it. */
  readonly origin: Origin;
}

interface LinearizedPiece extends LossPiece {
  readonly linearized: Linearized;
}

/** The loss alone: outputs `loss` and `y/OUTPUT`. Several losses are added up. */
export function lossGraph(network: Graph, pieces: readonly LossPiece[]): Graph {
  checkPieces(network, pieces);
  const b = new GraphBuilder();
  const declarations = new Declarations(b);
  const outputs = inline(b, network, declarations.of(network));
  const losses = sloped(pieces).map(({ output, loss, prefix }) => inline(b, loss, lossInputs(declarations, loss, outputs.get(output)!, prefix)).get("loss")!);
  b.output("loss", total(b, losses));
  emitScores(b, sloped(pieces), outputs);
  return removeDeadCode(b.build(`${network.name}.loss`));
}

/** Outputs `loss`, `g/NAME` for each name in `wrt`, and `y/OUTPUT`. */
export function lossGradient(network: Graph, pieces: readonly LossPiece[], wrt: readonly string[]): Graph {
  return deriveLoss(network, pieces, wrt, false).graph;
}

/** Point and product in one graph: outputs `loss`, `g/NAME`, `y/OUTPUT`, `Gv/NAME` and `Jv` for a direction given as inputs `v/NAME`. */
export function gaussNewtonGraph(network: Graph, pieces: readonly LossPiece[], wrt: readonly string[]): Graph {
  return deriveLoss(network, pieces, wrt, true).graph;
}

/** `lossGradient`, or `gaussNewtonGraph` with a product, together with the residuals. */
export function deriveLoss(network: Graph, pieces: readonly LossPiece[], wrt: readonly string[], withProduct: boolean): DerivedLoss {
  const { point, product, residuals, gradientResiduals } = parts(network, pieces, wrt);
  const madeBy = originsOf(point);
  const kept = new Set(residuals.map(({ name }) => name));
  if (!withProduct) {
    const outputs = point.outputs.filter(({ name }) => !kept.has(name));
    return { graph: removeDeadCode({ ...point, name: `${network.name}.gradient`, outputs }), residuals: gradientResiduals.map(madeBy) };
  }
  const b = new GraphBuilder();
  const declarations = new Declarations(b);
  const values = inline(b, point, declarations.of(point));
  for (const { name } of point.outputs) if (!kept.has(name)) b.output(name, values.get(name)!);
  const bound = new Map(residuals.map(({ name }) => [name, values.get(name)!]));
  for (const [name, value] of inline(b, product, declarations.of(product, bound))) b.output(name, value);
  return { graph: removeDeadCode(b.build(`${network.name}.gauss-newton`)), residuals: residuals.map(madeBy) };
}

export function gaussNewton(network: Graph, pieces: readonly LossPiece[], wrt: readonly string[]): GaussNewton {
  const { point, product, residuals } = parts(network, pieces, wrt);
  return { point, product, residuals };
}

function originsOf(point: Graph): (residual: Residual) => KeptResidual {
  const defined = definitions(point);
  const values = new Map(point.outputs.map(({ name, value }) => [name, value]));
  return (residual) => ({ ...residual, origin: defined.get(values.get(residual.name)!)?.origin ?? { node: "", operator: "" } });
}

interface Parts extends GaussNewton {
  /** What the transposed map alone reads. */
  readonly gradientResiduals: readonly Residual[];
}

function parts(network: Graph, pieces: readonly LossPiece[], wrt: readonly string[]): Parts {
  checkPieces(network, pieces);
  const sources = sourcesOf(network, wrt);
  const net = linearize(network, { wrt, of: [...new Set(pieces.map(({ output }) => output))] });
  const transposed = transposeLinear(net.linear, net.tangents);
  const gradientMap = sumContractions(withoutCurvatureOnly(net, transposed, pieces));
  const linearized = pieces.map((piece, i): LinearizedPiece => ({
    ...piece,
    linearized: linearize(piece.loss, { wrt: ["scores"], of: ["gradient"], residualPrefix: pieces.length === 1 ? "h." : `h${i}.` }),
  }));
  const { graph, available } = pointGraph(network.name, net, gradientMap, linearized, wrt);
  const product = inPhase(sumContractions(productGraph(network.name, net, transposed, linearized, sources)), "product");
  const readBy = ({ inputs }: Graph): readonly Residual[] => {
    const read = new Set(inputs.map(({ name }) => name));
    return available.filter(({ name }) => read.has(name));
  };
  const residuals = readBy(product);
  const unread = new Set(available.filter((one) => !residuals.includes(one)).map(({ name }) => name));
  const point = removeDeadCode({ ...graph, outputs: graph.outputs.filter(({ name }) => !unread.has(name)) });
  const isForward = (name: string): boolean => name === "loss" || name.startsWith("y/");
  return { point: forwardAndBackward(point, isForward), product, residuals, gradientResiduals: readBy(gradientMap) };
}

function sloped<P extends LossPiece>(pieces: readonly P[]): readonly P[] {
  return pieces.filter(({ curvatureOnly }) => curvatureOnly !== true);
}

/** The transposed map for the gradient: without the outputs at which it is zero. */
function withoutCurvatureOnly({ linear, tangents }: Linearized, transposed: Graph, pieces: readonly LossPiece[]): Graph {
  const kept = new Set(sloped(pieces).map(({ output }) => tangentName(output)));
  const outputs = linear.outputs.filter(({ name }) => kept.has(name));
  return outputs.length === linear.outputs.length ? transposed : transposeLinear(removeDeadCode({ ...linear, outputs }), tangents);
}

function pointGraph(name: string, net: Linearized, transposed: Graph, pieces: readonly LinearizedPiece[], wrt: readonly string[]): { readonly graph: Graph; readonly available: readonly Residual[] } {
  const b = new GraphBuilder();
  const declarations = new Declarations(b);
  const { values, readable } = inlinePoint(b, net, declarations);
  const scores = (output: string): Value => values.get(output)!;
  const losses = pieces.map(({ linearized, loss, output, prefix }) => {
    return inline(b, linearized.point, lossInputs(declarations, loss, scores(output), prefix));
  });
  const own = sloped(pieces);
  const outputsOf = (piece: LinearizedPiece): ReadonlyMap<string, Value> => losses[pieces.indexOf(piece)]!;
  b.output("loss", total(b, own.map((piece) => outputsOf(piece).get("loss")!)));
  const cotangents = summedBy(b, own.map((piece) => [cotangentName(piece.output), outputsOf(piece).get("gradient")!]));
  const gradients = inline(b, transposed, new Map([...readable, ...cotangents]));
  for (const one of wrt) b.output(`g/${one}`, gradients.get(cotangentName(one))!);
  emitScores(b, own, values);
  for (const { name: residual } of net.residuals) b.output(residual, values.get(residual)!);
  pieces.forEach(({ linearized }, i) => {
    for (const { name: residual } of linearized.residuals) b.output(residual, losses[i]!.get(residual)!);
  });
  return { graph: removeDeadCode(b.build(`${name}.point`)), available: [...net.residuals, ...pieces.flatMap(({ linearized }) => linearized.residuals)] };
}

function productGraph(name: string, net: Linearized, transposed: Graph, pieces: readonly LinearizedPiece[], sources: readonly { readonly name: string; readonly value: Value }[]): Graph {
  const b = new GraphBuilder();
  const direction = sources.map((source) => [tangentName(source.name), b.input(`v/${source.name}`, source.value.type)] as const);
  const declarations = new Declarations(b);
  const bind = (graph: Graph, bound: Bindings): ReadonlyMap<string, Value> => inline(b, graph, declarations.of(graph, bound));
  const jv = bind(net.linear, new Map(direction));
  const curved = pieces.map(({ linearized, output, prefix }): [string, Value] => {
    const renamed = withPrefix(linearized.linear, prefix);
    const hjv = bind(renamed, new Map([[tangentName("scores"), jv.get(tangentName(output))!]]));
    return [cotangentName(output), hjv.get(tangentName("gradient"))!];
  });
  const products = bind(transposed, summedBy(b, curved));
  for (const source of sources) b.output(`Gv/${source.name}`, products.get(cotangentName(source.name))!);
  const outputs = [...new Set(sloped(pieces).map(({ output }) => output))];
  for (const output of outputs) b.output(outputs.length === 1 ? "Jv" : `Jv/${output}`, jv.get(tangentName(output))!);
  return withoutUnused(removeDeadCode(b.build(`${name}.product`)));
}

/** Inputs of a loss other than its residuals and the direction, under their names in the whole. */
function withPrefix(graph: Graph, prefix = ""): Graph {
  if (prefix === "") return graph;
  const own = (name: string): boolean => name !== tangentName("scores") && !/^h\d*\.\d+$/.test(name);
  return { ...graph, inputs: graph.inputs.map(({ name, value }) => ({ name: own(name) ? prefix + name : name, value })) };
}

/** Losses with the same prefix share inputs of the same name. */
function lossInputs(declarations: Declarations, loss: Graph, scores: Value, prefix = ""): Bindings {
  return new Map(loss.inputs.map(({ name, value }) => [name, name === "scores" ? scores : declarations.input(prefix + name, value.type)]));
}

/** Values under one name are added in the order of the list. */
function summedBy(b: GraphBuilder, entries: readonly (readonly [string, Value])[]): Bindings {
  const result = new Map<string, Value>();
  for (const [name, value] of entries) {
    const known = result.get(name);
    result.set(name, known === undefined ? value : add(b, known, value));
  }
  return result;
}

function total(b: GraphBuilder, losses: readonly Value[]): Value {
  return losses.slice(1).reduce((sum, loss) => add(b, sum, loss), losses[0]!);
}

function emitScores(b: GraphBuilder, pieces: readonly LossPiece[], outputs: ReadonlyMap<string, Value>): void {
  for (const output of new Set(pieces.map((piece) => piece.output))) b.output(`y/${output}`, outputs.get(output)!);
}

/** The directions stay: they are the signature. */
function withoutUnused(graph: Graph): Graph {
  const used = new Set([...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs.map(({ value }) => value)]);
  return {
    ...graph,
    inputs: graph.inputs.filter(({ name, value }) => used.has(value) || name.startsWith("v/")),
    parameters: graph.parameters.filter(({ value }) => used.has(value)),
  };
}

function checkPieces(network: Graph, pieces: readonly LossPiece[]): void {
  if (sloped(pieces).length === 0) fail("E0209", `no loss is given for "${network.name}"`);
  for (const { output, loss } of pieces) {
    const { value } = targetsOf(network, [output])[0]!;
    const wanted = sourcesOf(loss, ["scores"])[0]!.value.type;
    if (value.type.dtype === wanted.dtype && sameShape(value.type.shape, wanted.shape)) continue;
    fail("E0203", `output "${output}" is ${formatType(value.type)}, but the loss "${loss.name}" takes ${formatType(wanted)}`, { value: output });
  }
}
