/** @file Attributes of one node: typed reads with defaults. What was set and never read is reported, so nothing is ignored by accident. */
import { fail, type Place, type Tensor } from "@systole/base";
import type { ReadExternal } from "./external.ts";
import { attributeTypes, longToBigInt, longToNumber, textOf, type AttributeProto, type GraphProto } from "./proto.ts";
import { tensorOf } from "./tensors.ts";

export class Attributes {
  readonly #byName: ReadonlyMap<string, AttributeProto>;
  readonly #read = new Set<string>();
  readonly #where: Place;
  readonly #external: ReadExternal | undefined;

  constructor(attributes: readonly AttributeProto[], where: Place, external?: ReadExternal) {
    this.#byName = new Map(attributes.map((attribute) => [attribute.name ?? "", attribute]));
    this.#where = where;
    this.#external = external;
  }

  names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  has(name: string): boolean {
    this.#read.add(name);
    return this.#byName.has(name);
  }

  /** Says that these attributes mean nothing in this use of the operator. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#read.add(name);
  }

  unread(): readonly string[] {
    return this.names().filter((name) => !this.#read.has(name));
  }

  int(name: string, fallback: number): number {
    const attribute = this.#get(name, attributeTypes.int, "an integer");
    return attribute === undefined ? fallback : longToNumber(attribute.i ?? 0);
  }

  bigint(name: string): bigint | undefined {
    const attribute = this.#get(name, attributeTypes.int, "an integer");
    return attribute === undefined ? undefined : longToBigInt(attribute.i ?? 0);
  }

  /** An integer that stands for a boolean. */
  flag(name: string, fallback: boolean): boolean {
    const value = this.int(name, fallback ? 1 : 0);
    return value === 0 || value === 1 ? value === 1 : this.refuse(name, `is ${value}`, "0 and 1");
  }

  float(name: string, fallback: number): number {
    const attribute = this.#get(name, attributeTypes.float, "a float");
    return attribute === undefined ? fallback : (attribute.f ?? 0);
  }

  string(name: string, fallback: string): string {
    const attribute = this.#get(name, attributeTypes.string, "a string");
    return attribute === undefined ? fallback : textOf(attribute.s ?? new Uint8Array());
  }

  /** A string out of a fixed set. */
  choice<const T extends string>(name: string, accepted: readonly T[], fallback: T): T {
    const value = this.string(name, fallback);
    return accepted.find((one) => one === value) ?? this.refuse(name, `is "${value}"`, accepted.map((one) => `"${one}"`).join(", "));
  }

  ints(name: string): number[] | undefined {
    return this.bigints(name)?.map(Number);
  }

  /** Every bit: the largest integer, which exporters write for "to the end", is no number. */
  bigints(name: string): bigint[] | undefined {
    return this.#get(name, attributeTypes.ints, "a list of integers")?.ints?.map(longToBigInt) ?? (this.#byName.has(name) ? [] : undefined);
  }

  floats(name: string): number[] | undefined {
    return this.#get(name, attributeTypes.floats, "a list of floats")?.floats?.slice() ?? (this.#byName.has(name) ? [] : undefined);
  }

  strings(name: string): string[] | undefined {
    return this.#get(name, attributeTypes.strings, "a list of strings")?.strings?.map(textOf);
  }

  tensor(name: string): Tensor | undefined {
    const proto = this.#get(name, attributeTypes.tensor, "a tensor")?.t;
    return proto === null || proto === undefined ? undefined : tensorOf(proto, this.#external);
  }

  graph(name: string): GraphProto {
    return this.#get(name, attributeTypes.graph, "a graph")?.g ?? this.refuse(name, "is missing", "a graph");
  }

  refuse(name: string, what: string, accepted: string): never {
    return fail("E0202", `attribute "${name}" ${what}`, { ...this.#where, attribute: name }, [`accepted: ${accepted}`]);
  }

  /** Models of the first versions leave the type out: then the field that is read decides. */
  #get(name: string, type: number, what: string): AttributeProto | undefined {
    this.#read.add(name);
    const attribute = this.#byName.get(name);
    if (attribute === undefined) return undefined;
    const given = attribute.type ?? attributeTypes.undefined;
    if (given !== attributeTypes.undefined && given !== type) this.refuse(name, "has another type", what);
    return attribute;
  }
}
