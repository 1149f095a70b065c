/** @file From the bytes of a model to a graph: initializers, inputs, nodes in order, outputs; functions and branches are inlined. */
import { fail, formatType, isFloat, withPlace, type Place, type Tensor, type TensorType } from "@systole/base";
import type { Graph, Value } from "@systole/ir";
import { Emitter, type ModelLoss } from "../lowering/emitter.ts";
import { randomMasks, type BatchInput, type DrawBits, type DropoutMasks } from "../lowering/masks.ts";
import { findOperator, schemaOf } from "../operators/index.ts";
import type { FinishBody, ImportBody, ImportedBody } from "../operators/operator.ts";
import { newestOpset, oldestOpset } from "../operators/schemas.ts";
import { Attributes } from "./attributes.ts";
import type { ReadExternal } from "./external.ts";
import { decodeModelProto, functionDefaults, longToNumber, type AttributeProto, type FunctionProto, type GraphProto, type ModelProto, type NodeProto, type ValueInfoProto } from "./proto.ts";
import { batchAxes, bindInputs, declaredInput, statedShape, type Bindings, type DeclaredInput } from "./shapes.ts";
import { dtypeOf, tensorOf } from "./tensors.ts";

export interface ImportOptions extends Bindings {
  /** Reads external data; the location has been checked by `checkExternalLocation`. */
  readonly readExternal?: ReadExternal;
  /** Inputs whose values are settled at import and become constants: shapes, axes and the like that a model takes as inputs. */
  readonly fixedInputs?: Readonly<Record<string, Tensor>>;
  /** For diagnostics only. */
  readonly fileName?: string;
  /** Dropout in training form: refused when missing, left out, or with masks that follow from the seed. */
  readonly dropout?: "off" | DropoutMasks;
}

/** An input or output as the model declares it, with the type it has in the graph. */
export interface ModelValue {
  readonly name: string;
  readonly type: TensorType;
  /** The shape as the model writes it, with names and `?`. */
  readonly stated: string;
}

export interface ImportedModel {
  readonly graph: Graph;
  /** Version of the default operator set. */
  readonly opset: number;
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  /** Loss operators outside the bodies of loops, in order. */
  readonly losses: readonly ModelLoss[];
  readonly warnings: readonly string[];
}

interface ModelFunction {
  readonly proto: FunctionProto;
  readonly defaults: readonly AttributeProto[];
}

/** What all nodes of one model share. */
interface Session {
  readonly e: Emitter;
  readonly functions: ReadonlyMap<string, ModelFunction>;
  readonly external: ReadExternal | undefined;
  /** Nodes lowered so far: nested functions can blow a small file up. */
  nodeCount: number;
  readonly dropout: ImportOptions["dropout"];
  /** Bits for the next Dropout; missing in bodies of loops, where every step would need bits of its own. */
  readonly bits?: DrawBits;
}

/** What the nodes of one graph or function body share. */
interface Scope {
  /** Undefined: an optional input of a function that the call leaves out. */
  readonly values: Map<string, Value | undefined>;
  readonly parent: Scope | undefined;
  readonly opsets: ReadonlyMap<string, number>;
  /** Attributes of the call, inside a function. */
  readonly attributes: ReadonlyMap<string, AttributeProto> | undefined;
  readonly prefix: string;
  readonly depth: number;
  /** In a body: what stands for a value of the graph around it. */
  readonly capture?: (value: Value) => Value;
}

const deepestNesting = 64;
const mostNodes = 1_000_000;

export function importModel(bytes: Uint8Array, options: ImportOptions = {}): ImportedModel {
  return withPlace(options.fileName === undefined ? {} : { file: options.fileName }, () => importProto(bytes, decodeModelProto(bytes, options.fileName), options));
}

