export type { ModelLoss } from "./lowering/emitter.ts";
export { checkExternalLocation, type ReadExternal } from "./model/external.ts";
export { declaredInputs, dropoutInputs, importModel, type DropoutMasks, type ImportedModel, type ImportOptions, type ModelValue } from "./model/import.ts";
export type { DeclaredInput } from "./model/shapes.ts";
export { replaceParameters } from "./model/trained.ts";
export { decodeTensor, encodeTensor } from "./model/tensors.ts";
export { derivativeText, type Derivative } from "./operators/derivatives.ts";
export { operatorTable, type OperatorRow } from "./operators/index.ts";
export { newestOpset, oldestOpset } from "./operators/schemas.ts";
