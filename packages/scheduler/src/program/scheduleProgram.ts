/** @file Program and machine to schedule: apply graphs to places, decide what stays in the data cache, choose tilings, place buffers. */
import { internal } from "@systole/base";
import { doneScalar, type Program, type Statement, type Step } from "@systole/ir";
import type { Machine } from "@systole/isa";
import { planOnChip } from "../memoryPlan.ts";
import type { TiledKernel } from "../schedule.ts";
import { TilingSearch, type SearchOptions } from "../search.ts";
import { copyName } from "./application.ts";
import { Applications } from "./applications.ts";
import { PlacedKernels, preloadName } from "./placedKernels.ts";
import type { ProgramSchedule, ScheduledStatement, ScheduledStep } from "./programSchedule.ts";
import { planResidency, residentShares, type Residency } from "./residency.ts";

export interface ProgramOptions extends SearchOptions {
  /** False: only what must be in the data cache stays there, everything else goes to external memory and back: to see what the data cache is good for. */
  readonly residents?: boolean;
}

/** E0302 where pinned tensors or the smallest tiles of a kernel do not fit. The program must be one that `verifyProgram` accepts. */
export function scheduleProgram(program: Program, machine: Machine, options: ProgramOptions = {}): ProgramSchedule {
  const applications = new Applications(program, machine);
  const { placed, residency, kernels } = placeAndTile(applications, machine, options);
  const context: Context = { program, applications, placed };
  return {
    machine: machine.name, program: program.name, scalars: [doneScalar, ...program.scalars.filter((name) => name !== doneScalar)], tensors: residency.tensors, constants: placed.constants, places: placed.places,
    kernels: planOnChip(kernels, workingPart(machine, residency)),
    residentConstants: placed.residentConstants,
    routines: program.routines.map(({ name, owner, body }) => ({ name, owner, body: [...(name === applications.preloader ? preload(placed) : []), ...scheduleStatements(context, body)] })),
    main: program.main.map((step) => scheduleStep(context, step)),
    workingBytes: residency.workingBytes, cachedTemporaryBytes: residency.cachedTemporaryBytes, externalBytes: residency.externalBytes,
  };
}

interface Tiled {
  readonly placed: PlacedKernels;
  readonly residency: Residency;
  readonly kernels: readonly TiledKernel[];
}

/** As much of the data cache for tensors as leaves room for the tiles of every kernel. */
function placeAndTile(applications: Applications, machine: Machine, options: ProgramOptions): Tiled {
  for (const share of options.residents === false ? residentShares.slice(-1) : residentShares) {
    const residency = planResidency(applications, machine, share);
    const search = new TilingSearch(workingPart(machine, residency), options);
    const placed = new PlacedKernels(applications, residency);
    const least = share === residentShares.at(-1);
    if (least || placed.kernels.every((kernel) => search.fits(kernel))) return { placed, residency, kernels: placed.kernels.map((kernel) => search.choose(kernel)) };
  }
  return internal("without tensors in the data cache a kernel fits or is refused");
}

/** The machine as kernels see it. */
function workingPart(machine: Machine, { workingBytes }: Residency): Machine {
  return { ...machine, dataCache: { ...machine.dataCache, bytes: workingBytes } };
}

/** Constants that stay in the data cache come there once. */
function preload({ preload: kernels }: PlacedKernels): readonly ScheduledStatement[] {
  return kernels.length === 0 ? [] : [{ kind: "run", graph: preloadName, scalars: [], kernels }];
}

interface Context {
  readonly program: Program;
  readonly applications: Applications;
  readonly placed: PlacedKernels;
}

function scheduleStatements(context: Context, statements: readonly Statement[]): readonly ScheduledStatement[] {
  return statements.map((statement) => scheduleStatement(context, statement));
}

function scheduleStatement(context: Context, statement: Statement): ScheduledStatement {
  const { applications, placed } = context;
  const place = (reference: Parameters<Applications["piece"]>[0]) => placed.place(applications.piece(reference));
  switch (statement.kind) {
    case "set":
    case "break": return statement;
    case "apply": {
      const scalars = applications.scalarsOf(statement).map(({ scalar, piece }) => ({ scalar, to: placed.place(piece) }));
      return { kind: "run", graph: statement.graph, scalars, kernels: placed.ofApplication[applications.of(statement)]! };
    }
    case "copy": return { kind: "run", graph: copyName, scalars: [], kernels: placed.ofApplication[applications.of(statement)]! };
    case "read": return { kind: "read", target: statement.target, from: place(statement.from) };
    case "write": return { kind: "write", to: place(statement.to), value: statement.value };
    case "sum": return { kind: "sum", target: statement.target, of: place(statement.of) };
    case "call": return { kind: "call", routine: routineNumber(context, statement.routine) };
    case "if": return { kind: "if", condition: statement.condition, then: scheduleStatements(context, statement.then), else: scheduleStatements(context, statement.else) };
    case "while": return { kind: "while", ...(statement.name === undefined ? {} : { name: statement.name }), condition: statement.condition, body: scheduleStatements(context, statement.body) };
  }
}

function scheduleStep(context: Context, step: Step): ScheduledStep {
  if ("from" in step) return { kind: "move", from: context.placed.tensor(step.from), to: context.placed.tensor(step.to) };
  const routine = routineNumber(context, step.routine);
  return step.kind === "converge" ? { kind: step.kind, routine, back: step.back } : { kind: step.kind, routine };
}

function routineNumber({ program }: Context, name: string): number {
  const number = program.routines.findIndex((routine) => routine.name === name);
  return number >= 0 ? number : internal(`no routine ${name}`);
}
