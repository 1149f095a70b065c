export { compile, run, type Compiled, type CompileOptions } from "./stages.ts";
export { Device, type Run, type RunOptions } from "@systole/device";
export { importModel, operatorTable, decodeTensor, encodeTensor, type ImportOptions } from "@systole/frontend-onnx";
export { evaluate, graphPasses, printGraph, type Graph } from "@systole/ir";
export { disassembleInstruction, disassembleRoutines, formatMachine, isaDocument, parseMachine, presets, readImage, writeImage, type Image, type Machine } from "@systole/isa";
export { printSchedule, type Schedule } from "@systole/scheduler";
export { fail, InputError, renderDiagnostic, codes, tensor, type Tensor, type Diagnostic } from "@systole/base";
