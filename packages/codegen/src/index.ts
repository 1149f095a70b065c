export { emitImage } from "./image.ts";
export { kernelCode } from "./kernelCode.ts";
