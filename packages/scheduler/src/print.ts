/** @file The schedule as text: memory plan, then each kernel as its loop nest. */
import { formatType } from "@systole/base";
import { initialOf, isFetch, passesOf, type Access, type Chain, type Source } from "./kernel.ts";
import type { Buffer, Operand, Schedule, TiledKernel } from "./schedule.ts";

export function printSchedule(schedule: Schedule): string {
  return [
    `schedule of "${schedule.model}" for ${schedule.machine}`,
    "",
    `external memory: ${schedule.externalBytes} bytes`,
    ...schedule.tensors.map((t) => `  0x${t.address.toString(16).padStart(8, "0")} ${String(t.bytes).padStart(10)} bytes  ${t.kind.padEnd(9)} ${formatType(t.type)} ${t.name}`),
    ...schedule.kernels.flatMap((tiled) => ["", ...printKernel(tiled)]),
    "",
  ].join("\n");
}

export function printKernel(tiled: TiledKernel): string[] {
  const { kernel, predicted } = tiled;
  const lines = [
    `kernel ${kernel.name}  (${kernel.origins.map((o) => `${o.operator === "" ? o.node : `${o.operator} "${o.node}"`}${o.phase === undefined ? "" : ` ${o.phase}`}`).join(", ")})`,
    `  dims ${kernel.dims.map((d, i) => `${d.name}=${d.extent}${i < kernel.parallel ? "" : "*"}`).join(" ")}`,
    `  predicted ${predicted.cycles} cycles, bound by ${predicted.boundBy}: array ${predicted.arrayCycles}, load ${predicted.loadCycles}, store ${predicted.storeCycles}, vector ${predicted.vectorCycles}; reads ${predicted.readBytes}, writes ${predicted.writeBytes} bytes`,
  ];
  let depth = 1;
  const say = (text: string) => lines.push(`${"  ".repeat(depth)}${text}`);
  const load = (o: Operand) => {
    if (o.access.direct === true) return say(`in place ${printAccess(o.access, tiled)}`);
    const kept = o.resident.length === 0 ? "" : `, kept over ${o.resident.map((l) => kernel.dims[tiled.levels[l]!.dim]!.name).join(" ")}`;
    say(`load ${printAccess(o.access, tiled)} -> ${printBuffer(o.buffer)}${kept}`);
  };
  const open = (kind: string) => tiled.levels.forEach((l, i) => {
    if (l.kind !== kind) return;
    say(`for ${kernel.dims[l.dim]!.name} in ${l.count} x ${l.step}${kind === "panel" ? " (panels)" : kind === "reduced" ? " (sum)" : ""}:  [level ${i}]`);
    depth++;
  });
  const close = (kind: string) => { depth -= tiled.levels.filter((l) => l.kind === kind).length; };
  open("parallel");
  tiled.operands.filter((o) => o.role === "result").forEach(load);
  for (const initial of initialOf(kernel.engine)) {
    open("panel");
    say(`sums go on from ${printAccess(initial, tiled)} -> ${printBuffer(tiled.sums[0]!)}`);
    close("panel");
  }
  for (let pass = 0; pass < passesOf(kernel); pass++) {
    open("reduced");
    tiled.operands.filter((o) => o.role !== "result" && (o.product ?? 0) === pass).forEach(load);
    open("panel");
    printEngine(tiled).forEach(say);
    close("panel");
    close("reduced");
  }
  if (tiled.levels.some((l) => l.kind === "reduced")) open("panel");
  else depth += tiled.levels.filter((l) => l.kind === "panel").length;
  kernel.results.forEach(({ chain, output }, i) => {
    if (isFetch(kernel)) say(`load ${printAccess(chain.streams[0]!, tiled)}`);
    if (kernel.results.length > 1) say(`result ${i}:`);
    printChain(chain, tiled).forEach(say);
    if (output !== undefined) say(output.direct === true ? `written in place ${printAccess(output, tiled)}` : `store ${printBuffer(tiled.staging[i]!)} -> ${printAccess(output, tiled)}`);
  });
  return lines;
}

function printEngine(tiled: TiledKernel): string[] {
  const { engine, dims } = tiled.kernel;
  const points = (which: (dim: number) => boolean) => dims.flatMap((d, i) => (which(i) ? [`${d.name}:${tiled.tile[i]}`] : [])).join(" ");
  switch (engine.kind) {
    case "none": return [];
    case "contraction": return [`gemm ${tiled.dataflow} rows(${points((i) => engine.classes[i] === "row")}) sum(${points((i) => engine.classes[i] === "contracted")}) columns(${tiled.panelColumns}) -> ${printBuffer(tiled.sums[0]!)}`];
    case "reduction": return engine.folds.flatMap(({ chain, reduction, order }, i) => [...printChain(chain, tiled), `${engine.folds.length > 1 ? `fold ${i}: ` : ""}${reduction} ${order} over ${points((dim) => dim >= tiled.kernel.parallel)}`]);
    case "gather": return [`gather rows of ${engine.rows.tensor.name}`];
    case "scatter": return [`scatter rows of ${engine.updates.tensor.name}`];
  }
}

function printChain(chain: Chain, tiled: TiledKernel): string[] {
  const source = (s: Source): string => {
    switch (s.kind) {
      case "stream": return chain.streams[s.index]!.tensor.name;
      case "stage": return `s${s.index}`;
      case "engine": return tiled.kernel.engine.kind === "reduction" && tiled.kernel.engine.folds.length > 1 ? `fold${s.index}` : "sum";
      case "result": return `result${s.index}`;
      case "index": return `index(${tiled.kernel.dims[s.dim]?.name ?? s.dim})`;
      case "immediate": return String(s.value);
    }
  };
  return chain.stages.map((stage, i) => `s${i} = ${stage.operation}(${stage.sources.map(source).join(", ")})`);
}

function printAccess(access: Access, tiled: TiledKernel): string {
  const index = access.coordinates.map((c) => {
    const terms = c.terms.map((t) => `${t.factor === 1 ? "" : `${t.factor}*`}${tiled.kernel.dims[t.dim]!.name}`);
    const offset = c.offset === 0 && terms.length > 0 ? "" : c.offset > 0 && terms.length > 0 ? `+${c.offset}` : String(c.offset);
    return `${terms.join("+")}${offset}${c.padded ? "?" : ""}`;
  });
  return `${access.tensor.name}[${index.join(", ")}]`;
}

function printBuffer(buffer: Buffer): string {
  return `${buffer.memory}[0x${buffer.address.toString(16)}, ${buffer.slots} x ${buffer.slotBytes}]`;
}
