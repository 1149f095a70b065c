/** @file The report of a training program as text: who the time and the traffic went to; and its loss as a picture. */
import type { Report } from "./report.ts";
import { bytesText, grouped, percent, renderTable } from "./table.ts";

/** What the submodules of the data processing module are called in the device text. */
const numbers: Readonly<Record<string, string>> = { control: "51 control", gradient: "52 gradient", damping: "53 damping", "gauss-newton": "54 Gauss-Newton", "conjugate-gradient": "55 conjugate gradient", basic: "56 basic operations" };

/** A line for each submodule: its own words, and everything done on its behalf. */
export function renderSubmodules(report: Report): string {
  const share = (cycles: number): string => percent(report.cycles === 0 ? 0 : cycles / report.cycles);
  return renderTable(
    [{ title: "submodule", align: "left" }, { title: "calls", align: "right" }, { title: "words", align: "right" }, { title: "operations", align: "right" }, { title: "cycles itself", align: "right" }, { title: "with what it asked for", align: "right" }, { title: "share", align: "right" }, { title: "traffic", align: "right" }],
    Object.entries(report.submoduleWork).map(([name, work]) => [
      numbers[name] ?? name, grouped(work.calls), grouped(work.instructions), grouped(work.microOperations), grouped(report.submodules[name as keyof Report["submodules"]]),
      name === "basic" ? "" : grouped(work.asked.cycles), name === "basic" ? "" : share(work.asked.cycles), name === "basic" ? "" : bytesText(work.asked.readBytes + work.asked.writeBytes),
    ]),
  );
}

/** A line for each graph of the program: its kernels together, over all the times they ran. */
export function renderGraphs(report: Report): string {
  const graphs = new Map<string, { cycles: number; macs: number; bytes: number }>();
  for (const layer of report.layers) {
    const name = layer.name.split("/")[0]!;
    const known = graphs.get(name) ?? { cycles: 0, macs: 0, bytes: 0 };
    graphs.set(name, { cycles: known.cycles + layer.cycles, macs: known.macs + layer.macs, bytes: known.bytes + layer.readBytes + layer.writeBytes });
  }
  const rows = [...graphs].sort((a, b) => b[1].cycles - a[1].cycles);
  return renderTable(
    [{ title: "graph", align: "left" }, { title: "cycles", align: "right" }, { title: "share", align: "right" }, { title: "MAC", align: "right" }, { title: "traffic", align: "right" }],
    rows.map(([name, { cycles, macs, bytes }]) => [name, grouped(cycles), percent(report.cycles === 0 ? 0 : cycles / report.cycles), grouped(macs), bytesText(bytes)]),
  );
}

/** External memory by tensor, as the program asked for it. */
export function renderTraffic(report: Report): string {
  const rows = Object.entries(report.traffic).filter(([, { readBytes, writeBytes }]) => readBytes + writeBytes > 0);
  return renderTable(
    [{ title: "external tensor", align: "left" }, { title: "read", align: "right" }, { title: "written", align: "right" }],
    rows.map(([name, { readBytes, writeBytes }]) => [name, bytesText(readBytes), bytesText(writeBytes)]),
  );
}

/** A loss over outer steps as an SVG file: logarithmic where all values are positive. */
export function lossCurve(losses: readonly number[], title: string): string {
  const [width, height, left, bottom, top] = [640, 360, 64, 40, 36];
  const finite = losses.filter((loss) => Number.isFinite(loss));
  const logarithmic = finite.length > 0 && finite.every((loss) => loss > 0);
  const scale = (loss: number): number => (logarithmic ? Math.log10(loss) : loss);
  const [low, high] = [Math.min(...finite.map(scale)), Math.max(...finite.map(scale))];
  const span = high - low || 1;
  const x = (i: number): number => left + (i / Math.max(1, losses.length - 1)) * (width - left - 16);
  const y = (value: number): number => top + ((high - value) / span) * (height - top - bottom);
  const points = losses.flatMap((loss, i) => (Number.isFinite(loss) ? [`${x(i).toFixed(1)},${y(scale(loss)).toFixed(1)}`] : []));
  const ticks = finite.length === 0 ? [] : Array.from({ length: 5 }, (_, i) => low + (span * i) / 4);
  const text = (label: string): string => label.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${left}" y="20" font-size="14">${text(title)}</text>`,
    ...ticks.map((value) => `<line x1="${left}" x2="${width - 16}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" stroke="#ddd"/><text x="${left - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${(logarithmic ? 10 ** value : value).toPrecision(3)}</text>`),
    `<text x="${left}" y="${height - 12}">0</text><text x="${width - 16}" y="${height - 12}" text-anchor="end">${Math.max(0, losses.length - 1)}</text><text x="${width / 2}" y="${height - 12}" text-anchor="middle">outer step</text>`,
    `<polyline fill="none" stroke="#1f5fbf" stroke-width="2" points="${points.join(" ")}"/>`,
    ...points.map((point) => `<circle cx="${point.split(",")[0]}" cy="${point.split(",")[1]}" r="2.5" fill="#1f5fbf"/>`),
    "</svg>",
    "",
  ].join("\n");
}