/** The inputs of a model before anything is bound. */
export function declaredInputs(bytes: Uint8Array, fileName?: string): readonly DeclaredInput[] {
  const graph = decodeModelProto(bytes, fileName).graph!;
  const initialized = new Set((graph.initializer ?? []).map((one) => one.name ?? ""));
  return (graph.input ?? []).filter((info) => !initialized.has(info.name ?? "")).map(declaredInput);
}

function importProto(bytes: Uint8Array, model: ModelProto, options: ImportOptions): ImportedModel {
  const graph = model.graph!;
  const opsets = opsetsOf(model.opsetImport ?? []);
  const e = new Emitter();
  const session: Session = { e, functions: functionsOf(bytes, model), external: options.readExternal, nodeCount: 0, dropout: options.dropout };
  const scope: Scope = { values: new Map(), parent: undefined, opsets, attributes: undefined, prefix: "", depth: 0 };
  const initialized = new Set((graph.initializer ?? []).map((one) => one.name ?? ""));
  // Before IR version 4 every initializer also had to be an input.
  const fixed = options.fixedInputs ?? {};
  const all = (graph.input ?? []).filter((info) => !initialized.has(info.name ?? ""));
  const declared = all.filter((info) => !Object.hasOwn(fixed, info.name ?? ""));
  importFixedInputs(session, scope, all, fixed);
  const types = bindInputs(declared, options);
  declared.forEach((info, i) => define(scope, info.name ?? "", session.e.input(info.name ?? "", types[i]!)));
  importInitializers(session, scope, graph);
  const { dropout } = options;
  const bits = typeof dropout === "object" ? { bits: randomMasks(e, batchInputs(scope, declared, dropout.sampleAxes), dropout) } : {};
  importNodes({ ...session, ...bits }, scope, graph.node ?? []);
  const outputs = (graph.output ?? []).map((info) => ({ info, value: lookup(scope, info.name ?? "") }));
  if (outputs.length === 0) fail("E0205", "the graph has no outputs");
  for (const { info, value } of outputs) session.e.output(info.name ?? "", value);
  return {
    graph: session.e.build(graph.name ?? ""),
    opset: opsets.get("") ?? 0,
    inputs: declared.map((info, i) => modelValue(info, types[i]!)),
    outputs: outputs.map(({ info, value }) => modelValue(info, value.type)),
    losses: session.e.losses,
    warnings: warningsOf(model, declared, options),
  };
}

/** The axes that count the samples, as `sampleAxes` says or where a batch is bound. */
function batchInputs(scope: Scope, inputs: readonly ValueInfoProto[], sampleAxes: Readonly<Record<string, number>> = {}): BatchInput[] {
  const hasAxis = ([name, axis]: readonly [string, number]): boolean => axis < lookup(scope, name).type.shape.length;
  const axes = { ...Object.fromEntries(Object.entries(batchAxes(inputs)).filter(hasAxis)), ...sampleAxes };
  return Object.entries(axes).map(([name, axis]) => {
    if (!inputs.some((info) => info.name === name)) fail("E0603", `a sample axis is given for "${name}", which is no input`);
    return hasAxis([name, axis]) ? { value: lookup(scope, name), axis } : fail("E0603", `axis ${axis} of "${name}" shall count the samples, but is of rank ${lookup(scope, name).type.shape.length}`);
  });
}

function warningsOf(model: ModelProto, inputs: readonly ValueInfoProto[], options: ImportOptions): string[] {
  const open = inputs.some((info) => /[^[\], 0-9]/.test(statedShape(info)));
  return [
    ...(options.batch !== undefined && !open ? ["a batch is given, but no dimension of an input is open"] : []),
    ...((model.trainingInfo ?? []).length > 0 ? ["the model's training information is ignored"] : []),
  ];
}

function modelValue(info: ValueInfoProto, type: TensorType): ModelValue {
  const typed = info.type?.tensorType !== null && info.type?.tensorType !== undefined;
  return { name: info.name ?? "", type, stated: typed ? statedShape(info) : "?" };
}

