/** @file Kernels of applications with their tensors in place. Kernels that do the same with the same places are one. */
import { byteCount, internal } from "@systole/base";
import { mapAccesses } from "../collapse.ts";
import { copyKernel } from "../copyKernel.ts";
import type { Kernel, ScheduledTensor } from "../kernel.ts";
import type { PlacedTensor } from "../schedule.ts";
import type { Application, Piece } from "./application.ts";
import type { Applications } from "./applications.ts";
import type { Place, PlacedProgramTensor } from "./programSchedule.ts";
import type { Residency } from "./residency.ts";

/** What brings constants into the data cache goes by this name. */
export const preloadName = "(constants)";

export class PlacedKernels {
  readonly kernels: Kernel[] = [];
  /** By application: numbers of its kernels, in order. */
  readonly ofApplication: readonly (readonly number[])[];
  readonly places: PlacedTensor[] = [];
  /** In external memory. */
  readonly constants: readonly PlacedTensor[];
  /** Those that are also in the data cache, where kernels read them. */
  readonly residentConstants: readonly PlacedTensor[];
  /** Numbers of the kernels that bring them there. */
  readonly preload: readonly number[];
  readonly #applications: Applications;
  readonly #tensors: ReadonlyMap<string, PlacedProgramTensor>;
  readonly #placeNumbers = new Map<string, number>();
  readonly #kernelNumbers = new Map<string, number>();
  readonly #constants: ReadonlyMap<ScheduledTensor, PlacedTensor>;

  constructor(applications: Applications, residency: Residency) {
    this.#applications = applications;
    this.#tensors = new Map(residency.tensors.map((placed) => [placed.tensor.name, placed]));
    const constants = residency.constants.map(({ tensor, address, bytes, cached }) => {
      const { data: _, ...known } = tensor;
      const external = this.#intern({ ...tensor, memory: "external", address, bytes });
      return { tensor, external, resident: cached === undefined ? undefined : this.#intern({ ...known, memory: "cache", address: cached, bytes }) };
    });
    this.#constants = new Map(constants.map(({ tensor, external, resident }) => [tensor, resident ?? external]));
    this.constants = constants.map(({ external }) => external);
    this.residentConstants = constants.flatMap(({ resident }) => resident ?? []);
    this.preload = constants.flatMap(({ external, resident }) => (resident === undefined ? [] : [this.#number(copyKernel(`${preloadName}/${external.name}`, external, resident))]));
    this.ofApplication = applications.all.map(({ application }, i) => this.#bind(application, residency.temporaries[i]!));
  }

  tensor(name: string): PlacedProgramTensor {
    return this.#tensors.get(name) ?? internal(`tensor ${name} has no place`);
  }

  place({ tensor: name, offsetBytes, bytes, dtype, row }: Piece): Place {
    const { memory, address } = this.tensor(name);
    return { tensor: name, memory, address: address + offsetBytes, bytes, dtype, ...(row === undefined ? {} : { row }) };
  }

  #bind(application: Application, temporaries: Residency["temporaries"][number]): readonly number[] {
    const placed = new Map<number, PlacedTensor>();
    const find = (tensor: ScheduledTensor): PlacedTensor => {
      const piece = application.pieces.get(tensor.id);
      if (piece !== undefined) return this.#piece(tensor, piece);
      if (tensor.kind === "constant") return this.#constants.get(this.#applications.pooled(tensor)) ?? internal(`constant ${tensor.name} has no place`);
      const place = temporaries.get(tensor.id) ?? internal(`temporary ${tensor.name} has no place`);
      return this.#intern({ ...tensor, ...place, name: `${application.name}/${tensor.name}` });
    };
    const bound = (tensor: ScheduledTensor): PlacedTensor => {
      const known = placed.get(tensor.id);
      if (known !== undefined) return known;
      const found = find(tensor);
      placed.set(tensor.id, found);
      return found;
    };
    return application.kernels.map((kernel) => this.#number(mapAccesses(kernel, (access) => ({ ...access, tensor: bound(access.tensor) }))));
  }

  #piece({ id, kind, type }: ScheduledTensor, piece: Piece): PlacedTensor {
    const { memory, address, bytes, row } = this.place(piece);
    return this.#intern({ id, kind, type, name: this.#pieceName(piece), memory, address, bytes, ...(row === undefined ? {} : { row }) });
  }

  /** What the host calls the piece, if it has a name for it. */
  #pieceName({ tensor: name, offsetBytes, bytes, row }: Piece): string {
    const { tensor } = this.tensor(name);
    const width = byteCount({ ...tensor.type, shape: [] });
    const part = tensor.parts?.find(({ offset, shape }) => offset * width === offsetBytes && byteCount({ ...tensor.type, shape }) === bytes);
    const whole = offsetBytes === 0 && bytes === (row?.strideBytes ?? byteCount(tensor.type));
    return `${part?.name ?? (whole ? name : `${name}+${offsetBytes / width}`)}${row === undefined ? "" : `@${row.scalar}`}`;
  }

  #intern(tensor: PlacedTensor): PlacedTensor {
    const { memory, address, row, type } = tensor;
    const key = JSON.stringify([memory, address, row ?? null, type.dtype, type.shape]);
    const known = this.#placeNumbers.get(key);
    if (known !== undefined) return this.places[known]!;
    const placed = { ...tensor, id: this.places.length };
    this.#placeNumbers.set(key, placed.id);
    this.places.push(placed);
    return placed;
  }

  #number(kernel: Kernel): number {
    const { name, ...work } = kernel;
    const key = JSON.stringify(work, (field, value: unknown) => (field === "tensor" ? (value as PlacedTensor).id : typeof value === "bigint" ? `${value}n` : value));
    const known = this.#kernelNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.kernels.length;
    const namesakes = this.kernels.filter((other) => other.name === name || other.name.startsWith(`${name}#`)).length;
    this.kernels.push(namesakes === 0 ? kernel : { ...kernel, name: `${name}#${namesakes + 1}` });
    this.#kernelNumbers.set(key, number);
    return number;
  }
}

