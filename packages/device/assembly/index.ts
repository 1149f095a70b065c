/** @file All numeric kernels of the device, compiled to one WebAssembly module. No kernel allocates. */
export * from "./box";
export * from "./gemm";
export * from "./lanes";
export * from "./folds";
export * from "./integers";
export * from "./functions";