function opsetsOf(imports: readonly { domain?: string | null; version?: Parameters<typeof longToNumber>[0] | null }[]): Map<string, number> {
  const opsets = new Map(imports.map((one) => [domainOf(one.domain), longToNumber(one.version ?? 0)] as const));
  const version = opsets.get("");
  if (version !== undefined && (version < oldestOpset || version > newestOpset)) {
    fail("E0104", `opset ${version}`, {}, [`opsets ${oldestOpset} to ${newestOpset} are supported`]);
  }
  return opsets;
}

/** The default domain has two spellings. */
function domainOf(domain: string | null | undefined): string {
  return domain === "ai.onnx" ? "" : (domain ?? "");
}

function functionsOf(bytes: Uint8Array, model: ModelProto): Map<string, ModelFunction> {
  const defaults = (model.functions ?? []).length === 0 ? new Map<number, readonly AttributeProto[]>() : functionDefaults(bytes);
  const functions = new Map<string, ModelFunction>();
  (model.functions ?? []).forEach((proto, index) => {
    const key = `${domainOf(proto.domain)}:${proto.name ?? ""}`;
    if (functions.has(key)) fail("E0201", `function "${key}" is overloaded`);
    functions.set(key, { proto, defaults: defaults.get(index) ?? [] });
  });
  return functions;
}

function importFixedInputs(session: Session, scope: Scope, declared: readonly ValueInfoProto[], fixed: Readonly<Record<string, Tensor>>): void {
  for (const [name, tensor] of Object.entries(fixed)) {
    const info = declared.find((one) => one.name === name) ?? fail("E0601", `a value is given for "${name}", which is no input`);
    const dtype = dtypeOf(info.type?.tensorType?.elemType ?? 0, { value: name });
    if (dtype !== tensor.dtype) fail("E0602", `input "${name}" is ${dtype}, the value given is ${formatType(tensor)}`, { value: name });
    define(scope, name, session.e.constant(tensor));
  }
}

/** Floats may be trained and become parameters; integers, booleans, empty tensors and those of a branch are constants. */
function importInitializers(session: Session, scope: Scope, graph: GraphProto): void {
  if ((graph.sparseInitializer ?? []).length > 0) fail("E0207", "sparse initializers");
  session.e.setOrigin({ node: "", operator: "" });
  for (const proto of graph.initializer ?? []) {
    const name = proto.name ?? "";
    const tensor = tensorOf(proto, session.external);
    const trainable = isFloat(tensor.dtype) && scope.depth === 0 && tensor.data.length > 0;
    define(scope, name, trainable ? session.e.parameter(name, tensor) : session.e.constant(tensor));
  }
}

function importNodes(session: Session, scope: Scope, nodes: readonly NodeProto[]): void {
  for (const node of nodes) importNode(session, scope, node);
}

function importNode(session: Session, scope: Scope, node: NodeProto): void {
  const operator = node.opType ?? "";
  const domain = domainOf(node.domain);
  const name = scope.prefix + (node.name || node.output?.[0] || operator);
  const opset = scope.opsets.get(domain);
  const where: Place = { node: name, operator: domain === "" ? operator : `${domain}:${operator}`, ...(opset === undefined ? {} : { opset }) };
  if (++session.nodeCount > mostNodes) fail("E0205", `more than ${mostNodes} nodes after inlining`, where);
  session.e.setOrigin({ node: name, operator });
  withPlace(where, () => {
    const inputs = (node.input ?? []).map((input) => (input === "" ? undefined : lookupOptional(scope, input)));
    const attributes = (node.attribute ?? []).flatMap((attribute) => resolveReference(scope, attribute));
    const called = session.functions.get(`${domain}:${operator}`);
    const results =
      called !== undefined
        ? callFunction(session, scope, called, inputs, attributes, name)
        : lowerNode(session, scope, { proto: node, name, domain, opset, inputs }, new Attributes(attributes, where, session.external));
    (node.output ?? []).forEach((output, index) => {
      if (output === "") return;
      const value = results[index] ?? fail("E0202", `output ${index} ("${output}")`);
      define(scope, output, value);
    });
  });
}

