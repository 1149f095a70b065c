/** @file Random cases of Scan and Loop: bodies that read the graph around them, other axes, other directions. */
import { tensor } from "@systole/base";
import type { Case, Random } from "./operatorCase.ts";
import { f32, info, node, tensorProto, type AttributeInput } from "./support.ts";

/** s' = tanh(s + a * outer), y = s' * half; a second sequence is passed on. */
function scan(r: Random): Case {
  const [steps, width] = [r.int(1, 4), r.int(1, 3)];
  const [axisIn, axisOut] = [r.int(0, 1), r.int(-2, 1)];
  const body = {
    name: "step", input: [info("s", "f32", [width]), info("a", "f32", [width]), info("b", "f32", [2])], output: [info("n", "f32", [width]), info("made", "f32", [width]), info("b", "f32", [2])],
    initializer: [tensorProto(f32([1], [0.5]), "half")],
    node: [node("Mul", ["a", "s0"], ["p"]), node("Add", ["s", "p"], ["q"]), node("Tanh", ["q"], ["n"]), node("Mul", ["n", "half"], ["made"])],
  };
  return {
    inputs: { s0: r.f32([width]), x: r.f32(axisIn === 0 ? [steps, width] : [width, steps]), z: r.f32([steps, 2]) },
    attributes: {
      body: { g: body }, num_scan_inputs: 2, scan_input_axes: [axisIn, 0], scan_output_axes: [axisOut, 0], scan_input_directions: [r.int(0, 1), 0], scan_output_directions: [r.int(0, 1), r.int(0, 1)],
    },
    outputs: r.pick([["last", "y", "other"], ["y", "made", "other"]]),
  };
}

/** v' = tanh(v + i w), made = v' v; `fixed`: how often is known at import. */
function loop(r: Random): Case {
  const width = r.int(1, 3);
  const body: AttributeInput = { g: {
    name: "step", input: [info("i", "i64", []), info("c", "bool", []), info("v", "f32", [width]), info("w", "f32", [width])],
    output: [info("more", "bool", []), info("n", "f32", [width]), info("w", "f32", [width]), info("made", "f32", [width])],
    node: [node("Identity", ["c"], ["more"]), node("Cast", ["i"], ["t"], { to: 1 }), node("Mul", ["w", "t"], ["p"]), node("Add", ["v", "p"], ["q"]), node("Tanh", ["q"], ["n"]), node("Mul", ["n", "v0"], ["made"])],
  } };
  return {
    inputs: { limit: tensor("i64", [], [r.int(1, 4)]), condition: tensor("bool", [], [1]), v0: r.f32([width]), w0: r.f32([width]) }, fixed: ["limit", "condition"],
    attributes: { body }, outputs: r.pick([["y", "w1", "made"], ["last", "w1", "y"]]),
  };
}

export const controlCases: Readonly<Record<string, (r: Random) => Case>> = { Scan: scan, Loop: loop };
