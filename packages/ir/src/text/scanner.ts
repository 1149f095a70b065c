/** @file Reads one line of the text form from left to right. */
import { bytesOf, elementCount, fail, isDtype, viewOf, tensor, type NumericArray, type Tensor, type TensorType } from "@systole/base";
import { decodeBase64 } from "./base64.ts";

/** Names that stand without quotes, unless they are words of the language. */
const bareName = /[A-Za-z_][A-Za-z_0-9./]*(?:-[A-Za-z_0-9./]+)*/;

/** A name as it is printed: quoted where it does not stand by itself. */
export function formatName(name: string, reserved: ReadonlySet<string>): string {
  return new RegExp(`^(?:${bareName.source})$`).test(name) && !reserved.has(name) ? name : JSON.stringify(name);
}

export class Scanner {
  #text: string;
  #line: number;
  #at = 0;

  constructor(text: string, line: number) {
    this.#text = text;
    this.#line = line;
  }

  /** Goes on with another line: behind a body. */
  continueAt(text: string, line: number): void {
    this.#text = text;
    this.#line = line;
    this.#at = 0;
  }

  wrong(wanted: string): never {
    const rest = this.#text.slice(this.#at, this.#at + 24);
    fail("E0106", `${wanted} expected${rest === "" ? " at the end of the line" : ` before "${rest}"`}`, { line: this.#line });
  }

  /** Takes what the sticky pattern matches, after blanks. */
  #match(pattern: RegExp): string | undefined {
    const sticky = new RegExp(`\\s*(${pattern.source})`, "y");
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text);
    if (found === null) return undefined;
    this.#at = sticky.lastIndex;
    return found[1]!;
  }

  tries(punctuation: string): boolean {
    return this.#match(new RegExp(punctuation.replace(/[()[\]{}.+]/g, "\\$&"))) !== undefined;
  }

  /** A word that is not the beginning of a longer name. */
  keyword(word: string): boolean {
    return this.#match(new RegExp(`${word}(?![A-Za-z_0-9./-])`)) !== undefined;
  }

  expect(punctuation: string): void {
    if (!this.tries(punctuation)) this.wrong(`"${punctuation}"`);
  }

  word(): string {
    return this.#match(/[A-Za-z_][A-Za-z_0-9]*/) ?? this.wrong("a word");
  }

  /** A bare or quoted name; see `formatName`. */
  name(): string {
    return this.#match(bareName) ?? (this.#ahead('"') ? this.string() : this.wrong("a name"));
  }

  #ahead(text: string): boolean {
    return this.#text.slice(this.#at).trimStart().startsWith(text);
  }

  whole(): number {
    return Number(this.#match(/\d+/) ?? this.wrong("a whole number"));
  }

  /** A float64 number, or undefined. */
  triesNumber(): number | undefined {
    const found = this.#match(/(?:-?inf|nan|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![A-Za-z_0-9./-])/);
    if (found === undefined) return undefined;
    return found === "nan" ? NaN : found.endsWith("inf") ? (found.startsWith("-") ? -Infinity : Infinity) : Number(found);
  }

  shape(): number[] {
    this.expect("[");
    return this.list("]", () => Number(this.#match(/\d+/) ?? this.wrong("an extent")));
  }

  id(): number {
    const found = this.#match(/%\d+/) ?? this.wrong("a value such as %3");
    return Number(found.slice(1));
  }

  string(): string {
    const found = this.#match(/"[^"\\]*(?:\\.[^"\\]*)*"/) ?? this.wrong("a quoted string");
    try {
      return JSON.parse(found) as string;
    } catch {
      return this.wrong("a string with valid escapes");
    }
  }

  end(): void {
    if (this.#text.slice(this.#at).trim() !== "") this.wrong("the end of the line");
  }

  list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.tries(close)) return items;
    do items.push(item());
    while (this.tries(","));
    this.expect(close);
    return items;
  }

  type(): TensorType {
    const dtype = this.word();
    if (!isDtype(dtype)) this.wrong("an element type");
    return { dtype, shape: this.shape() };
  }

  elements(type: TensorType): Tensor {
    if (this.tries("base64")) return { ...type, data: this.#bytes(type) };
    this.expect("[");
    const values = this.list("]", () => this.#number(type.dtype === "i64"));
    if (values.length !== elementCount(type.shape)) this.wrong(`${elementCount(type.shape)} elements`);
    return tensor(type.dtype, type.shape, values);
  }

  #bytes(type: TensorType): NumericArray {
    const bytes = decodeBase64(this.string());
    const count = elementCount(type.shape);
    if (bytes === undefined || bytes.length !== count * bytesOf(type.dtype)) this.wrong(`base64 of ${count * bytesOf(type.dtype)} bytes`);
    return viewOf(type.dtype, bytes.buffer, 0, count);
  }

  #number(long: boolean): number | bigint {
    const found = this.#match(/-?inf|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/) ?? this.wrong("a number");
    if (long) return /^-?\d+$/.test(found) ? BigInt(found) : this.wrong("a whole number");
    return found.endsWith("inf") ? (found.startsWith("-") ? -Infinity : Infinity) : Number(found);
  }

  /** A parameter: JSON, a tensor, or what `body` reads behind the word `graph`. */
  parameter(body: () => unknown): unknown {
    if (this.tries("[")) return this.list("]", () => this.parameter(body));
    if (this.tries("graph ")) return body();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) if (this.tries(`${word}\\b`)) return value;
    const number = this.#match(/-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/);
    if (number !== undefined) return Number(number);
    if (this.#ahead('"')) return this.string();
    return this.elements(this.type());
  }
}