type Operands = readonly (Value | undefined)[];

/** A node of an operator that is lowered, with all that its scope says about it. */
interface ScopedNode {
  readonly proto: NodeProto;
  readonly name: string;
  readonly domain: string;
  readonly opset: number | undefined;
  readonly inputs: Operands;
}

function lowerNode(session: Session, scope: Scope, node: ScopedNode, attributes: Attributes): Operands {
  const { domain, opset, inputs, proto } = node;
  const operator = domain === "" ? findOperator(proto.opType ?? "") : undefined;
  if (operator === undefined) fail("E0201", `operator ${domain === "" ? "" : `${domain}:`}${proto.opType ?? ""}`);
  if (opset === undefined) fail("E0104", "the model imports no version of this operator's domain");
  const schema = schemaOf(operator.name, opset) ?? fail("E0201", `operator ${operator.name} does not exist in opset ${opset}`);
  const known = schema.attributes.split(" ");
  const strange = attributes.names().find((attribute) => !known.includes(attribute));
  const knownText = schema.attributes === "" ? "the operator has no attributes" : `known: ${known.join(", ")}`;
  if (strange !== undefined) fail("E0202", `unknown attribute "${strange}"`, { attribute: strange }, [knownText]);
  const [least, most] = schema.inputs;
  if (inputs.length > most || inputs.slice(0, least).length < least) fail("E0205", `${inputs.length} inputs`, {}, [`${least} to ${most} are accepted`]);
  const wanted = (proto.output ?? []).map((output) => output !== "");
  if (wanted.length > schema.outputs) fail("E0205", `${wanted.length} outputs`, {}, [`at most ${schema.outputs} are accepted`]);
  const result = operator.lower({
    e: session.e, operator: operator.name, opset, inputs, attributes, wanted, dropout: session.bits === undefined ? (session.dropout === "off" ? "off" : undefined) : { bits: session.bits },
    inline: (graph) => inlineGraph(session, scope, graph, node.name),
    body: ((graph, given, finish) => importBody(session, scope, graph, node.name, given, finish)) as ImportBody,
  });
  const [ignored] = attributes.unread();
  if (ignored !== undefined) fail("E0202", `attribute "${ignored}" is not supported in this use`, { attribute: ignored });
  return Array.isArray(result) ? (result as Operands) : [result as Value];
}

/** The body sees nothing but its own inputs; missing optional inputs stay missing. */
function callFunction(
  session: Session, scope: Scope, called: ModelFunction, inputs: Operands, attributes: readonly AttributeProto[], name: string,
): Operands {
  const { proto, defaults } = called;
  const byName = new Map([...defaults, ...attributes].map((attribute) => [attribute.name ?? "", attribute]));
  const accepted = [...(proto.attribute ?? []), ...defaults.map((one) => one.name ?? "")];
  const strange = attributes.find((attribute) => !accepted.includes(attribute.name ?? ""));
  if (strange !== undefined) fail("E0202", `unknown attribute "${strange.name}" of a function`, { attribute: strange.name ?? "" });
  const formals = proto.input ?? [];
  if (inputs.length > formals.length) fail("E0205", `${inputs.length} inputs of a function that takes ${formals.length}`);
  const body: Scope = {
    values: new Map(), parent: undefined, opsets: opsetsOf(proto.opsetImport ?? []), attributes: byName, prefix: `${name}/`, depth: deeper(scope),
  };
  formals.forEach((formal, i) => define(body, formal, inputs[i]));
  importNodes(session, body, proto.node ?? []);
  return (proto.output ?? []).map((output) => body.values.get(output));
}

