/** @file Kernels in the order in which they run, and which of them may take over the work of one that comes later. */
import { isScan, outputsOf, readsOf, type Kernel, type ScheduledTensor } from "../kernel.ts";
import { mayFold } from "./withFolds.ts";

/** Each result takes buffers and a pass of the vector unit over every tile. */
const maximumResults = 4;
/** Kernels that may have to move before a host: those that make small operands, as the factors of a normalisation. */
const mostMoved = 8;
/** Kernels among which folds look for others of the same points. */
const nearby = 8;

interface Entry {
  kernel: Kernel;
  position: number;
}

export interface Host {
  readonly kernel: Kernel;
  /** Whether nothing else would come between. */
  readonly follows: boolean;
  readonly entry: Entry;
  /** What has to run before it. */
  readonly moved: readonly Entry[];
}

export class KernelOrder {
  #entries: Entry[] = [];
  readonly #writers = new Map<ScheduledTensor, Entry[]>();

  kernels(): readonly Kernel[] {
    return this.#entries.map(({ kernel }) => kernel);
  }

  append(kernel: Kernel): void {
    const entry = { kernel, position: this.#entries.length };
    this.#entries.push(entry);
    this.#writes(kernel, entry);
  }

  /** `together` does the work of the host and of `kernel`. */
  replace({ entry, moved }: Host, together: Kernel, kernel: Kernel): void {
    entry.kernel = together;
    this.#writes(kernel, entry);
    if (moved.length === 0) return;
    const first = this.#entries.filter((other) => moved.includes(other));
    const rest = this.#entries.filter((other) => !moved.includes(other));
    rest.splice(rest.indexOf(entry), 0, ...first);
    this.#entries = rest;
    rest.forEach((other, i) => { other.position = i; });
  }

  /** The last one first: for elementwise work those that make something it reads, for folds those nearby that fold other things. */
  hostsOf(kernel: Kernel): readonly Host[] {
    if (kernel.engine.kind === "none") {
      const makers = new Set(readsOf(kernel).flatMap(({ tensor }) => this.#writers.get(tensor)?.at(-1) ?? []));
      return this.#hostsAmong([...makers].sort((a, b) => b.position - a.position), kernel, mostMoved);
    }
    return mayFold(kernel) ? this.#hostsAmong(this.#entries.slice(-nearby).reverse().filter((entry) => mayFold(entry.kernel)), kernel, 0) : [];
  }

  #hostsAmong(entries: readonly Entry[], kernel: Kernel, mayMove: number): readonly Host[] {
    return entries.flatMap((entry) => {
      const later = (other: Entry) => other.position > entry.position;
      // Parts of a tensor may overlap, as an image and the padding around it: they are written in their order.
      const overwritten = outputsOf(kernel).some(({ tensor }) => this.#writersOf(tensor).some((other) => other === entry || later(other)));
      const fits = entry.kernel.results.length + kernel.results.length <= maximumResults;
      const moved = overwritten || !fits || !mayHost(entry.kernel) ? undefined : this.#neededFirst(kernel, entry, later, mayMove);
      return moved === undefined ? [] : [{ kernel: entry.kernel, entry, moved, follows: entry.position + moved.length === this.#entries.length - 1 }];
    });
  }

  #writersOf(tensor: ScheduledTensor): readonly Entry[] {
    return this.#writers.get(tensor) ?? [];
  }

  #writes(kernel: Kernel, entry: Entry): void {
    for (const { tensor } of outputsOf(kernel)) this.#writers.set(tensor, [...this.#writersOf(tensor), entry]);
  }

  /** Kernels behind the host whose results `kernel` reads; undefined where one of them needs the host itself, or where they are many. */
  #neededFirst(kernel: Kernel, host: Entry, later: (entry: Entry) => boolean, mayMove: number): readonly Entry[] | undefined {
    const needed = new Set<Entry>();
    const visit = (reader: Kernel): boolean => readsOf(reader).every(({ tensor }) => {
      const writers = this.#writersOf(tensor);
      return writers.every((writer) => {
        if (writer === host) return reader === kernel && kernel.engine.kind === "none";
        if (!later(writer) || needed.has(writer)) return true;
        if (writers.length > 1 || needed.size === mayMove) return false;
        needed.add(writer);
        return visit(writer.kernel);
      });
    });
    return visit(kernel) && [...needed].every((entry) => outputsOf(entry.kernel).every(({ tensor }) => this.#writersOf(tensor).length === 1)) ? [...needed] : undefined;
  }
}

function mayHost({ engine }: Kernel): boolean {
  const rowByRow = engine.kind === "gather" || engine.kind === "scatter";
  return !rowByRow && !isScan(engine);
}
