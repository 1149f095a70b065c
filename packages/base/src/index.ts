export * from "./diagnostics/codes.ts";
export * from "./diagnostics/diagnostic.ts";
export * from "./numerics/dtype.ts";
export * from "./numerics/elementwise.ts";
export * from "./numerics/reduction.ts";
export * from "./numerics/tensor.ts";
export * from "./passes/pass.ts";