function inlineGraph(session: Session, scope: Scope, graph: GraphProto, name: string): readonly Value[] {
  if ((graph.input ?? []).length > 0) fail("E0205", "a branch has inputs");
  const { capture: _own, ...around } = scope;
  const body: Scope = { ...around, values: new Map(), parent: scope, prefix: `${name}/`, depth: deeper(scope) };
  importInitializers(session, body, graph);
  importNodes(session, body, graph.node ?? []);
  return (graph.output ?? []).map((info) => lookup(body, info.name ?? ""));
}

/** A body has an emitter of its own. What it reads from outside becomes an input, once, unless it is fixed: then it is a constant again. */
function importBody(session: Session, scope: Scope, graph: GraphProto, name: string, given: readonly (TensorType | Tensor)[], finish?: FinishBody): ImportedBody | undefined {
  const declared = graph.input ?? [];
  if (declared.length !== given.length) fail("E0205", `a body with ${declared.length} inputs where there are ${given.length}`);
  const e = session.e.forBody();
  const captured = new Map<Value, Value>();
  const capture = (value: Value): Value => {
    const fixed = captured.has(value) ? undefined : session.e.fixed(value);
    const inside = captured.get(value) ?? (fixed === undefined ? e.input(`k${captured.size}`, value.type) : e.constant(fixed));
    captured.set(value, inside);
    return inside;
  };
  const { bits: _bits, ...around } = session;
  const inner: Session = { ...around, e };
  const body: Scope = { ...scope, values: new Map(), parent: scope, prefix: `${name}/`, depth: deeper(scope), capture };
  const inputs = given.map((one, i) => ("data" in one ? e.constant(one) : e.input(`i${i}`, one)));
  declared.forEach((info, i) => define(body, info.name ?? "", inputs[i]));
  importInitializers(inner, body, graph);
  importNodes(inner, body, graph.node ?? []);
  session.nodeCount = inner.nodeCount;
  const outputs = (graph.output ?? []).map((info) => lookup(body, info.name ?? ""));
  const results = finish === undefined ? outputs : finish(e, inputs, outputs);
  results?.forEach((value, i) => e.output(`o${i}`, value));
  const built = e.build(graph.name ?? name);
  const outside = new Map([...captured].map(([outer, inside]) => [inside, outer]));
  const taken = built.inputs.filter(({ value }) => outside.has(value));
  if (results === undefined) return undefined;
  return { graph: { ...built, inputs: [...taken, ...built.inputs.filter(({ value }) => !outside.has(value))] }, captured: taken.map(({ value }) => outside.get(value)!) };
}

function deeper(scope: Scope): number {
  return scope.depth < deepestNesting ? scope.depth + 1 : fail("E0205", `functions nested more than ${deepestNesting} deep`);
}

/** In a function an attribute may stand for one of the call; one that the call leaves out is left out. */
function resolveReference(scope: Scope, attribute: AttributeProto): AttributeProto[] {
  const reference = attribute.refAttrName ?? "";
  if (reference === "") return [attribute];
  const actual = scope.attributes?.get(reference);
  return actual === undefined ? [] : [{ ...actual, name: attribute.name ?? "" }];
}

function define(scope: Scope, name: string, value: Value | undefined): void {
  if (name === "") fail("E0205", "a value without a name");
  if (scope.values.has(name)) fail("E0205", `value "${name}" is defined twice`, { value: name });
  scope.values.set(name, value);
}

function lookup(scope: Scope, name: string): Value {
  return lookupOptional(scope, name) ?? fail("E0205", `value "${name}" is missing`, { value: name });
}

function lookupOptional(scope: Scope, name: string): Value | undefined {
  if (scope.values.has(name)) return scope.values.get(name);
  const outer = scope.parent === undefined ? fail("E0205", `value "${name}" is used but not defined before`, { value: name }) : lookupOptional(scope.parent, name);
  return outer === undefined || scope.capture === undefined ? outer : scope.capture(outer);
}
