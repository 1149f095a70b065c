/** @file `kill -9` at twenty random moments. */
import { test } from "vitest";
import { survivesKills } from "../training/killed.ts";

test("a training killed twenty times ends with the bytes of one that nobody disturbed", async () => {
  await survivesKills(20, 7);
}, 600_000);
