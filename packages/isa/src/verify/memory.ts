/** @file Rules of the image's memory map: text, constants, tensors. */
import { bytesOf, elementCount, fail } from "@systole/base";
import type { Image } from "../image.ts";
import { limits, type Machine } from "../machine.ts";
import type { WrittenBytes } from "./operands.ts";

/** Where the text lies; nothing may be written there. */
export function textBytes(image: Image): WrittenBytes {
  const count = image.routines.reduce((sum, routine) => sum + routine.instructions.length, 0);
  return { low: image.textAddress, end: image.textAddress + count * limits.instructionBytes };
}

export function checkMemory(image: Image, machine: Machine): void {
  const refuse = (rule: string): never => fail("E0403", rule);
  if (image.externalBytes > machine.external.bytes) refuse(`the image uses ${image.externalBytes} bytes of external memory; ${machine.name} has ${machine.external.bytes}`);
  const text = textBytes(image);
  if (image.textAddress % limits.instructionBytes !== 0) refuse(`the text lies at ${image.textAddress}, not a multiple of ${limits.instructionBytes}`);
  if (text.end > image.externalBytes) refuse(`the text ends at ${text.end}, beyond the ${image.externalBytes} bytes of the image`);
  const pieces = [...image.segments.map((s) => ({ low: s.address, end: s.address + s.bytes.length })), text].filter((p) => p.low < p.end).sort((a, b) => a.low - b.low);
  pieces.forEach((piece, k) => {
    if (piece.end > image.externalBytes) refuse(`constants end at ${piece.end}, beyond the ${image.externalBytes} bytes of the image`);
    if (k > 0 && pieces[k - 1]!.end > piece.low) refuse(`constants or text overlap at address ${piece.low}`);
  });
  checkSymbols(image);
}

function checkSymbols(image: Image): void {
  const seen = new Set<string>();
  for (const s of image.symbols) {
    const bytes = elementCount(s.shape) * bytesOf(s.dtype);
    const refuse = (rule: string): never => fail("E0403", rule, { value: s.name });
    if (!(s.address + bytes <= image.externalBytes)) refuse(`the ${s.kind} ends at ${s.address + bytes}, beyond the ${image.externalBytes} bytes of the image`);
    if (s.address % bytesOf(s.dtype) !== 0) refuse(`the ${s.kind} at ${s.address} is not aligned to ${s.dtype}`);
    const key = `${s.kind} ${s.name}`;
    if (seen.has(key)) refuse(`two tensors are the ${s.kind} of this name`);
    seen.add(key);
  }
}
