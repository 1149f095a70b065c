export * from "./image.ts";
export * from "./instructions.ts";
export * from "./machine.ts";
export * from "./resolved.ts";
export * from "./spec.ts";
