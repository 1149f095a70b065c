/** @file Oracles O1, O2 and O13 in numbers: small networks whose loss, gradient, J v and G v are known in float64. Parameters are packed W1, b1, W2, b2, matrices by rows. */

interface DenseOracle {
  readonly w2: readonly (readonly number[])[];
  readonly b2: readonly number[];
  readonly loss: number;
  readonly Jv: readonly number[];
  readonly Gv: readonly number[];
  readonly vGv: number;
}

/** tanh, then a linear layer; the direction is v_i = i / 10. */
export const x = [1, -2];
export const w1 = [[0.5, -0.25], [0.1, 0.3]];
export const b1 = [0, 0.2];
export const directionOf = (count: number): number[] => Array.from({ length: count }, (_, i) => (i + 1) / 10);

/** 2-2-1, squared error, target 1. */
export const o1: DenseOracle & { readonly scores: number; readonly gradient: readonly number[] } = {
  w2: [[0.7, -0.4]], b2: [0.1], scores: 0.74964095415, loss: 0.031339825919543395,
  gradient: [-0.073601062814, 0.147202125627, 0.091645126634, -0.183290253268, -0.073601062814, 0.091645126634, -0.19067198621, 0.072932747698, -0.25035904585],
  Jv: [1.222256748561], vGv: 1.4939115594,
  Gv: [0.359321531282, -0.718643062564, -0.44741293098, 0.89482586196, 0.359321531282, -0.44741293098, 0.930863596781, -0.35605880651, 1.222256748561],
};

/** 2-2-3, softmax and cross-entropy, class 1. */
export const o2: DenseOracle & { readonly biasGradient: readonly number[] } = {
  w2: [[0.7, -0.4], [-0.2, 0.5], [0, 0.1]], b2: [0.1, 0, -0.1], loss: 1.6163702555309376, biasGradient: [0.566230429731, 0.198618326033 - 1, 0.235151244236],
  Jv: [1.622256748561, 1.823080002335, 1.997329806228], vGv: 0.0246852601179853,
  Gv: [
    -0.02253487845, 0.045069756901, 0.038474088633, -0.076948177267, -0.02253487845, 0.038474088633, -0.05523555529, 0.021127806439, 0.011002702601, -0.004208574887, 0.044232852689, -0.016919231552,
    -0.07252623311, 0.014446936752, 0.058079296359,
  ],
};

/** The chain A3 = ((x^2)^2)^2 under half its squared length: three times the mean over its elements. */
export const o13 = { x: [1, 2, 0.5], loss: 32768.500007629395, gradient: [8, 262144, 2.44140625e-4] };
