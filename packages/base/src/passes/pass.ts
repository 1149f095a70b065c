/** @file A pass is a named pure function; a pipeline is a list of them. The command line's pass options follow from the list. */

export interface Pass<T> {
  readonly name: string;
  readonly doc: string;
  readonly run: (value: T) => T;
}

export function pass<T>(name: string, doc: string, run: (value: T) => T): Pass<T> {
  return { name, doc, run };
}

/** What watches a pipeline: nothing by default. */
export interface PassObserver<T> {
  /** Called after every pass; `changed` is false when the pass returned the same value (identity). */
  readonly after?: (pass: Pass<T>, value: T, changed: boolean, milliseconds: number) => void;
  /** Milliseconds now; without it all times are 0 (packages below the command line have no clock). */
  readonly now?: () => number;
}

export function runPasses<T>(passes: readonly Pass<T>[], input: T, observer: PassObserver<T> = {}): T {
  const now = observer.now ?? (() => 0);
  return passes.reduce((value, p) => {
    const start = now();
    const next = p.run(value);
    observer.after?.(p, next, next !== value, now() - start);
    return next;
  }, input);
}
