/** @file The only place that touches the file system for users: reading, writing whole files or nothing, external data in its fence. */
import { randomBytes } from "node:crypto";
import { closeSync, constants, existsSync, fstatSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fail, type ImportOptions } from "@systole/systole";

export type ReadExternal = NonNullable<ImportOptions["readExternal"]>;

export function readBytes(path: string): Uint8Array {
  return orFail("read", path, () => readFileSync(path));
}

export function readText(path: string): string {
  return orFail("read", path, () => readFileSync(path, "utf8"));
}

const unfinished = ".part";

/** A reader never sees half a file: the bytes go to a temporary name in the same folder, which then takes the place of the target. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  writeTogether([[path, content]]);
}

/** All of them or none: no file takes its place before all are written. */
export function writeTogether(files: readonly (readonly [path: string, content: string | Uint8Array])[]): void {
  const written: { readonly path: string; readonly temporary: string }[] = [];
  try {
    for (const [path, content] of files) {
      const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}${unfinished}`);
      written.push({ path, temporary });
      orFail("write", path, () => {
        if (existsSync(path) && lstatSync(path).isDirectory()) fail("E0101", `cannot write "${path}": ${reasons["EISDIR"]!}`);
        writeFileSync(temporary, content, { flag: "wx" });
      });
    }
    for (const { path, temporary } of written) orFail("write", path, () => renameSync(temporary, path));
  } catch (error) {
    for (const { temporary } of written) rmSync(temporary, { force: true });
    throw error;
  }
}

/** Whether two paths are one file, also through links; one that is not there yet by its name. */
export function isSameFile(a: string, b: string): boolean {
  const whole = (path: string): string => (existsSync(path) ? realpathSync(path) : resolve(path));
  return whole(a) === whole(b);
}

/** Temporary files of this target that a process has left which was killed while it wrote. */
export function removeUnfinished(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder)) return;
  for (const name of orFail("read", folder, () => readdirSync(folder))) {
    if (name.startsWith(`.${basename(path)}.`) && name.endsWith(unfinished)) rmSync(join(folder, name), { force: true });
  }
}

export function makeFolder(path: string): void {
  orFail("make folder", path, () => mkdirSync(path, { recursive: true }));
}

export { existsSync as fileExists };

/**
 * Reads external data of a model beside it. The frontend has refused absolute locations and `..`; here links are refused, on every step
 * from the model's folder to the file, and whatever is no plain file.
 */
export function externalReader(modelPath: string): ReadExternal {
  return (location, offset, length) => {
    const folder = orFail("read", modelPath, () => realpathSync(dirname(modelPath)));
    const path = join(folder, location);
    const refuse = (why: string): never => fail("E0103", `external data at "${location}" refused: ${why}`, { file: modelPath });
    let step = folder;
    for (const part of location.split("/").filter((name) => name !== "" && name !== ".")) {
      if (part === "..") refuse("it leaves the model's folder by `..`");
      step = join(step, part);
      if (!existsSync(step)) refuse("there is no such file");
      if (lstatSync(step).isSymbolicLink()) refuse("a link");
    }
    // The path may have changed since: what counts is what is opened, and that it is where it was looked for.
    if (realpathSync(path) !== step) refuse("it is not inside the model's folder");
    if (!lstatSync(step).isFile()) refuse("it is not a plain file");
    return orFail("read", path, () => readPart(step, offset, length));
  };
}

/** At most `length` bytes from `offset`; fewer where the file ends before. */
function readPart(path: string, offset: number, length: number | undefined): Uint8Array {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const available = Math.max(0, fstatSync(file).size - offset);
    const wanted = Math.min(length ?? available, available);
    const bytes = new Uint8Array(wanted);
    let done = 0;
    while (done < wanted) {
      const count = readSync(file, bytes, done, wanted - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(file);
  }
}

function orFail<T>(what: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof Error && "code" in error && typeof error.code === "string") return fail("E0101", `cannot ${what} "${path}": ${reasons[error.code] ?? error.code}`);
    throw error;
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder", EACCES: "permission denied", EISDIR: "it is a folder", ENOTDIR: "a part of the path is no folder", EEXIST: "it exists already",
  ENOSPC: "the disk is full", EROFS: "the file system is read-only", ERR_FS_FILE_TOO_LARGE: "it is larger than 2 GiB",
};
