/** @file A report as text: what the whole run cost, each layer beside its bounds, the roofline, where the units lost their time. */
import type { LayerReport, Report } from "./report.ts";
import { bytesText, grouped, percent, renderTable, shortened } from "./table.ts";

const longestName = 32;

export function renderReport(report: Report): string {
  return [renderSummary(report), renderPhases(report), renderLayers(report), renderUnits(report)].filter((part) => part !== "").join("\n\n") + "\n";
}

export function renderSummary(report: Report): string {
  const { dram, instructions, host } = report;
  return [
    `${report.model} on ${report.machine}: ${grouped(report.cycles)} cycles, ${grouped(report.macs)} MAC, array utilisation ${percent(report.arrayUtilization)}`,
    `external memory: ${bytesText(dram.readBytes)} read, ${bytesText(dram.writeBytes)} written; lower bound of the layers ${bytesText(dram.lowerBoundBytes)}`,
    `instructions: ${grouped(instructions.fetched)} fetched, ${grouped(instructions.executed)} executed; text ${bytesText(instructions.textBytes)}, image ${bytesText(instructions.imageBytes)}`,
    `host: compiled in ${host.compileMs.toFixed(0)} ms, ran in ${host.runMs.toFixed(0)} ms${host.macsPerSecond === 0 ? "" : `, ${(host.macsPerSecond / 1e9).toFixed(2)} GMAC/s`}`,
  ].join("\n");
}

/** What forward, backward and product cost; nothing where there is only one of them. */
export function renderPhases(report: Report): string {
  if (report.phases.length === 0) return "";
  const table = renderTable(
    [{ title: "phase", align: "left" }, { title: "cycles", align: "right" }, { title: "share", align: "right" }, { title: "MAC", align: "right" }, { title: "traffic", align: "right" }],
    report.phases.map(({ phase, cycles, macs, readBytes, writeBytes }) => [
      phase, grouped(cycles), percent(report.cycles === 0 ? 0 : cycles / report.cycles), grouped(macs), bytesText(readBytes + writeBytes),
    ]),
  );
  const { residuals } = report;
  return residuals === undefined ? table : `${table}\nresiduals: ${residuals.count} values of the point, ${bytesText(residuals.bytes)}; as compiled ${bytesText(residuals.keptBytes)} lie between the phases`;
}

/** One line a layer. `array` and `memory` are the cycles that each alone would need. */
export function renderLayers(report: Report): string {
  const phased = report.phases.length > 0;
  const columns = [
    { title: "layer", align: "left" }, { title: "operator", align: "left" }, ...(phased ? [{ title: "phase", align: "left" } as const] : []), { title: "cycles", align: "right" }, { title: "predicted", align: "right" },
    { title: "array", align: "right" }, { title: "memory", align: "right" }, { title: "used", align: "right" }, { title: "bound by", align: "left" },
    { title: "moved", align: "right" }, { title: "at least", align: "right" }, { title: "tiling", align: "left" },
  ] as const;
  return renderTable(columns, report.layers.map((layer) => [
    shortened(layer.name, longestName), layer.operator, ...(phased ? [layer.phase ?? ""] : []), grouped(layer.cycles), grouped(layer.predictedCycles),
    grouped(layer.arrayBoundCycles), grouped(layer.memoryBoundCycles), percent(layer.utilization), layer.boundBy,
    bytesText(layer.readBytes + layer.writeBytes), bytesText(layer.lowerBoundBytes), layer.tiling,
  ]));
}

/** MAC a cycle against MAC a byte, for layers that use the array. */
export function renderRoofline(report: Report): string {
  return report.layers.filter((layer) => layer.macs > 0).map(rooflineLine).join("\n");
}

function rooflineLine(layer: LayerReport): string {
  const { macsPerByte, attainable, achieved } = layer.roofline;
  const reached = attainable === 0 ? 0 : Math.min(1, achieved / attainable);
  const bar = "#".repeat(Math.round(reached * 20)).padEnd(20, ".");
  return `${shortened(layer.name, longestName).padEnd(longestName)} ${macsPerByte.toFixed(1).padStart(7)} MAC/byte  ${achieved.toFixed(1).padStart(8)} of ${attainable.toFixed(1).padStart(8)} MAC/cycle [${bar}]`;
}

/** Busy time of each unit and its three largest losses. */
export function renderUnits(report: Report): string {
  const part = (cycles: number): string => percent(report.cycles === 0 ? 0 : cycles / report.cycles);
  const rows = Object.entries(report.units).map(([name, unit]) => {
    const losses = Object.entries(unit.stalls).filter(([, cycles]) => cycles > 0).sort((a, b) => b[1] - a[1]);
    return [name, part(unit.busy), losses.slice(0, 3).map(([cause, cycles]) => `${cause} ${part(cycles)}`).join(", ")];
  });
  return renderTable([{ title: "unit", align: "left" }, { title: "busy", align: "right" }, { title: "lost to", align: "left" }], rows);
}
