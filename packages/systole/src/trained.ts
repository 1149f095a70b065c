/** @file Which parameters of a network are differentiated and trained. */
import { fail } from "@systole/base";
import { idlePatterns, trainableParameters, type Graph } from "@systole/ir";

/** E0209 where there are none; `notes` name patterns of `freeze` that match no parameter. */
export function trainedParameters(network: Graph, freeze: readonly string[] = []): { readonly trained: readonly string[]; readonly notes: readonly string[] } {
  const trained = trainableParameters(network, freeze);
  if (trained.length === 0) fail("E0209", "the model has no trainable parameters", {}, ["Trainable are float initializers except running statistics; --freeze takes some away."]);
  return { trained, notes: idlePatterns(network, freeze).map((pattern) => `nothing is frozen by "${pattern}": no parameter has such a name`) };
}
