/**
 * @file Whether a program takes the same way in every run: no judgement, and no branch or row of a generator that depends on a register
 * with something from memory in it. Look-ups may name any rows; the map of written words tells whether that matters.
 */
import { immediateRegister, unaryScalarOperations, type ResolvedProgram, type ResolvedStep } from "@systole/isa";

export function isDecided({ routines }: ResolvedProgram): boolean {
  const steps = routines.flatMap(({ body }) => body.flatMap(withInner));
  const open = openRegisters(steps);
  return steps.every((step) => {
    if (step.kind === "converge") return false;
    if (step.kind === "branch") return !open.has(step.register);
    return !("rowed" in step) || step.rowed.every(({ row }) => !open.has(row!.register));
  });
}

function withInner(step: ResolvedStep): readonly ResolvedStep[] {
  return step.kind === "loop" ? step.body.flatMap(withInner) : [step];
}

/** Registers that may hold a number from memory at some time. */
function openRegisters(steps: readonly ResolvedStep[]): ReadonlySet<number> {
  const open = new Set<number>();
  const isOpen = (register: number): boolean => register !== immediateRegister && open.has(register);
  let known = -1;
  while (known < open.size) {
    known = open.size;
    for (const step of steps) {
      if (step.kind === "move" && step.direction === "to-register") open.add(step.register);
      if (step.kind === "scalar" && (isOpen(step.a) || (!unaryScalarOperations.has(step.operation) && isOpen(step.b)))) open.add(step.target);
    }
  }
  return open;
}
