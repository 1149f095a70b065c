import { defineConfig } from "vitest/config";
import base from "./vitest.config.ts";

/** The array's time against RTL: needs Icarus Verilog, is skipped where it is missing. */
export default defineConfig({ ...base, test: { include: ["test/rtl/**/*.slow.ts"], maxConcurrency: 2, testTimeout: 300_000, reporters: ["verbose"] } });
