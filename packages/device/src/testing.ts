/** @file For tests only, and no part of the package's interface: a hand into a device's memories. A host may observe a run, never write. */
import { internal } from "@systole/base";
import type { MemoryName } from "@systole/isa";
import type { Device } from "./device.ts";
import { memoryOfDevice } from "./memory.ts";

/** Writes bytes into a simulated memory, also while a run is under way (from `onJudgement`). */
export function pokeForTest(device: Device, memory: MemoryName, address: number, bytes: Uint8Array): void {
  const loaded = memoryOfDevice.get(device) ?? internal("a device that has not run holds no memory");
  loaded.bytes(memory, address, bytes.length).set(bytes);
}
