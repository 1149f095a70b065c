/**
 * @file Random bits for the masks of Dropout: a function of the seed, the outer step, the sample, the node and the place inside the sample. So a sample has its masks wherever
 * it stands in a batch of whatever size.
 */
import { elementCount, fail, formatType, streamSeed } from "@systole/base";
import { SamplePlaces, type Value } from "@systole/ir";
import type { Emitter } from "./emitter.ts";
import { elementwise, reshape, scalar, shapeOf, transpose, withNumber } from "./values.ts";

export interface DropoutMasks {
  readonly seed: bigint;
  /** Step and samples are the inputs `dropoutInputs` of the graph; else the step is 0, and the number of a sample its place in the batch. */
  readonly varying: boolean;
  /** Which axis of an input counts the samples, where it is not the one that a batch is bound to. */
  readonly sampleAxes?: Readonly<Record<string, number>>;
}

/** Inputs of a graph with varying masks, beside those that the model declares: f32[], the outer step, and i32[samples], the numbers of the samples in the data. */
export const dropoutInputs = { step: "dropout.step", samples: "dropout.samples" } as const;

/** An input of the model, and the axis that counts the samples. */
export interface BatchInput {
  readonly value: Value;
  readonly axis: number;
}

/** i32 bits for each element of a value, of a stream of their own at every call. */
export type DrawBits = (x: Value) => Value;

/** Nodes that are emitted from now on are watched for where they put the samples. E0203 at the first draw where the inputs disagree about how many there are. */
export function randomMasks(e: Emitter, inputs: readonly BatchInput[], masks: DropoutMasks): DrawBits {
  const counts = [...new Set(inputs.map(({ value, axis }) => shapeOf(value)[axis]!))];
  const places = new SamplePlaces(counts[0] ?? 1);
  for (const { value, axis } of inputs) places.input(value, axis);
  e.watch((node) => places.node(node));
  const keys = new Keys(e, places.count, masks);
  return (x) => {
    if (counts.length > 1) fail("E0203", `the inputs of the model take ${counts.join(" and ")} samples at a time`, {}, ["Say with --sample-axis which axis counts them."]);
    const place = places.of(x);
    const shape = shapeOf(x);
    const stream = keys.nextStream();
    if (place.kind === "none" || elementCount(shape) === 0) return e.apply("random_bits", [keys.ofNode(stream)], { shape: [...shape] });
    if (place.kind !== "each") {
      const why = place.kind === "all" ? "it is computed from all of them together" : `from node "${place.by.node}" (${place.by.operator}) on`;
      return fail("E0202", `training form on ${formatType(x.type)}, in which the samples cannot be told apart: ${why}`, {}, [
        "Masks belong to samples. Accepted: values that hold the samples side by side along one axis, alone or folded with others by Reshape, and values that depend on no sample.",
      ]);
    }
    // The bits of a sample stand in the order of its elements, whatever is woven into it.
    const outer = elementCount(shape) / (places.count * place.stride);
    const bits = e.apply("random_bits", [keys.ofSamples(stream)], { shape: [places.count, outer * place.stride] });
    return reshape(e, outer === 1 || places.count === 1 ? bits : transpose(e, reshape(e, bits, [places.count, outer, place.stride]), [1, 0, 2]), shape);
  };
}

/** Seeds of bits: that of the node's stream, moved on by 2^32 a step and by the number of the sample. */
class Keys {
  readonly #e: Emitter;
  readonly #count: number;
  readonly #masks: DropoutMasks;
  #streams = 0;
  #step: Value | undefined;
  #samples: Value | undefined;

  constructor(e: Emitter, count: number, masks: DropoutMasks) {
    this.#e = e;
    this.#count = count;
    this.#masks = masks;
  }

  nextStream(): Value {
    return scalar(this.#e, "i64", streamSeed(this.#masks.seed, this.#streams++));
  }

  /** i64[]: for values that depend on no sample. */
  ofNode(stream: Value): Value {
    return this.#masks.varying ? elementwise(this.#e, "add", stream, this.#moved()) : stream;
  }

  /** i64[samples]. */
  ofSamples(stream: Value): Value {
    const [e, shape] = [this.#e, [this.#count]];
    this.#samples ??= this.#masks.varying
      ? elementwise(e, "add", this.#moved(), e.apply("convert", [e.input(dropoutInputs.samples, { dtype: "i32", shape })], { dtype: "i64" }))
      : e.apply("iota", [], { dtype: "i64", shape, axis: 0 });
    return elementwise(e, "add", stream, this.#samples);
  }

  #moved(): Value {
    const step = (): Value => this.#e.apply("convert", [this.#e.input(dropoutInputs.step, { dtype: "f32", shape: [] })], { dtype: "i64" });
    return this.#step ??= withNumber(this.#e, "mul", step(), 4294967296n);
  }
}
