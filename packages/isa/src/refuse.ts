/** @file How resolver and verifier say no: one code, always with the routine and the address of the instruction. */
import { fail } from "@systole/base";

/** Where an instruction stands; part of every refusal. */
export interface Site {
  readonly routine: string;
  readonly address: number;
}

export function refuse(site: Site, rule: string, notes: readonly string[] = []): never {
  return fail("E0403", rule, { routine: site.routine, address: site.address }, notes);
}

export function demand(condition: boolean, site: Site, rule: () => string): void {
  if (!condition) refuse(site, rule());
}
