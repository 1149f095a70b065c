/** @file `systole conform`: a folder of ONNX backend cases on the device; what passes, what fails, what is not supported and why. */
import { withCases, type Case } from "../conform/cases.ts";
import { judge, type Outcome, type Verdict } from "../conform/judge.ts";
import { writeWhole } from "../files/files.ts";
import { defaultMachine, findMachine } from "../options.ts";
import { Progress, type Terminal } from "../terminal.ts";

export const conformSchema = "systole.conform/1";

export interface ConformFlags {
  readonly machine?: string;
  readonly filter?: RegExp;
  readonly json?: string;
  readonly quiet?: boolean;
}

export function conformCommand(terminal: Terminal, path: string, flags: ConformFlags): number {
  const machine = findMachine(flags.machine ?? defaultMachine);
  const verdicts = withCases(path, (all) => {
    const cases = all.filter((one) => flags.filter?.test(one.name) ?? true);
    const progress = new Progress(terminal, "conform");
    const done = cases.map((one: Case, i): Verdict => {
      progress.update(i, cases.length, one.name);
      return judge(one, machine);
    });
    progress.end();
    return done;
  });
  const count = (outcome: Outcome): number => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  const counts = { passed: count("passed"), failed: count("failed"), unsupported: count("unsupported") };
  if (flags.json !== undefined) writeWhole(flags.json, `${JSON.stringify({ schema: conformSchema, machine: machine.name, ...counts, cases: verdicts }, undefined, 2)}\n`);
  if (flags.quiet !== true) {
    for (const { name, outcome, code, reason } of verdicts) terminal.out(`${outcome.padEnd(11)} ${name}${reason === undefined ? "" : `: ${code === undefined ? "" : `${code} `}${reason}`}\n`);
  }
  terminal.out(`${counts.passed} passed, ${counts.failed} failed, ${counts.unsupported} unsupported\n`);
  return counts.failed > 0 ? 1 : 0;
}
