/** @file Reads the text form of `print.ts`. Types are checked by the verifier at the end. */
import { fail, InputError, phaseNames, type Phase, type TensorType } from "@systole/base";
import type { Graph, GraphInput, GraphOutput, Node, Origin, Parameter, Value } from "../graph.ts";
import { inferTypes, isPrimitive, type Params, type PrimitiveName } from "../primitives/index.ts";
import { verifyGraph } from "../verify.ts";
import { Scanner } from "./scanner.ts";

interface Reader {
  readonly values: Map<number, Value>;
  readonly inputs: GraphInput[];
  readonly parameters: Parameter[];
  readonly nodes: Node[];
  readonly outputs: GraphOutput[];
  /** Nodes name few origins, many times. */
  readonly origins: Map<string, Origin>;
  /** Lines not yet read, the next one last. */
  readonly lines: Line[];
  /** How many graphs this one lies in. */
  readonly depth: number;
}

const deepestNesting = 64;

export interface Line {
  readonly line: string;
  readonly number: number;
}

export function parseGraph(text: string): Graph {
  return verifyGraph(readText(text, "graph", readGraph));
}

/** A text of one thing that begins with `word`; `read` goes on behind it. Empty lines and lines of `#` do not count. */
export function readText<T>(text: string, word: string, read: (s: Scanner, lines: Line[]) => T): T {
  const lines = text.split("\n").map((line, i): Line => ({ line, number: i + 1 })).filter(({ line }) => !/^\s*(#.*)?$/.test(line)).reverse();
  const header = lines.pop() ?? fail("E0106", `"${word}" expected in an empty text`);
  const s = new Scanner(header.line, header.number);
  s.expect(word);
  const result = read(s, lines);
  s.end();
  const [more] = lines.reverse();
  if (more !== undefined) new Scanner(more.line, more.number).wrong("the end of the text");
  return result;
}

/** Goes on with the next line. */
export function nextLine(s: Scanner, lines: Line[], wanted: string): void {
  const next = lines.pop() ?? s.wrong(wanted);
  s.continueAt(next.line, next.number);
}

/** From behind the word `graph` to the closing brace. `lines` are those still to be read, the next one last. */
export function readGraph(s: Scanner, lines: Line[], depth = 0): Graph {
  if (depth > deepestNesting) s.wrong(`bodies nested at most ${deepestNesting} deep`);
  const reader: Reader = { values: new Map(), inputs: [], parameters: [], nodes: [], outputs: [], origins: new Map(), lines, depth };
  const name = s.string();
  s.expect("{");
  s.end();
  for (;;) {
    nextLine(s, lines, `"}" for graph ${JSON.stringify(name)}`);
    if (s.tries("}")) break;
    readLine(reader, s);
  }
  const { inputs, parameters, nodes, outputs } = reader;
  return { name, inputs, parameters, nodes, outputs };
}

function readLine(reader: Reader, s: Scanner): void {
  if (s.tries("input ")) {
    const { name, id, type } = readHeader(s);
    reader.inputs.push({ name, value: define(reader, s, id, type, readNames(s).get(id) ?? { name }) });
  } else if (s.tries("parameter ")) {
    const { name, id, type } = readHeader(s);
    s.expect("=");
    const tensor = s.elements(type);
    reader.parameters.push({ name, tensor, value: define(reader, s, id, type, readNames(s).get(id) ?? { name }) });
  } else if (s.tries("output ")) {
    reader.outputs.push({ name: s.string(), value: use(reader, s) });
  } else {
    reader.nodes.push(readNode(reader, s));
  }
  s.end();
}

function readHeader(s: Scanner): { readonly name: string; readonly id: number; readonly type: TensorType } {
  const name = s.string();
  const id = s.id();
  s.expect(":");
  return { name, id, type: s.type() };
}

interface Named {
  readonly name?: string;
}

/** `name(%3 "relu1")` or, for a value without the expected name, `name(%3)`. */
function readNames(s: Scanner): ReadonlyMap<number, Named> {
  const names = new Map<number, Named>();
  while (s.tries("name(")) {
    const id = s.id();
    if (s.tries(")")) {
      names.set(id, {});
      continue;
    }
    names.set(id, { name: s.string() });
    s.expect(")");
  }
  return names;
}

function readNode(reader: Reader, s: Scanner): Node {
  const ids = [s.id()];
  while (s.tries(",")) ids.push(s.id());
  s.expect("=");
  const op = s.word();
  if (!isPrimitive(op)) return s.wrong(`the name of a primitive instead of "${op}"`);
  s.expect("(");
  const inputs = s.list(")", () => use(reader, s));
  const params = s.tries("{") ? readParameters(reader, s) : {};
  s.expect(":");
  const types = ids.map((_, i) => {
    if (i > 0) s.expect(",");
    return s.type();
  });
  const names = readNames(s);
  const origin = readOrigin(reader, s);
  const outputs = ids.map((id, i) => define(reader, s, id, types[i]!, names.get(id) ?? {}));
  requireParameters(s, op, inputs, params as Params<PrimitiveName>);
  return { op, inputs, params: params as Params<PrimitiveName>, outputs, origin };
}

/** Type rules take it that parameters are there and of the right kind, which a text need not keep to. What else they refuse is the verifier's to say. */
function requireParameters(s: Scanner, op: PrimitiveName, inputs: readonly Value[], params: Params<PrimitiveName>): void {
  try {
    inferTypes(op, inputs.map(({ type }) => type), params);
  } catch (error) {
    if (!(error instanceof InputError)) s.wrong(`operands and parameters that ${op} takes`);
  }
}

function readParameters(reader: Reader, s: Scanner): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    s.list("}", () => {
      const key = s.word();
      s.expect("=");
      return [key, s.parameter(() => readGraph(s, reader.lines, reader.depth + 1))] as const;
    }),
  );
}

function readOrigin(reader: Reader, s: Scanner): Origin {
  if (!s.tries("loc(")) return { node: "", operator: "" };
  const [node, operator] = [s.string(), s.string()];
  const phase = s.tries(")") ? undefined : readPhase(s);
  const key = JSON.stringify([node, operator, phase]);
  const origin = reader.origins.get(key) ?? { node, operator, ...(phase === undefined ? {} : { phase }) };
  reader.origins.set(key, origin);
  return origin;
}

function readPhase(s: Scanner): Phase {
  const phase = phaseNames.find((name) => s.tries(name)) ?? s.wrong(`a phase: ${phaseNames.join(", ")}`);
  s.expect(")");
  return phase;
}

function use(reader: Reader, s: Scanner): Value {
  const id = s.id();
  return reader.values.get(id) ?? s.wrong(`a definition of %${id} further up`);
}

function define(reader: Reader, s: Scanner, id: number, type: TensorType, named: Named): Value {
  if (reader.values.has(id)) s.wrong(`another number than %${id}, which is defined already,`);
  const value: Value = { id, type, ...(named.name === undefined ? {} : { name: named.name }) };
  reader.values.set(id, value);
  return value;
}
