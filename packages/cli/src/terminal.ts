/** @file Where a command writes and what it may ask of the process: everything a test replaces. */

export interface Terminal {
  /** Results: standard output. */
  readonly out: (text: string) => void;
  /** Diagnostics, notes and progress: standard error. */
  readonly err: (text: string) => void;
  /** Whether someone watches standard error. */
  readonly isWatched: boolean;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

export function note(terminal: Terminal, text: string): void {
  terminal.err(`note: ${text}\n`);
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** One line on a terminal that is written over; silent in a pipe. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #title: string;
  #last = -Infinity;
  #shown = false;

  constructor(terminal: Terminal, title: string) {
    this.#terminal = terminal;
    this.#title = title;
  }

  update(done: number, total: number, remark = ""): void {
    const now = this.#terminal.now();
    if (!this.#terminal.isWatched || now - this.#last < 100) return;
    this.#last = now;
    this.#shown = true;
    const part = total === 0 ? 0 : Math.min(1, done / total);
    const bar = "=".repeat(Math.round(part * 24)).padEnd(24);
    this.#terminal.err(`\r\x1b[K${this.#title} [${bar}] ${(part * 100).toFixed(0).padStart(3)} %${remark === "" ? "" : `  ${remark}`}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) this.#terminal.err("\r\x1b[K");
    this.#shown = false;
  }
}
