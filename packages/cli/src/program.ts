/** @file The commands and their options: the contract of the command line. Names and fields stay. */
import { optimizers, profileNames } from "@systole/systole";
import { Command, Option } from "commander";
import { compileCommand, emitted, type CompileCommandFlags } from "./commands/compile.ts";
import { conformCommand, type ConformFlags } from "./commands/conform.ts";
import { demoCommand, demoMachine, type DemoFlags } from "./commands/demo.ts";
import { differentiateCommand, type DifferentiateFlags } from "./commands/differentiate.ts";
import { inspectCommand, inspectParts, type InspectFlags } from "./commands/inspect.ts";
import { runCommand, type RunFlags } from "./commands/run.ts";
import { trainCommand, type TrainFlags } from "./commands/train.ts";
import { machinesCommand, operatorsCommand, passesCommand, type TableFlags } from "./commands/tables.ts";
import { addLossOptions } from "./losses.ts";
import { addCompileOptions, addMachineOption, collectAxis, collectCounts, collectInput, collectOfOutput, nonNegative, positiveInteger, positiveNumber, regularExpression, wholeNumber } from "./options.ts";
import type { Terminal } from "./terminal.ts";

export const version = "0.1.0";

/** `finish` gets the exit code of the command that ran. */
export function buildProgram(terminal: Terminal, finish: (exitCode: number) => void): Command {
  const program = new Command("systole")
    .description("Compiles ONNX networks for a systolic-array accelerator and runs them on the simulated device.")
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err })
    .showHelpAfterError("(systole help COMMAND lists the options)");

  addCompileOptions(program.command("compile").description("compile a model to an image").argument("<MODEL.onnx>"))
    .option("-o, --out <FILE>", "where the image or the text goes")
    .addOption(new Option("--emit <stage>", "write the text of a stage instead of the image").choices([...emitted]))
    .option("--json", "print what was written as JSON")
    .action((path: string, flags: CompileCommandFlags) => finish(compileCommand(terminal, path, flags)));

  addCompileOptions(program.command("run").description("run a model or an image on the device").argument("<MODEL.onnx|IMAGE.elf>"))
    .option("--input <name=FILE>", "an input from a .npy or .pb file; may be repeated; the name may be left out where there is one input", collectInput)
    .option("--random <SEED>", "fill inputs that are not given", wholeNumber)
    .option("--output <DIR>", "write one .npy file per output")
    .option("--report <FILE.json>", "write the report")
    .option("--trace <FILE.json>", "write a timeline for ui.perfetto.dev")
    .option("--timing-only", "cycles without values")
    .option("--control <FILE>", "outcomes of branches: written by a full run, read with --timing-only")
    .option("--assume <loop=count,...>", "how often loops run that depend on values, with --timing-only: outer=3,cg=30,...", collectCounts)
    .option("--json", "print the report as JSON")
    .action((path: string, flags: RunFlags) => finish(runCommand(terminal, path, flags)));

  addCompileOptions(program.command("inspect").description("show graph, schedule, memory plan, image and code with their ONNX nodes").argument("<IMAGE.elf|MODEL.onnx>"))
    .addOption(new Option("--only <part>", "show one part").choices([...inspectParts]))
    .option("--json", "the same as data")
    .action((path: string, flags: InspectFlags) => finish(inspectCommand(terminal, path, flags)));

  addLossOptions(addCompileOptions(program.command("differentiate").description("loss, gradient and Gauss-Newton product of a model, computed by the device").argument("<MODEL.onnx>")), "what is differentiated")
    .addOption(new Option("--input <name=FILE>", "an input from a .npy or .pb file; may be repeated").argParser(collectInput).makeOptionMandatory())
    .option("--target <[OUTPUT=]FILE>", "the target of a loss: class numbers, or one number for each score; a loss inside the model has its own", collectOfOutput)
    .option("--target-mask <[OUTPUT=]FILE>", "1 where a target takes part, 0 where not: in the shape of its places or of their first axes", collectOfOutput)
    .option("--vector <V.npz>", "a direction, `v/PARAMETER` for each parameter: gives Gv/PARAMETER and Jv")
    .option("--freeze <PATTERN>", "parameters that stay as they are (* for any characters); may be repeated", (pattern: string, before: readonly string[] = []) => [...before, pattern])
    .option("--seed <n>", "of the masks of Dropout in training form", wholeNumber)
    .option("--sample-axis <name=AXIS>", "for these masks: an input whose samples are counted by another axis than that of the batch; may be repeated", collectAxis)
    .option("--rematerialize", "compute cheap values of the forward pass again instead of keeping them; no bit changes")
    .option("--check", "check against central differences and the symmetry of G")
    .option("--report <FILE.json>", "write the report")
    .requiredOption("-o, --out <OUT.npz>", "where loss, g/PARAMETER and Gv/PARAMETER go")
    .action((path: string, flags: DifferentiateFlags) => finish(differentiateCommand(terminal, path, flags)));

  addLossOptions(addMachineOption(program.command("train").description("train a model on the device; the whole training program is one image").argument("<MODEL.onnx>")), "what is made small")
    .option("--data <DATA.npz>", "one array for each input of the model, `target` and, where some do not take part, `mask` (of several losses `target.OUTPUT`, `mask.OUTPUT`); the first axis counts the samples (not needed for models without inputs)")
    .option("--target-mask <KEY>", "the array of the data that is the mask (default: mask)")
    .option("--validation <DATA.npz>", "data to judge the trained model on")
    .option("--sample-axis <name=AXIS>", "an input whose samples are counted by another axis; may be repeated", collectAxis)
    .addOption(new Option("--optimizer <name>", "the training algorithm").choices([...optimizers]).default("hessian-free"))
    .addOption(new Option("--profile <name>", "variant of Hessian-free training (default: martens)").choices([...profileNames]))
    .option("--iterations <n>", "outer steps at most", positiveInteger, 100)
    .option("--cg-iterations <n>", "steps of conjugate gradients at most, in one outer step", positiveInteger)
    .option("--gradient-batch <n>", "samples for loss and gradient (default: all; sgd and adam: 64)", positiveInteger)
    .option("--curvature-batch <n>", "samples for curvature products (default: an eighth of the gradient's)", positiveInteger)
    .option("--micro-batch <n>", "samples that a graph sees at a time; part of what the numbers mean", positiveInteger)
    .option("--lambda <x>", "damping at the start", positiveNumber)
    .option("--structural-damping <mu>", "damps changes of hidden states of recurrent networks", positiveNumber)
    .option("--preconditioner", "precondition conjugate gradients, also where the profile does not")
    .option("--no-preconditioner", "do not precondition")
    .option("--weight-decay <x>", "half of x times the squared weights (rank 2 and more) is added to the loss", nonNegative)
    .option("--learning-rate <x>", "of sgd and adam", positiveNumber)
    .option("--momentum <x>", "of sgd", nonNegative)
    .option("--gradient-tolerance <x>", "stop where the gradient is no longer than that", nonNegative)
    .option("--progress-tolerance <x>", "stop where a step moves the loss by no more than this part of it", nonNegative)
    .option("--freeze <PATTERN>", "parameters that stay as they are (* for any characters); may be repeated", (pattern: string, before: readonly string[] = []) => [...before, pattern])
    .addOption(new Option("--init <how>", "keep the parameters of the file, or draw sparse ones").choices(["keep", "sparse"]).default("keep"))
    .option("--seed <n>", "of sample order, sparse parameters, random signs and the masks of Dropout in training form", wholeNumber)
    .option("--log <LOG.jsonl>", "one line of JSON for each outer step")
    .option("--checkpoint <DIR>", "write a checkpoint after each outer step")
    .option("--resume", "go on from the checkpoint, bit for bit")
    .option("--hard-wired", "the steps S1 to S10 come from a ROM of the controller")
    .option("--image <FILE.elf>", "also write the image of the training program")
    .option("--program <FILE>", "also write the training program as text")
    .option("--report <FILE.json>", "write the report")
    .requiredOption("-o, --out <TRAINED.onnx>", "the model with its trained parameters")
    .action((path: string, flags: TrainFlags) => finish(trainCommand(terminal, path, flags)));

  addMachineOption(program.command("conform").description("run a folder or archive of ONNX backend test cases on the device").argument("<DIR|ARCHIVE>"))
    .option("--filter <REGEX>", "only cases whose path matches", regularExpression)
    .option("--json <FILE>", "write the verdict on every case")
    .option("--quiet", "print the counts only")
    .action((path: string, flags: ConformFlags) => finish(conformCommand(terminal, path, flags)));

  program.command("machines").description("list the machines that come along").option("--json", "as JSON").action((flags: TableFlags) => finish(machinesCommand(terminal, flags)));
  program.command("operators").description("list the supported operators").option("--json", "as JSON").action((flags: TableFlags) => finish(operatorsCommand(terminal, flags)));
  program.command("passes").description("list the passes over the graph").option("--json", "as JSON").action((flags: TableFlags) => finish(passesCommand(terminal, flags)));

  program.command("demo").description("train a small network on MNIST on the device, then run it on test images")
    .option("--machine <NAME|FILE>", `machine to compile for (default: ${demoMachine})`)
    .option("--samples <n>", "images to train on", positiveInteger, 20000)
    .option("--iterations <n>", "outer steps of Hessian-free", positiveInteger, 15)
    .option("--images <n>", "images to test with", positiveInteger, 1000)
    .option("--output <DIR>", "where models, images, reports and the curve go", "out")
    .action((flags: DemoFlags) => finish(demoCommand(terminal, flags)));
  return program;
}
