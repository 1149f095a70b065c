/** @file A chain that is put together from others. */
import { limits } from "@systole/isa";
import type { Dtype } from "@systole/base";
import { sameAccess, type Access, type Chain, type Source, type Stage } from "../kernel.ts";

export class ChainWriter {
  readonly #streams: Access[] = [];
  readonly #stages: Stage[] = [];
  readonly #inlined = new Map<Chain, Source>();
  #last: Source = { kind: "engine", index: 0 };

  stream(access: Access): Source {
    const known = this.#streams.findIndex((other) => sameAccess(other, access));
    return { kind: "stream", index: known < 0 ? this.#streams.push(access) - 1 : known };
  }

  /** The value of a chain of the same kernel, made once. */
  inline(chain: Chain): Source {
    const known = this.#inlined.get(chain) ?? this.append(chain, (access) => this.stream(access), (dim) => dim);
    this.#inlined.set(chain, known);
    return known;
  }

  /** Its value. `streamSource` says where a stream comes from, `dimOf` which dimension an index runs along. */
  append({ streams, stages }: Chain, streamSource: (access: Access) => Source, dimOf: (dim: number) => number): Source {
    const sources = streams.map(streamSource);
    const first = this.#stages.length;
    const source = (s: Source): Source => {
      if (s.kind === "stream") return sources[s.index]!;
      if (s.kind === "stage") return { kind: "stage", index: first + s.index };
      return s.kind === "index" ? { kind: "index", dim: dimOf(s.dim) } : s;
    };
    this.#stages.push(...stages.map((stage) => ({ ...stage, sources: stage.sources.map(source) })));
    this.#last = stages.length > 0 ? { kind: "stage", index: this.#stages.length - 1 } : sources[0] ?? { kind: "engine", index: 0 };
    return this.#last;
  }

  /** The value of the last that was appended; undefined where it takes more than one pass of the vector unit. */
  chain(dtype: Dtype): Chain | undefined {
    const copied: Stage[] = this.#last.kind === "stage" ? [] : [{ operation: "copy", sources: [this.#last], operands: dtype, dtype }];
    const stages = [...this.#stages, ...copied];
    const onChip = new Set(stages.flatMap(({ sources }) => sources.flatMap((s) => (s.kind === "engine" || s.kind === "result" ? [`${s.kind} ${s.index}`] : []))));
    return stages.length > limits.stages || this.#streams.length + onChip.size > limits.streams ? undefined : { streams: this.#streams, stages, dtype };
  }
}
