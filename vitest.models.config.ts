import { defineConfig } from "vitest/config";
import base from "./vitest.config.ts";

/** Real models and large architectures, from a folder that is no part of the project: minutes, not seconds. One file at a time, for memory; every skipped model is shown with its reason. */
export default defineConfig({ ...base, test: { include: ["test/models/**/*.slow.ts"], fileParallelism: false, testTimeout: 300_000, reporters: ["verbose"] } });
