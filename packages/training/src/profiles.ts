/**
 * @file The variants of Hessian-free training by name. Sources: `martens`: J. Martens, Deep learning via Hessian-free optimization (ICML 2010) and
 * the code published with it; `rnn`: Martens and Sutskever, Learning recurrent neural networks with Hessian-free optimization (ICML 2011) and
 * Sutskever's code; `device-text`: the loop of CN107341540 as it stands: whole step, no line search, no rejection.
 */
import { fail } from "@systole/base";
import type { LineSearch } from "./lineSearch.ts";

/** Which samples something is evaluated on: all of the gradient's, or a batch of the curvature's size so many such batches behind the first. */
export type BatchChoice = { readonly of: "gradient" } | { readonly of: "curvature"; readonly offset: number };

export interface Profile {
  readonly name: string;
  readonly doc: string;
  readonly lambda: number;
  readonly cgIterations: number;
  readonly preconditioner: boolean;
  /** The curvature samples are the first ones of the gradient's (else they move on by themselves through all data). */
  readonly curvatureInGradient: boolean;
  /** The iterate that is taken: the last one, or the best one going back through those stored. */
  readonly backtracking: BatchChoice | undefined;
  /** Iterates are kept at the steps ceil(5 * 1.3^j), or at every tenth. */
  readonly storeAt: "geometric" | "every-tenth";
  /** Undefined: the whole step, and never a rejection. */
  readonly lineSearch: (LineSearch & { readonly on: BatchChoice }) | undefined;
  readonly rho: {
    readonly on: BatchChoice;
    /** Whether the model's decrease counts the damping. */
    readonly damped: boolean;
    /** A step that makes the loss larger counts as the worst there is. */
    readonly worsenedIsWorst: boolean;
  };
  /** The last iterate times this is where the next run of conjugate gradients begins. */
  readonly warmStart: number;
  /** A rejected step also forgets the last iterate. */
  readonly forgetOnRejection: boolean;
  /** Conjugate gradients also end where the residual is shorter than this. */
  readonly residualTolerance: number;
}

const gradient: BatchChoice = { of: "gradient" };
const curvature = (offset: number): BatchChoice => ({ of: "curvature", offset });

export const profiles = {
  martens: {
    name: "martens", doc: "backtracking, Armijo line search and gradient on the same samples; curvature and rho on a batch of their own", lambda: 45, cgIterations: 250,
    preconditioner: true, curvatureInGradient: false, backtracking: gradient, storeAt: "geometric", lineSearch: { on: gradient, slope: 0.01, factor: 0.8, tries: 60 },
    rho: { on: curvature(0), damped: false, worsenedIsWorst: true }, warmStart: 0.95, forgetOnRejection: false, residualTolerance: 0,
  },
  rnn: {
    name: "rnn", doc: "for recurrent networks: curvature, backtracking and line search on three batches, any decrease is enough, no preconditioner", lambda: 0.1, cgIterations: 300,
    preconditioner: false, curvatureInGradient: true, backtracking: curvature(1), storeAt: "every-tenth", lineSearch: { on: curvature(2), slope: 0, factor: 0.8, tries: 50 },
    rho: { on: curvature(0), damped: true, worsenedIsWorst: false }, warmStart: 0.95, forgetOnRejection: true, residualTolerance: 1e-10,
  },
  "device-text": {
    name: "device-text", doc: "the device text to the letter: theta + delta, whatever happens to the loss", lambda: 1, cgIterations: 250,
    preconditioner: false, curvatureInGradient: true, backtracking: undefined, storeAt: "geometric", lineSearch: undefined,
    rho: { on: gradient, damped: false, worsenedIsWorst: false }, warmStart: 0, forgetOnRejection: false, residualTolerance: 0,
  },
} as const satisfies Readonly<Record<string, Profile>>;

export type ProfileName = keyof typeof profiles;

export const profileNames = Object.keys(profiles) as readonly ProfileName[];

export function profileNamed(name: string): Profile {
  if (!Object.hasOwn(profiles, name)) fail("E0603", `no profile "${name}"`, {}, [`There are: ${profileNames.join(", ")}.`]);
  return profiles[name as ProfileName];
}
