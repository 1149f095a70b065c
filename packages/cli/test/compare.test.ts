import { tensor } from "@systole/systole";
import { describe, expect, it } from "vitest";
import { difference } from "../src/index.ts";

const f32 = (...values: number[]) => tensor("f32", [values.length], values);

describe("difference", () => {
  it("follows the tolerance of the ONNX suite", () => {
    expect(difference(f32(1.0009, NaN, Infinity, -0), f32(1, NaN, Infinity, 0))).toBeUndefined();
    expect(difference(f32(1.002), f32(1))).toContain("1 of 1 elements differ");
    expect(difference(f32(1e30), f32(Infinity))).toBeDefined();
    expect(difference(f32(NaN), f32(1))).toBeDefined();
    expect(difference(f32(Infinity), f32(-Infinity))).toBeDefined();
  });

  it("is exact for integers, types and shapes", () => {
    expect(difference(tensor("i64", [1], [1000]), tensor("i64", [1], [1001]))).toContain("element 0 is 1000, expected 1001");
    expect(difference(f32(1), tensor("f32", [1, 1], [1]))).toBe("f32[1] where f32[1,1] is expected");
    expect(difference(f32(1), tensor("i32", [1], [1]))).toBe("f32[1] where i32[1] is expected");
  });
});
