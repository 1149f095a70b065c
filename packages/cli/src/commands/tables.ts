/** @file `systole machines`, `systole operators`, `systole passes`: what there is. */
import { renderTable } from "@systole/report";
import { graphPasses, machineHash, derivativeText, newestOpset, oldestOpset, operatorTable, presetNames, presets } from "@systole/systole";
import { printJson, type Terminal } from "../terminal.ts";

export interface TableFlags {
  readonly json?: boolean;
}

export function machinesCommand(terminal: Terminal, flags: TableFlags): number {
  if (flags.json === true) {
    printJson(terminal, { schema: "systole.machines/1", machines: presetNames.map((name) => ({ ...presets[name], hash: machineHash(presets[name]) })) });
    return 0;
  }
  const fields = new Map<string, string[]>();
  for (const name of presetNames) {
    for (const [group, value] of Object.entries(presets[name])) {
      const entries = typeof value === "object" ? Object.entries(value).map(([field, inner]) => [`${group}.${field}`, inner] as const) : [[group, value] as const];
      for (const [field, inner] of entries) if (field !== "name") fields.set(field, [...(fields.get(field) ?? []), String(inner)]);
    }
  }
  const columns = [{ title: "field", align: "left" }, ...presetNames.map((title) => ({ title, align: "right" }) as const)] as const;
  terminal.out(`${renderTable(columns, [...fields].map(([field, values]) => [field, ...values]))}\n`);
  return 0;
}

export function operatorsCommand(terminal: Terminal, flags: TableFlags): number {
  if (flags.json === true) {
    printJson(terminal, { schema: "systole.operators/1", opsets: { oldest: oldestOpset, newest: newestOpset }, operators: operatorTable });
    return 0;
  }
  const columns = [{ title: "operator", align: "left" }, { title: "versions", align: "left" }, { title: "restrictions", align: "left" }, { title: "derivative", align: "left" }] as const;
  terminal.out(`${operatorTable.length} operators, opsets ${oldestOpset} to ${newestOpset}\n\n${renderTable(columns, operatorTable.map((row) => [row.name, row.since.join(" "), row.constraints, derivativeText(row.derivative)]))}\n`);
  return 0;
}

export function passesCommand(terminal: Terminal, flags: TableFlags): number {
  const passes = graphPasses.map(({ name, doc }) => ({ name, doc }));
  if (flags.json === true) printJson(terminal, { schema: "systole.passes/1", passes });
  else terminal.out(`${renderTable([{ title: "pass", align: "left" }, { title: "what it does", align: "left" }], passes.map(({ name, doc }) => [name, doc]))}\n`);
  return 0;
}
