/**
 * @file How structured control is differentiated. Its rules are about whole graphs: what they need of differentiation is handed to them, so
 * that bodies may hold bodies.
 */
import type { TensorType } from "@systole/base";
import type { GraphBuilder } from "../../builder.ts";
import type { Graph, Node, Value } from "../../graph.ts";
import type { PrimitiveName } from "../../primitives/index.ts";
import type { Linearity, Tangent } from "../../primitives/primitive.ts";
import type { DerivativeOptions } from "../names.ts";
import type { Linearized, LinearizeOptions } from "../splitTangents.ts";

export type ControlName = "scan" | "cond" | "while";

/** Differentiation of bodies. */
export interface BodyDerivatives {
  readonly jvp: (body: Graph, options: DerivativeOptions) => Graph;
  readonly linearize: (body: Graph, options: LinearizeOptions) => Linearized;
  /** The outputs that have a tangent if these inputs have. */
  readonly moved: (body: Graph, wrt: readonly string[]) => ReadonlySet<string>;
}

/** Turning bodies round. */
export interface LinearBodies {
  /** Stops with E0205 if the body is not linear in these inputs. */
  readonly verify: (body: Graph, inputs: readonly string[]) => void;
  readonly transpose: (body: Graph, inputs: readonly string[]) => Graph;
}

/** Results and their tangents: the results may come with values that only the linear map reads. */
export interface ResultsAndTangents {
  readonly outputs: readonly Value[];
  readonly tangents: readonly Tangent[];
}

/** A linear application that is turned round; at least one cotangent is there. */
export interface LinearControl<P extends PrimitiveName> {
  readonly node: Node<P>;
  /** The operands that are no linear values; undefined where the operand is linear. */
  readonly fixed: readonly (Value | undefined)[];
  readonly types: readonly TensorType[];
  /** One entry per result. */
  readonly cotangents: readonly Tangent[];
}

export interface ControlRules<P extends PrimitiveName> {
  /** `inputs` are the operands, `tangents` theirs. Every node it adds either does not depend on the tangents or uses them linearly (not so `while`). */
  readonly jvp: (b: GraphBuilder, node: Node<P>, inputs: readonly Value[], tangents: readonly Tangent[], bodies: BodyDerivatives) => ResultsAndTangents;
  /** Given which operands are linear values. */
  readonly linearity: (node: Node<P>, operands: readonly number[], bodies: Pick<LinearBodies, "verify">) => Linearity;
  /** The cotangents of the operands; undefined for operands that are not linear values and for zeros. */
  readonly transpose: (b: GraphBuilder, at: LinearControl<P>, bodies: Pick<LinearBodies, "transpose">) => readonly Tangent[];
}
