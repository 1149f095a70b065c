/** @file `kill -9` three times; twenty times in test/models/killed.slow.ts. */
import { test } from "vitest";
import { survivesKills } from "./killed.ts";

test("a training killed three times ends with the bytes of one that nobody disturbed", async () => {
  await survivesKills(3, 1);
}, 120_000);
