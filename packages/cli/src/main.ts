#!/usr/bin/env node
/** @file The process: its streams, clock and exit code. */
import { runCli } from "./cli.ts";

// A reader that goes away, as `head` does, is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = runCli(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  isWatched: process.stderr.isTTY === true,
  now: () => performance.now(),
}, { debug: process.env["SYSTOLE_DEBUG"] === "1" });
