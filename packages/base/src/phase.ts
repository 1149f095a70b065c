/**
 * @file What a piece of a derived program is for: the values of the network and its loss (`forward`), what the gradient adds to them
 * (`backward`), or the product with a direction (`product`).
 */
export const phaseNames = ["forward", "backward", "product"] as const;
export type Phase = (typeof phaseNames)[number];
