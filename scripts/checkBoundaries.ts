/**
 * @file `turbo boundaries` says which imports a package does not declare and which leave it. Its parser does not know AssemblyScript's
 * decorators and it has no way to leave files out: what it cannot parse in that folder, and nothing else, is let pass. It folds its lines
 * at 80 columns, inside of a path too, so how they break depends on where the repository stands: they are read without breaks and spaces.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const turbo = spawnSync(join(root, "node_modules/.bin/turbo"), ["boundaries", "--no-color"], {
  cwd: root, encoding: "utf8", env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" },
});
const output = `${turbo.stdout}\n${turbo.stderr}`;
const counted = /, (no|[0-9]+) issues? found/.exec(output)?.[1];
const unfolded = output.replaceAll(/[\s|]/g, "");
const foreign = [...unfolded.matchAll(/failedtoparsefile[^:]*\/packages\/device\/assembly\/[^:]+:parserpanicked/g)].length;

if (counted === undefined || (counted === "no" ? 0 : Number(counted)) !== foreign) {
  console.error(output);
  process.exitCode = 1;
} else {
  console.log("turbo boundaries: every import is declared and stays in its package");
}
