/**
 * @file The time of the whole device: the controller's clock, the units and the scoreboard between them. Each method takes one
 * dynamic instruction; nothing here depends on a value. Every time is a maximum of sums of earlier times, so a larger
 * bandwidth or a shorter latency can only lower it.
 */
import { unitNames, type Machine, type ResolvedGenerator, type ResolvedStep, type UnitName } from "@systole/isa";
import { addBusy, newKernelCounters, perUnit, type MutableKernelCounters, type StallCause } from "../counters.ts";
import { slotOf, startAddress, startsAnew, type Placement } from "../geometry.ts";
import { InstructionCache } from "../instructionCache.ts";
import { Scoreboard } from "../scoreboard.ts";
import type { Submodule } from "../submodules.ts";
import type { SymbolTraffic } from "../symbolTraffic.ts";
import type { Trace } from "../trace.ts";
import { ArrayClock, Latest } from "./arrayTiming.ts";
import { DmaClock } from "./dmaTiming.ts";
import type { TimingTables } from "./tables.ts";
import { UnitClock, type ControllerLosses } from "./unitClock.ts";
import type { VectorStep } from "./vectorTiming.ts";

export type GemmStep = Extract<ResolvedStep, { kind: "gemm" }>;
export type TransferStep = Extract<ResolvedStep, { kind: "load" | "store" | "gather" | "scatter" | "fill" }>;
export type MoveStep = Extract<ResolvedStep, { kind: "move" }>;
export type IoStep = Extract<ResolvedStep, { kind: "io" }>;

/** Where the text lies in external memory; its first `romBytes` bytes stand in a ROM of the controller instead. */
export interface TextPlace {
  readonly address: number;
  readonly romBytes: number;
}

export class MachineClock {
  readonly units: Readonly<Record<UnitName, UnitClock>>;
  readonly scoreboard: Scoreboard;
  readonly cache: InstructionCache;
  /** The cycle in which the controller takes the next word. */
  now = 0;
  /** The latest completion so far: what the run has taken. */
  frontier = 0;
  macs = 0;
  /** Words that came through the instruction cache. */
  fetched = 0;
  readBytes = 0;
  writeBytes = 0;
  usedReadBytes = 0;
  usedWriteBytes = 0;
  /** Whom the present instruction belongs to; the controller sets both. */
  kernel: MutableKernelCounters = newKernelCounters();
  kernelIndex = -1;
  submodule: Submodule | undefined;
  /** On whose behalf. */
  asking: Submodule | undefined;
  readonly #losses: ControllerLosses = { fetch: 0, queue: 0, control: 0 };
  readonly #array: ArrayClock;
  readonly #read: DmaClock;
  readonly #write: DmaClock;
  readonly #tables: TimingTables;
  readonly #streamSlots: number[] = [];
  readonly #machine: Machine;
  readonly #text: TextPlace;
  readonly #symbols: SymbolTraffic;
  readonly #trace: Trace | undefined;

  constructor(machine: Machine, tables: TimingTables, text: TextPlace, symbols: SymbolTraffic, trace: Trace | undefined) {
    this.#machine = machine;
    this.#tables = tables;
    this.scoreboard = new Scoreboard(tables.slots);
    this.#text = text;
    this.#symbols = symbols;
    this.#trace = trace;
    this.units = perUnit((unit) => new UnitClock(unit, machine.queueDepth));
    this.cache = new InstructionCache(machine);
    if (text.romBytes === 0) this.cache.preload(text.address);
    this.#array = new ArrayClock(machine);
    this.#read = new DmaClock(machine, "read");
    this.#write = new DmaClock(machine, "write");
  }

  /** The controller takes one word; a place in the queue of `unit` must be free. Returns when the unit sees the instruction. */
  issue(address: number, unit?: UnitName): number {
    if (!this.inRom(address)) {
      this.#wait(this.cache.fetch(this.#text.address + address, this.now), "fetch");
      this.fetched++;
    }
    if (unit !== undefined) this.#wait(this.units[unit].queueFree(), "queue");
    this.now++;
    this.units.controller.work(1);
    if (this.submodule !== undefined) this.submodule.instructions++;
    this.#advance(this.now);
    return this.now;
  }

