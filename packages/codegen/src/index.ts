export { emitImage } from "./image.ts";
export { kernelCode } from "./kernelCode.ts";
export { emitProgram } from "./program/emitProgram.ts";
