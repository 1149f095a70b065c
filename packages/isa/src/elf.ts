/** @file The image as a file; see `elf/format.ts` for what stands in it. */
export { crc32, repairChecksums } from "./elf/checksums.ts";
export { imageFormatVersion } from "./elf/format.ts";
export { parseElf, type ParsedFile, type ParsedSection } from "./elf/parse.ts";
export { readImage } from "./elf/read.ts";
export { writeImage } from "./elf/write.ts";