  inRom(address: number): boolean {
    return address < this.#text.romBytes;
  }

  waitForScalar(): void {
    this.#wait(this.units.scalar.complete, "control");
  }

  waitForAll(): void {
    for (const unit of Object.values(this.units)) this.#wait(unit.complete, "control");
  }

  /** Closes the books: every unit is accounted for up to the end. */
  finish(): void {
    for (const unit of Object.values(this.units)) unit.lostUntil(this.frontier, "idle");
  }

  gemm(step: GemmStep, placement: Placement, indices: Int32Array, dispatched: number): void {
    const [rows, contracted, columns] = gemmExtents(step, placement);
    const board = this.scoreboard;
    const x = this.#slot(step.x, indices);
    const w = this.#slot(step.w, indices);
    const out = this.#slot(step.out, indices);
    const time = this.#array.schedule(
      { rows, contracted, columns, weightStationary: step.dataflow === "weight-stationary", continues: !startsAnew(step.start, indices) },
      { dispatched, x: board.writeDone[x]!, w: board.writeDone[w]!, sumsWritten: board.writeDone[out]!, sumsRead: board.readDone[out]!, slot: out });
    board.noteRead(x, time.streamed);
    board.noteRead(w, time.streamed);
    board.noteWrite(out, time.complete);
    const unit = this.units.array;
    unit.noteStart(time.begin);
    unit.lostBeforeDispatch(dispatched, this.#losses);
    unit.lostUntil(time.begin, time.beginCause);
    unit.lostUntil(time.start, time.cause);
    for (const [cause, cycles] of time.lost) unit.lostUntil(unit.accounted + cycles, cause);
    this.#worked(unit, time.busy, step.address, time.start, time.complete);
    this.macs += rows * columns * contracted;
    this.kernel.macs += rows * columns * contracted;
  }

