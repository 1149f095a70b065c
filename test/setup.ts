/** @file Property tests draw the same cases in every run: a failure is a failure for everybody. */
import fc from "fast-check";

fc.configureGlobal({ seed: 1 });
