export { compile, run, type Compiled, type CompileOptions } from "./stages.ts";
export { lowerGraph, printAnySchedule, type AnySchedule, type Lowered } from "./lower.ts";
export { Device, isDeviceFault, type Run, type RunOptions } from "@systole/device";
export {
  decodeTensor, derivativeText, encodeTensor, importModel, newestOpset, oldestOpset, operatorTable, type ImportedModel, type ImportOptions, type ModelValue, type Derivative, type OperatorRow,
} from "@systole/frontend-onnx";
export { evaluate, graphPasses, parseGraph, parseProgram, printGraph, printProgram, verifyGraph, type Graph } from "@systole/ir";
export {
  assembleRoutines, parseElf, disassembleInstruction, disassembleRoutines, formatMachine, isaDocument, isPresetName, limits, machineHash, parseMachine, presetNames, presets, readImage,
  verifyImage, writeImage, type Image, type KernelDebug, type Machine, type Routine, type TensorSymbol,
} from "@systole/isa";
export { printKernel, printSchedule, type Schedule, type TiledKernel } from "@systole/scheduler";
export {
  allocate, byteCount, bytesOf, codes, dtypes, elementCount, fail, formatType, InputError, isFloat, numbersOf, renderDiagnostic, sameShape, tensor,
  type Diagnostic, type DiagnosticCode, type Dtype, type NumericArray, type PassObserver, type Tensor, type TensorType,
} from "@systole/base";
export { differentiate, type Derivatives, type DifferentiateOptions } from "./differentiate.ts";
export { checkGradient, checkSymmetry, signDirection, type GradientCheck, type SymmetryCheck } from "./checkDerivatives.ts";
export { lossInputs, maskName, modelLoss, targetName, type AttachedLoss, type LossAt, type LossChoice, type LossInputs } from "./lossPieces.ts";
export { isWeighed, lossNames, totalWeight, residualBytes, trainableParameters, type KeptResidual } from "@systole/ir";
export { ladder, ladderSources, printLadder, type Cell, type Ladder } from "@systole/ir";
export { optimizers, type AlgorithmOptions, type OptimizerName } from "./training/algorithm.ts";
export { arrangeData, buildProblem, refuseNaN, typesOf, type BuiltProblem, type BuiltTraining, type TrainingData, type TrainedLoss, type TrainingOptions } from "./training/build.ts";
export { claimsOf, type Claims } from "./training/claims.ts";
export { compileTraining, type CompiledTraining } from "./training/compile.ts";
export { validate, type Validation } from "./training/validate.ts";
export { profileNames, profiles, readRecord, recordColumns, reasonOf, reasons, recordTensor, type Reason, type TrainingRecord } from "@systole/training";
export { replaceParameters } from "@systole/frontend-onnx";
export { snapshotFromBytes, snapshotToBytes, type JudgementView, type Snapshot } from "@systole/device";
