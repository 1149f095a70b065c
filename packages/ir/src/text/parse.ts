/** @file Reads the text form of `print.ts`. Types are checked by the verifier at the end. */
import { fail, phaseNames, type Phase, type TensorType } from "@systole/base";
import type { Graph, GraphInput, GraphOutput, Node, Origin, Parameter, Value } from "../graph.ts";
import { isPrimitive, type Params, type PrimitiveName } from "../primitives/index.ts";
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
}

export function parseGraph(text: string): Graph {
  const lines = text.split("\n").map((line, i) => ({ line, number: i + 1 })).filter(({ line }) => !/^\s*(#.*)?$/.test(line));
  const reader: Reader = { values: new Map(), inputs: [], parameters: [], nodes: [], outputs: [], origins: new Map() };
  const header = lines.shift() ?? fail("E0106", `"graph" expected in an empty text`);
  const first = new Scanner(header.line, header.number);
  first.expect("graph");
  const name = first.string();
  first.expect("{");
  first.end();
  const closing = lines.pop() ?? fail("E0106", `"}" expected at the end`, { line: header.number });
  for (const { line, number } of lines) readLine(reader, new Scanner(line, number));
  const last = new Scanner(closing.line, closing.number);
  last.expect("}");
  last.end();
  const { inputs, parameters, nodes, outputs } = reader;
  return verifyGraph({ name, inputs, parameters, nodes, outputs });
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
  const params = s.tries("{") ? readParameters(s) : {};
  s.expect(":");
  const types = ids.map((_, i) => {
    if (i > 0) s.expect(",");
    return s.type();
  });
  const names = readNames(s);
  const origin = readOrigin(reader, s);
  const outputs = ids.map((id, i) => define(reader, s, id, types[i]!, names.get(id) ?? {}));
  // The verifier runs the primitive's type rule over these.
  return { op, inputs, params: params as Params<PrimitiveName>, outputs, origin };
}

function readParameters(s: Scanner): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    s.list("}", () => {
      const key = s.word();
      s.expect("=");
      return [key, s.parameter()] as const;
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
