/** @file Tensors whose bytes lie in another file. The caller reads; here stands which places may be read at all. */
import { fail, type Place } from "@systole/base";
import type { TensorProto } from "./proto.ts";

export type ReadExternal = (location: string, offset: number, length: number | undefined) => Uint8Array;

/**
 * Refuses every location that is not a plain relative path inside the model's folder. Links are the caller's concern: only
 * it sees the file system.
 */
export function checkExternalLocation(location: string, where: Place = {}): void {
  const refuse = (why: string): never => fail("E0103", `external data at "${printable(location)}" refused: ${why}`, where);
  if (location === "") refuse("the location is empty");
  if (location.includes("\0")) refuse("it holds a NUL character");
  if (location.includes("\\")) refuse("it holds a backslash");
  if (location.startsWith("/") || /^[A-Za-z]:/.test(location)) refuse("it is not relative");
  if (location.split("/").includes("..")) refuse("it leaves the model's folder by `..`");
}

export function readExternalData(proto: TensorProto, read: ReadExternal | undefined, byteLength: number): Uint8Array {
  const where = { value: proto.name ?? "" };
  const entries = new Map((proto.externalData ?? []).map((entry) => [entry.key ?? "", entry.value ?? ""]));
  const location = entries.get("location");
  if (location === undefined) fail("E0103", "external data without a location", where);
  checkExternalLocation(location, where);
  if (read === undefined) fail("E0103", `external data at "${location}" cannot be read here`, where);
  const offset = count(entries.get("offset") ?? "0", "offset", where);
  const lengthText = entries.get("length");
  const length = lengthText === undefined || lengthText === "" ? undefined : count(lengthText, "length", where);
  if (length !== undefined && length !== byteLength) fail("E0103", `external data of ${length} bytes where the tensor's shape needs ${byteLength}`, where);
  const bytes = read(location, offset, byteLength);
  if (bytes.length !== byteLength) fail("E0103", `external data at "${location}" has ${bytes.length} bytes from offset ${offset}, ${byteLength} wanted`, where);
  return bytes;
}

function count(text: string, what: string, where: Place): number {
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) fail("E0103", `external data with ${what} "${printable(text)}"`, where);
  return value;
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