  vector(step: VectorStep, placement: Placement, indices: Int32Array, dispatched: number): void {
    const start = new Latest(dispatched, "dispatch");
    const { streams } = step;
    for (let k = 0; k < streams.length; k++) this.#awaitRead(start, (this.#streamSlots[k] = this.#slot(streams[k]!, indices)));
    const target = this.#slot(step.target, indices);
    this.#awaitWrite(start, target, unitNumber("vector"));
    const cycles = this.#tables.vector.cycles(step, placement);
    const unit = this.units.vector;
    const begin = this.#begin(unit, start, dispatched);
    for (let k = 0; k < streams.length; k++) this.scoreboard.noteRead(this.#streamSlots[k]!, begin + cycles);
    const complete = begin + cycles + this.#machine.vector.latencyCycles;
    this.scoreboard.noteWrite(target, complete, unitNumber("vector"));
    this.#worked(unit, cycles, step.address, begin, complete);
  }

  transfer(step: TransferStep, placement: Placement, indices: Int32Array, dispatched: number): void {
    const reads = step.kind === "load" || step.kind === "gather";
    const unit = reads ? this.units.load : this.units.store;
    const outside = reads ? step.source : step.target;
    const copies = outside.buffer.memory === "cache";
    const start = new Latest(dispatched, "dispatch");
    const sources = step.kind === "fill" ? [] : [this.#slot(step.source, indices)];
    if (step.kind === "gather" || step.kind === "scatter") sources.push(this.#slot(step.index, indices));
    for (const source of sources) this.#awaitRead(start, source);
    const target = this.#slot(step.target, indices);
    this.#awaitWrite(start, target, copies ? copierOf(unit.name) : unitNumber(unit.name));
    if (copies) {
      this.#copyInside(unit, start, dispatched, step.address, pointsOf(placement), sources, target);
      return;
    }
    const lookedUp = step.kind === "gather" || step.kind === "scatter";
    const address = startAddress(outside, step.space, indices);
    const { bursts, usedBytes } = this.#tables.traffic.of(outside, step.space, placement, address, lookedUp);
    this.#symbols.transfer(reads ? "readBytes" : "writeBytes", outside, placement, address, lookedUp, usedBytes);
    this.#move(reads, start, dispatched, bursts, usedBytes, step.address, sources, [target]);
  }

  /** `io`: a linear block. What lies there belongs to no buffer, so everything that owns its bytes takes part. */
  io(step: IoStep): void {
    if (step.what === "text") {
      const dispatched = this.issue(step.address);
      this.cache.load(step.external, step.bytes, dispatched);
      return;
    }
    if (step.what === "copy") this.#wait(this.units.store.queueFree(), "queue");
    const dispatched = this.issue(step.address, step.what === "store" ? "store" : "load");
    if (step.bytes === 0) return;
    const external = this.scoreboard.region("external", step.external, step.bytes);
    const other = this.scoreboard.region(step.what === "copy" ? "external" : "cache", step.cache, step.bytes);
    switch (step.what) {
      case "load": this.#moveBlock(true, dispatched, step.external, step, external, other); return;
      case "store": this.#moveBlock(false, dispatched, step.external, step, other, external); return;
      case "copy":
        // Through the DMA's buffer: what is written must have been read.
        this.#moveBlock(true, dispatched, step.external, step, external, []);
        this.#moveBlock(false, dispatched, step.cache, step, external, other, this.units.load.complete);
    }
  }

  #moveBlock(reads: boolean, dispatched: number, outside: number, { bytes, address }: IoStep, sources: readonly number[], targets: readonly number[], ready = 0): void {
    const start = new Latest(dispatched, "dispatch");
    start.atLeast(ready, "data");
    for (const source of sources) this.#awaitRead(start, source);
    for (const target of targets) this.#awaitWrite(start, target, unitNumber(reads ? "load" : "store"));
    const burst = this.#machine.external.burstBytes;
    const bursts = Math.ceil((outside + bytes) / burst) - Math.floor(outside / burst);
    this.#symbols.block(reads ? "readBytes" : "writeBytes", outside, bytes);
    this.#move(reads, start, dispatched, bursts, bytes, address, sources, targets);
  }

  scalar(address: number): void {
    const dispatched = this.issue(address, "scalar");
    const begin = this.#begin(this.units.scalar, new Latest(dispatched, "dispatch"), dispatched);
    this.#worked(this.units.scalar, 1, address, begin, begin + 1);
  }

  scalarMove(step: MoveStep, indices: Int32Array): void {
    const dispatched = this.issue(step.address, "scalar");
    const start = new Latest(dispatched, "dispatch");
    const slot = this.#slot(step.generator, indices);
    const reads = step.direction === "to-register";
    if (reads) this.#awaitRead(start, slot);
    else this.#awaitWrite(start, slot, unitNumber("scalar"));
    const begin = this.#begin(this.units.scalar, start, dispatched);
    if (reads) this.scoreboard.noteRead(slot, begin + 1);
    else this.scoreboard.noteWrite(slot, begin + 1, unitNumber("scalar"));
    this.#worked(this.units.scalar, 1, step.address, begin, begin + 1);
  }

  #move(reads: boolean, start: Latest, dispatched: number, bursts: number, usedBytes: number, address: number, sources: readonly number[], targets: readonly number[]): void {
    const port = reads ? this.#read : this.#write;
    const unit = reads ? this.units.load : this.units.store;
    start.atLeast(port.channelFree, "channel");
    const begin = this.#begin(unit, start, dispatched);
    const { moved, complete } = port.transfer(begin, bursts);
    // A store has read its source when the last byte has left; a load may touch external memory until the data is here.
    for (const source of sources) this.scoreboard.noteRead(source, reads ? complete : moved);
    for (const target of targets) this.scoreboard.noteWrite(target, complete, unitNumber(unit.name));
    const bytes = bursts * this.#machine.external.burstBytes;
    if (this.submodule !== undefined) this.submodule.dmaRequests++;
    if (reads) {
      this.readBytes += bytes;
      this.usedReadBytes += usedBytes;
      this.kernel.readBytes += bytes;
      if (this.submodule !== undefined) this.submodule.readBytes += bytes;
      if (this.asking !== undefined) this.asking.asked.readBytes += bytes;
    } else {
      this.writeBytes += bytes;
      this.usedWriteBytes += usedBytes;
      this.kernel.writeBytes += bytes;
      if (this.submodule !== undefined) this.submodule.writeBytes += bytes;
      if (this.asking !== undefined) this.asking.asked.writeBytes += bytes;
    }
    this.#worked(unit, moved - begin, address, begin, complete);
  }

  /** A transfer with both sides in the data cache goes through the lanes of its unit, not over a port. */
  #copyInside(unit: UnitClock, start: Latest, dispatched: number, address: number, points: number, sources: readonly number[], target: number): void {
    const cycles = Math.ceil(points / this.#machine.vector.lanes);
    const begin = this.#begin(unit, start, dispatched);
    const complete = begin + cycles + this.#machine.vector.latencyCycles;
    for (const source of sources) this.scoreboard.noteRead(source, begin + cycles);
    this.scoreboard.noteWrite(target, complete, copierOf(unit.name));
    this.#worked(unit, cycles, address, begin, complete);
  }

  /** Starts an instruction on an in-order unit: when it is there, its operands are and the unit is free. */
  #begin(unit: UnitClock, start: Latest, dispatched: number): number {
    unit.lostBeforeDispatch(dispatched, this.#losses);
    unit.lostUntil(start.time, start.cause);
    unit.noteStart(unit.accounted);
    return unit.accounted;
  }

  #worked(unit: UnitClock, cycles: number, address: number, start: number, complete: number): void {
    unit.work(cycles);
    unit.finish(complete);
    addBusy(this.kernel, unit.name, cycles);
    this.#trace?.add(unit.name, this.kernelIndex, address, start, complete);
    this.#advance(complete);
  }

