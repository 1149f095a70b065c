export { perfettoTrace, type PerfettoEvent, type PerfettoTrace, type TraceEventLike } from "./perfetto.ts";
export { renderLayers, renderPhases, renderReport, renderRoofline, renderSummary, renderUnits } from "./render.ts";
export { buildReport, peakOf, reportSchema, textBytesOf, type LayerReport, type PhaseReport, type Report, type ResidualReport, type Roofline } from "./report.ts";
export type { HostFacts, KernelCountersLike, RunLike, UnitCountersLike } from "./run.ts";
export { bytesText, grouped, percent, renderTable, shortened, type Column } from "./table.ts";
export { lossCurve, renderGraphs, renderSubmodules, renderTraffic } from "./training.ts";
