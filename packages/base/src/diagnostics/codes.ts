/** @file Every diagnostic code once. `docs/errors.md` is generated from this table. */

export interface CodeInfo {
  readonly title: string;
  readonly help: string;
}

/** E01 files and formats, E02 operators and graphs, E03 machines and capacity, E04 images, E05 device faults, E06 inputs of a run. */
export const codes = {
  E0101: { title: "file cannot be read or written", help: "Check the path and its permissions." },
  E0102: { title: "not a valid ONNX model", help: "Check the file with onnx.checker; it may be truncated or not an ONNX file." },
  E0103: { title: "external data refused or missing", help: "External data must lie inside the model's folder: a relative path, no `..`, no links." },
  E0104: { title: "opset not supported", help: "Convert the model to an opset from 7 to the newest that `systole operators` lists." },
  E0105: { title: "not a valid tensor file", help: "Give a .npy file (version 1 to 3) or an ONNX TensorProto (.pb)." },
  E0106: { title: "text form cannot be parsed", help: "The line and what was expected there stand in the message." },
  E0201: { title: "operator not supported", help: "`systole operators` lists what is supported." },
  E0202: { title: "attribute or form of an operator not supported", help: "The message says which values are accepted." },
  E0203: { title: "shapes or element types do not fit", help: "The message names both sides." },
  E0204: { title: "dimension unknown", help: "Bind it with --batch N or --shape name=d0,d1,..." },
  E0205: { title: "graph not well formed", help: "A value must be defined once, before its use." },
  E0206: { title: "value must be known at compile time", help: "Feed it from an initializer or a Constant node." },
  E0207: { title: "element type not supported", help: "Supported are float32, int64, int32, int8, uint8, bool and, where stated, float64." },
  E0208: { title: "no derivative", help: "Freeze the parameters that act through this node, or stop the gradient there." },
  E0209: { title: "nothing to differentiate", help: "Name at least one float parameter that is not frozen." },
  E0301: { title: "machine file not valid", help: "`systole machines` prints the presets; every field is checked." },
  E0302: { title: "does not fit the machine's memory", help: "The message gives required, available and missing bytes." },
  E0303: { title: "cannot be scheduled on this machine", help: "The message names the kernel and the limit." },
  E0401: { title: "not a valid image", help: "The image is damaged or was not made by systole." },
  E0402: { title: "image made for another machine or version", help: "Compile the model again for this machine." },
  E0403: { title: "image refused by the verifier", help: "The message names the instruction and the rule it breaks." },
  E0404: { title: "checksum wrong", help: "The image is damaged; compile it again." },
  E0405: { title: "assembly text not valid", help: "`docs/isa.md` lists every instruction and its fields." },
  E0501: { title: "device fault", help: "The message names the instruction, routine, loop indices and ONNX layer." },
  E0502: { title: "watchdog", help: "The image runs longer than its bound; raise the bound or check the trip counts." },
  E0601: { title: "input missing or unknown", help: "`systole inspect` lists the inputs by name." },
  E0602: { title: "input does not fit", help: "The message gives the wanted and the given type and shape." },
  E0603: { title: "option not valid", help: "`systole help COMMAND` lists the options." },
  E0604: { title: "snapshot does not fit", help: "A run goes on only with the image, the inputs and the version that made the snapshot." },
  E0605: { title: "training stopped", help: "The message names the reason; the parameters before the failing step are in the last checkpoint." },
} as const satisfies Record<string, CodeInfo>;

export type DiagnosticCode = keyof typeof codes;