  #slot(generator: ResolvedGenerator, indices: Int32Array): number {
    return this.scoreboard.slot(generator.buffer, slotOf(generator, indices));
  }

  #awaitRead(start: Latest, slot: number): void {
    start.atLeast(this.scoreboard.writeDone[slot]!, "data");
  }

  #awaitWrite(start: Latest, slot: number, writer: number): void {
    if (!this.scoreboard.writtenBy(slot, writer)) start.atLeast(this.scoreboard.writeDone[slot]!, "slot");
    start.atLeast(this.scoreboard.readDone[slot]!, "slot");
  }

  #wait(time: number, cause: keyof ControllerLosses & StallCause): void {
    if (time <= this.now) return;
    this.#losses[cause] += time - this.now;
    this.units.controller.lostUntil(time, cause);
    this.now = time;
  }

  /** The run reaches `time`; what it moves on is credited to the present kernel and submodule. */
  #advance(time: number): void {
    const moved = time - this.frontier;
    if (moved <= 0) return;
    this.frontier = time;
    this.kernel.cycles += moved;
    if (this.submodule !== undefined) this.submodule.cycles += moved;
    if (this.asking !== undefined) this.asking.asked.cycles += moved;
  }
}

/** Who writes a slot: its writes complete in order. */
function unitNumber(unit: UnitName): number {
  return unitNames.indexOf(unit);
}

/** The same unit when it copies inside the data cache: that may complete before a transfer which came earlier. */
function copierOf(unit: UnitName): number {
  return unitNames.length + unitNumber(unit);
}

function pointsOf(placement: Placement): number {
  let points = 1;
  for (let d = 0; d < placement.rank; d++) points *= placement.extents[d]!;
  return points;
}

/** Rows, contracted and columns of the points that exist. */
export function gemmExtents(step: GemmStep, placement: Placement): readonly [rows: number, contracted: number, columns: number] {
  let rows = 1;
  let contracted = 1;
  let columns = 1;
  for (let d = 0; d < placement.rank; d++) {
    const extent = placement.extents[d]!;
    if (d < step.rows) rows *= extent;
    else if (d < step.rows + step.contracted) contracted *= extent;
    else columns *= extent;
  }
  return [rows, contracted, columns];
}
