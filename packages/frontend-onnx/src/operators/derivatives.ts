/**
 * @file Whether training can go through an operator. There are no derivative rules for operators: what this table says follows from the
 * primitives that they become, and a test differentiates every operator and compares.
 */

export interface Derivative {
  /** `zero`: constant wherever it has a derivative. `none`: no float operand that the run gives, or no float result, so no tangent. */
  readonly kind: "yes" | "zero" | "none";
  /** The forms that have a tangent, where not all have. */
  readonly only?: string;
  /** The forms that end in E0208. */
  readonly refused?: string;
}

const zero = ["Ceil", "EyeLike", "Floor", "Hardmax", "Round", "Sign"];

const none = [
  "And", "ArgMax", "ArgMin", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Constant", "ConstantOfShape", "Equal", "Greater", "GreaterOrEqual",
  "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Range", "Shape", "Size", "Xor",
];

const reductions = "reduction mul, max, min";

const restricted: Readonly<Record<string, Derivative>> = {
  Cast: { kind: "yes", only: "between floats" },
  CastLike: { kind: "yes", only: "between floats" },
  If: { kind: "yes", only: "as the branches" },
  Mod: { kind: "yes", only: "floats" },
  ScatterElements: { kind: "yes", refused: reductions },
  ScatterND: { kind: "yes", refused: reductions },
};

const listed: ReadonlyMap<string, Derivative> = new Map<string, Derivative>([
  ...zero.map((name) => [name, { kind: "zero" }] as const), ...none.map((name) => [name, { kind: "none" }] as const), ...Object.entries(restricted),
]);

export function derivativeOf(operator: string): Derivative {
  return listed.get(operator) ?? { kind: "yes" };
}

/** For tables that people read. */
export function derivativeText({ kind, only, refused }: Derivative): string {
  const notes = [...(only === undefined ? [] : [only]), ...(refused === undefined ? [] : [`not ${refused}`])];
  return [kind === "none" ? "–" : kind, ...notes].join(", ");
}
