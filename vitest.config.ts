import { defineConfig } from "vitest/config";

const conditions = ["@systole/source"];

/** Tests run the TypeScript sources of every package: a test never sees a stale `dist`. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
    setupFiles: ["test/setup.ts"],
    testTimeout: 60_000,
    // Not one core less: on two that would be half of them.
    maxWorkers: "100%",
  },
});
