/** @file Machine files: JSON text to a checked `Machine`, and the hash that ties an image to a machine. */
import { fail, partialSums } from "@systole/base";
import * as z from "zod";
import { limits, type Machine } from "./machine.ts";

/** Addresses of the data cache are 32-bit numbers in the simulated device; so are those of external memory. */
const largestMemory = 2 ** 32;

/** What stands in a machine file, and what is accepted there. */
const schema = z.strictObject({
  name: z.string({ error: "a text" }).regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, { error: "1 to 64 letters, digits, dots, dashes or underlines" }),
  array: group({
    rows: whole(1, 1024),
    columns: whole(1, 1024),
    weightRowsPerCycle: whole(1, 1024),
    overlap: z.enum(["shadow", "serial"], { error: '"shadow" or "serial"' }),
  }),
  dataCache: group({ bytes: whole(1024, largestMemory / 4, 64), banks: powerOfTwo(1, 1024), ports: whole(1, 16) }),
  accumulators: group({ bytes: whole(256, largestMemory / 4, 64), writeToReadCycles: whole(0, 1024) }),
  external: group({
    bytes: whole(65536, largestMemory, 4096),
    readBytesPerCycle: whole(1, 65536),
    writeBytesPerCycle: whole(1, 65536),
    latencyCycles: whole(0, 1_000_000),
    burstBytes: powerOfTwo(4, 4096),
  }),
  dma: group({ channels: whole(1, 256) }),
  vector: group({ lanes: powerOfTwo(1, partialSums), chainedOperations: whole(1, limits.stages), latencyCycles: whole(0, 1024) }),
  instructionCache: group({ bytes: whole(64, 2 ** 26, 16), lineBytes: powerOfTwo(limits.instructionBytes, 4096) }),
  queueDepth: whole(1, 1024),
}, { error: "an object with the fields of a machine" });

export function parseMachine(text: string, fileName: string): Machine {
  const result = schema.safeParse(parseJson(text, fileName));
  if (!result.success) return refuseMachine(result.error.issues, fileName);
  const machine: Machine = result.data;
  const { instructionCache: cache } = machine;
  if (cache.bytes % cache.lineBytes !== 0) fail("E0301", `field instructionCache.bytes is ${cache.bytes}; accepted is a multiple of instructionCache.lineBytes, ${cache.lineBytes}`, { file: fileName });
  return machine;
}

/** 16 hexadecimal digits over all numbers of a machine, in a fixed order; the name does not count. */
export function machineHash(machine: Machine): string {
  const { name: _, ...numbers } = machine;
  let hash = 0xcbf29ce484222325n;
  // FNV-1a, 64 bits; the text is plain ASCII.
  for (const character of describe("", numbers).sort().join("\n")) hash = BigInt.asUintN(64, (hash ^ BigInt(character.codePointAt(0)!)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}

/** The text of a machine file. */
export function formatMachine(machine: Machine): string {
  return `${JSON.stringify(machine, undefined, 2)}\n`;
}

function describe(path: string, value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [`${path}=${String(value)}`];
  return Object.entries(value).flatMap(([key, inner]) => describe(path === "" ? key : `${path}.${key}`, inner));
}

function parseJson(text: string, fileName: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return fail("E0301", `not JSON: ${error instanceof Error ? error.message : String(error)}`, { file: fileName });
  }
}

function refuseMachine(issues: readonly z.core.$ZodIssue[], fileName: string): never {
  const lines = issues.slice(0, 8).map((issue) => {
    const path = issue.path.map(String).join(".");
    if (issue.code === "unrecognized_keys") return `unknown field ${issue.keys.map((key) => (path === "" ? key : `${path}.${key}`)).join(", ")}`;
    return `${path === "" ? "the file" : `field ${path}`}: accepted is ${issue.message}`;
  });
  return fail("E0301", lines[0]!, { file: fileName }, [...lines.slice(1).map((line) => `Also: ${line}.`), "`systole machines` prints the presets."]);
}

function group<S extends z.core.$ZodLooseShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  const fields = `an object with the fields ${Object.keys(shape).join(", ")}`;
  return z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? undefined : fields) });
}

function whole(low: number, high: number, multiple = 1): z.ZodNumber {
  const error = `a whole number from ${low} to ${high}${multiple === 1 ? "" : `, a multiple of ${multiple}`}`;
  return z.int({ error }).min(low, { error }).max(high, { error }).multipleOf(multiple, { error });
}

function powerOfTwo(low: number, high: number): z.ZodNumber {
  const error = `a power of two from ${low} to ${high}`;
  return z.int({ error }).min(low, { error }).max(high, { error }).refine((value) => Number.isInteger(Math.log2(value)), { error });
}
