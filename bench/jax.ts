/** @file Runs bench/jaxProducts.py with the Python that the environment names, if it does. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export interface JaxResult {
  readonly version: string;
  readonly gradientMs: number;
  readonly bothMs: number;
  readonly productMs: number;
  readonly gradientBestMs: number;
  readonly bothBestMs: number;
  /** Processor time over time: 1 is one thread. */
  readonly cores: number;
  /** Relative to the length of the stored values. */
  readonly error: number;
}

/** The networks that the script knows. */
const known = ["mlp_relu_784_64_10", "lenet_28", "encoder_L2_d32"];
const variable = "SYSTOLE_JAX_PYTHON";

/** Undefined for a network that the script does not know; a note where JAX did not run. */
export function runJax(folder: string, name: string): JaxResult | string | undefined {
  if (!known.includes(name)) return undefined;
  const python = process.env[variable];
  if (python === undefined || python === "") return `${variable} names no Python`;
  try {
    return JSON.parse(execFileSync(python, [join(import.meta.dirname, "jaxProducts.py"), join(folder, name)], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })) as JaxResult;
  } catch (error) {
    const said = error instanceof Error && "stderr" in error && error.stderr !== null ? String(error.stderr).trim().split("\n").at(-1) : undefined;
    return `the Python of ${variable} failed${said === undefined ? " to start" : `: ${said}`}`;
  }
}
