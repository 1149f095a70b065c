export * from "./kernel.ts";
export * from "./schedule.ts";
export { schedule } from "./scheduler.ts";
export { type SearchOptions, tilingsOf } from "./search.ts";
export { formKernels, type FormedProgram } from "./form/form.ts";
export { collapseKernel } from "./collapse.ts";
export { lowerBoundBytes } from "./bounds.ts";
export { printKernel, printSchedule } from "./print.ts";
export { verifySchedule } from "./verify.ts";
