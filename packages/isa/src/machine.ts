/** @file One machine: sizes, widths, latencies. Never a compiler option. The JSON files stand in `machines/`. */

export interface Machine {
  readonly name: string;
  readonly array: {
    /** Rows R: the reduction dimension for weight-stationary. */
    readonly rows: number;
    readonly columns: number;
    readonly weightRowsPerCycle: number;
    /** `shadow`: a weight tile loads behind the current stream, sums drain through their own register. `serial`: every fold waits for the one before (SCALE-Sim's counts). */
    readonly overlap: "shadow" | "serial";
  };
  readonly dataCache: { readonly bytes: number; readonly banks: number; readonly ports: number };
  readonly accumulators: { readonly bytes: number; readonly writeToReadCycles: number };
  readonly external: {
    readonly bytes: number;
    readonly readBytesPerCycle: number;
    readonly writeBytesPerCycle: number;
    readonly latencyCycles: number;
    readonly burstBytes: number;
  };
  /** Transfers that may be under way at once in each direction. */
  readonly dma: { readonly channels: number };
  readonly vector: { readonly lanes: number; readonly chainedOperations: number; readonly latencyCycles: number };
  readonly instructionCache: { readonly bytes: number; readonly lineBytes: number };
  /** Entries of each unit's queue. */
  readonly queueDepth: number;
}

/** What every machine of this instruction set has: numbers of registers, loop levels, dimensions, words of a chain. */
export const limits = {
  spaces: 16, dimensions: 8, generators: 64, buffers: 128, levels: 8,
  streams: 6, stages: 8, scalarRegisters: 64, routines: 65536, instructionBytes: 16,
} as const;
