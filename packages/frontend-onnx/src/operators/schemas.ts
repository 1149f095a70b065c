/**
 * @file What the ONNX standard says about each operator that we lower: the opset versions in which it changed, its attributes and
 * its counts of inputs and outputs (Infinity: any number). Versions superseded before opset 7 are left out.
 */

/** One span of versions with the same attributes and arity; `since` lists the versions in which the operator was revised. */
export interface SchemaSpan {
  readonly since: readonly number[];
  /** Names, separated by spaces. */
  readonly attributes: string;
  readonly inputs: readonly [least: number, most: number];
  readonly outputs: number;
}

const span = (since: readonly number[], attributes: string, inputs: readonly [number, number], outputs = 1): SchemaSpan => ({ since, attributes, inputs, outputs });
const any = Infinity;

/** Newest opset of the default domain that the table covers. */
export const newestOpset = 28;
/** Oldest opset that is accepted. */
export const oldestOpset = 7;

export const schemas: Readonly<Record<string, readonly SchemaSpan[]>> = {
  Abs: [span([6, 13], "", [1, 1])],
  Acos: [span([7, 22], "", [1, 1])],
  Acosh: [span([9, 22], "", [1, 1])],
  Add: [span([7, 13, 14], "", [2, 2])],
  And: [span([7], "", [2, 2])],
  ArgMax: [
    span([1, 11], "axis keepdims", [1, 1]),
    span([12, 13], "axis keepdims select_last_index", [1, 1]),
  ],
  ArgMin: [
    span([1, 11], "axis keepdims", [1, 1]),
    span([12, 13], "axis keepdims select_last_index", [1, 1]),
  ],
  Asin: [span([7, 22], "", [1, 1])],
  Asinh: [span([9, 22], "", [1, 1])],
  Atan: [span([7, 22], "", [1, 1])],
  Atanh: [span([9, 22], "", [1, 1])],
  Attention: [
    span([23], "is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision", [3, 6], 4),
    span([24], "is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision", [3, 7], 4),
    span([25], "is_causal kv_num_heads left_window_size q_num_heads qk_matmul_output_mode right_window_size scale softcap softmax_precision", [3, 7], 4),
  ],
  AveragePool: [
    span([7], "auto_pad count_include_pad kernel_shape pads strides", [1, 1]),
    span([10, 11], "auto_pad ceil_mode count_include_pad kernel_shape pads strides", [1, 1]),
    span([19, 22], "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides", [1, 1]),
  ],
  BatchNormalization: [
    span([7], "epsilon momentum spatial", [5, 5], 5),
    span([9], "epsilon momentum", [5, 5], 5),
    span([14, 15], "epsilon momentum training_mode", [5, 5], 3),
  ],
  BitShift: [span([11, 28], "direction", [2, 2])],
  BitwiseAnd: [span([18], "", [2, 2])],
  BitwiseNot: [span([18], "", [1, 1])],
  BitwiseOr: [span([18], "", [2, 2])],
  BitwiseXor: [span([18], "", [2, 2])],
  Cast: [
    span([6, 9, 13], "to", [1, 1]),
    span([19, 21, 23], "saturate to", [1, 1]),
    span([24, 25, 28], "round_mode saturate to", [1, 1]),
  ],
  CastLike: [
    span([15], "", [2, 2]),
    span([19, 21, 23], "saturate", [2, 2]),
    span([24, 25], "round_mode saturate", [2, 2]),
  ],
  Ceil: [span([6, 13], "", [1, 1])],
  Celu: [span([12, 28], "alpha", [1, 1])],
  Clip: [
    span([6], "max min", [1, 1]),
    span([11, 12, 13], "", [1, 3]),
  ],
  Concat: [span([4, 11, 13], "axis", [1, any])],
  Constant: [
    span([1, 9], "value", [0, 0]),
    span([11], "sparse_value value", [0, 0]),
    span([12, 13, 19, 21, 23, 24, 25], "sparse_value value value_float value_floats value_int value_ints value_string value_strings", [0, 0]),
  ],
  ConstantOfShape: [span([9, 20, 21, 23, 24, 25], "value", [1, 1])],
  Conv: [span([1, 11, 22], "auto_pad dilations group kernel_shape pads strides", [2, 3])],
  ConvTranspose: [span([1, 11, 22], "auto_pad dilations group kernel_shape output_padding output_shape pads strides", [2, 3])],
  Cos: [span([7, 22], "", [1, 1])],
  Cosh: [span([9, 22], "", [1, 1])],
  CumSum: [span([11, 14], "exclusive reverse", [2, 2])],
  DepthToSpace: [
    span([1], "blocksize", [1, 1]),
    span([11, 13, 28], "blocksize mode", [1, 1]),
  ],
  Div: [span([7, 13, 14], "", [2, 2])],
  Dropout: [
    span([7, 10], "ratio", [1, 1], 2),
    span([12, 13, 22], "seed", [1, 3], 2),
  ],
  Einsum: [span([12, 28], "equation", [1, any])],
  Elu: [span([6, 22], "alpha", [1, 1])],
  Equal: [span([7, 11, 13, 19], "", [2, 2])],
  Erf: [span([9, 13], "", [1, 1])],
  Exp: [span([6, 13], "", [1, 1])],
  Expand: [span([8, 13], "", [2, 2])],
  EyeLike: [span([9, 22], "dtype k", [1, 1])],
  Flatten: [span([1, 9, 11, 13, 21, 23, 24, 25], "axis", [1, 1])],
  Floor: [span([6, 13], "", [1, 1])],
  GRU: [
    span([7], "activation_alpha activation_beta activations clip direction hidden_size linear_before_reset", [3, 6], 2),
    span([14, 22], "activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset", [3, 6], 2),
  ],
  Gather: [span([1, 11, 13], "axis", [2, 2])],
  GatherElements: [span([11, 13], "axis", [2, 2])],
  GatherND: [
    span([11], "", [2, 2]),
    span([12, 13], "batch_dims", [2, 2]),
  ],
  Gelu: [span([20], "approximate", [1, 1])],
  Gemm: [
    span([7, 9], "alpha beta transA transB", [3, 3]),
    span([11, 13], "alpha beta transA transB", [2, 3]),
  ],
  GlobalAveragePool: [span([1, 22], "", [1, 1])],
  GlobalLpPool: [span([2, 22], "p", [1, 1])],
  GlobalMaxPool: [span([1, 22], "", [1, 1])],
  Greater: [span([7, 9, 13], "", [2, 2])],
  GreaterOrEqual: [span([12, 16], "", [2, 2])],
  GroupNormalization: [
    span([18], "epsilon num_groups", [3, 3]),
    span([21], "epsilon num_groups stash_type", [3, 3]),
  ],
  HardSigmoid: [span([6, 22], "alpha beta", [1, 1])],
  HardSwish: [span([14, 22], "", [1, 1])],
  Hardmax: [span([1, 11, 13], "axis", [1, 1])],
  Identity: [span([1, 13, 14, 16, 19, 21, 23, 24, 25], "", [1, 1])],
  If: [span([1, 11, 13, 16, 19, 21, 23, 24, 25], "else_branch then_branch", [1, 1], any)],
  InstanceNormalization: [span([6, 22], "epsilon", [3, 3])],
  IsInf: [span([10, 20], "detect_negative detect_positive", [1, 1])],
  IsNaN: [span([9, 13, 20], "", [1, 1])],
  LRN: [span([1, 13], "alpha beta bias size", [1, 1])],
  LSTM: [
    span([7], "activation_alpha activation_beta activations clip direction hidden_size input_forget", [3, 8], 3),
    span([14, 22], "activation_alpha activation_beta activations clip direction hidden_size input_forget layout", [3, 8], 3),
  ],
  LayerNormalization: [span([17], "axis epsilon stash_type", [2, 3], 3)],
  LeakyRelu: [span([6, 16], "alpha", [1, 1])],
  Less: [span([7, 9, 13], "", [2, 2])],
  LessOrEqual: [span([12, 16], "", [2, 2])],
  Log: [span([6, 13], "", [1, 1])],
  LogSoftmax: [span([1, 11, 13], "axis", [1, 1])],
  Loop: [span([1, 11, 13, 16, 19, 21, 23, 24, 25], "body", [2, any], any)],
  LpNormalization: [span([1, 22], "axis p", [1, 1])],
  LpPool: [
    span([2, 11], "auto_pad kernel_shape p pads strides", [1, 1]),
    span([18, 22], "auto_pad ceil_mode dilations kernel_shape p pads strides", [1, 1]),
  ],
  MatMul: [span([1, 9, 13], "", [2, 2])],
  Max: [span([6, 8, 12, 13], "", [1, any])],
  MaxPool: [
    span([1], "auto_pad kernel_shape pads strides", [1, 1]),
    span([8], "auto_pad kernel_shape pads storage_order strides", [1, 1], 2),
    span([10, 11, 12, 22], "auto_pad ceil_mode dilations kernel_shape pads storage_order strides", [1, 1], 2),
  ],
  Mean: [span([6, 8, 13], "", [1, any])],
  MeanVarianceNormalization: [span([9, 13], "axes", [1, 1])],
  Min: [span([6, 8, 12, 13], "", [1, any])],
  Mish: [span([18, 22], "", [1, 1])],
  Mod: [span([10, 13, 28], "fmod", [2, 2])],
  Mul: [span([7, 13, 14], "", [2, 2])],
  Neg: [span([6, 13], "", [1, 1])],
  NegativeLogLikelihoodLoss: [span([12, 13, 22], "ignore_index reduction", [2, 3])],
  Not: [span([1], "", [1, 1])],
  OneHot: [span([9, 11, 28], "axis", [3, 3])],
  Or: [span([7], "", [2, 2])],
  PRelu: [span([7, 9, 16], "", [2, 2])],
  Pad: [
    span([2], "mode pads value", [1, 1]),
    span([11, 13], "mode", [2, 3]),
    span([18, 19, 21, 23, 24, 25], "mode", [2, 4]),
  ],
  Pow: [span([7, 12, 13, 15], "", [2, 2])],
  RMSNormalization: [span([23], "axis epsilon stash_type", [2, 2])],
  RNN: [
    span([7], "activation_alpha activation_beta activations clip direction hidden_size", [3, 6], 2),
    span([14, 22], "activation_alpha activation_beta activations clip direction hidden_size layout", [3, 6], 2),
  ],
  Range: [
    span([11], "", [3, 3]),
    span([27], "stash_type", [3, 3]),
  ],
  Reciprocal: [span([6, 13], "", [1, 1])],
  ReduceL1: [
    span([1, 11, 13], "axes keepdims", [1, 1]),
    span([18], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceL2: [
    span([1, 11, 13], "axes keepdims", [1, 1]),
    span([18], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceLogSum: [
    span([1, 11, 13], "axes keepdims", [1, 1]),
    span([18, 28], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceLogSumExp: [
    span([1, 11, 13], "axes keepdims", [1, 1]),
    span([18, 28], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceMax: [
    span([1, 11, 12, 13], "axes keepdims", [1, 1]),
    span([18, 20], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceMean: [
    span([1, 11, 13], "axes keepdims", [1, 1]),
    span([18], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceMin: [
    span([1, 11, 12, 13], "axes keepdims", [1, 1]),
    span([18, 20], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceProd: [
    span([1, 11, 13], "axes keepdims", [1, 1]),
    span([18], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceSum: [
    span([1, 11], "axes keepdims", [1, 1]),
    span([13], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  ReduceSumSquare: [
    span([1, 11, 13], "axes keepdims", [1, 1]),
    span([18], "keepdims noop_with_empty_axes", [1, 2]),
  ],
  Relu: [span([6, 13, 14], "", [1, 1])],
  Reshape: [
    span([5, 13], "", [2, 2]),
    span([14, 19, 21, 23, 24, 25], "allowzero", [2, 2]),
  ],
  Resize: [
    span([10], "mode", [2, 2]),
    span([11], "coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value mode nearest_mode", [3, 4]),
    span([13], "coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value mode nearest_mode", [1, 4]),
    span([18, 19], "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value keep_aspect_ratio_policy mode nearest_mode", [1, 4]),
  ],
  ReverseSequence: [span([10, 28], "batch_axis time_axis", [2, 2])],
  RotaryEmbedding: [span([23], "interleaved num_heads rotary_embedding_dim", [3, 4])],
  Round: [span([11, 22], "", [1, 1])],
  Scan: [
    span([9, 11, 16, 19, 21, 23, 24, 25], "body num_scan_inputs scan_input_axes scan_input_directions scan_output_axes scan_output_directions", [1, any], any),
  ],
  Scatter: [span([9, 11], "axis", [3, 3])],
  ScatterElements: [
    span([11, 13], "axis", [3, 3]),
    span([16, 18], "axis reduction", [3, 3]),
  ],
  ScatterND: [
    span([11, 13], "", [3, 3]),
    span([16, 18], "reduction", [3, 3]),
  ],
  Selu: [span([6, 22], "alpha gamma", [1, 1])],
  Shape: [
    span([1, 13], "", [1, 1]),
    span([15, 19, 21, 23, 24, 25], "end start", [1, 1]),
  ],
  Shrink: [span([9], "bias lambd", [1, 1])],
  Sigmoid: [span([6, 13], "", [1, 1])],
  Sign: [span([9, 13], "", [1, 1])],
  Sin: [span([7, 22], "", [1, 1])],
  Sinh: [span([9, 22], "", [1, 1])],
  Size: [span([1, 13, 19, 21, 23, 24, 25], "", [1, 1])],
  Slice: [
    span([1], "axes ends starts", [1, 1]),
    span([10, 11, 13], "", [3, 5]),
  ],
  Softmax: [span([1, 11, 13], "axis", [1, 1])],
  SoftmaxCrossEntropyLoss: [span([12, 13], "ignore_index reduction", [2, 3], 2)],
  Softplus: [span([1, 22], "", [1, 1])],
  Softsign: [span([1, 22], "", [1, 1])],
  SpaceToDepth: [
    span([1, 13], "blocksize", [1, 1]),
    span([28], "blocksize mode", [1, 1]),
  ],
  Split: [
    span([2, 11], "axis split", [1, 1], any),
    span([13], "axis", [1, 2], any),
    span([18], "axis num_outputs", [1, 2], any),
  ],
  Sqrt: [span([6, 13], "", [1, 1])],
  Squeeze: [
    span([1, 11], "axes", [1, 1]),
    span([13, 21, 23, 24, 25], "", [1, 2]),
  ],
  Sub: [span([7, 13, 14], "", [2, 2])],
  Sum: [span([6, 8, 13], "", [1, any])],
  SwiGLU: [span([28], "alpha", [2, 2])],
  Swish: [span([24], "alpha", [1, 1])],
  Tan: [span([7, 22], "", [1, 1])],
  Tanh: [span([6, 13], "", [1, 1])],
  ThresholdedRelu: [span([10, 22], "alpha", [1, 1])],
  Tile: [span([6, 13], "", [2, 2])],
  TopK: [
    span([1], "axis k", [1, 1], 2),
    span([10], "axis", [2, 2], 2),
    span([11, 24], "axis largest sorted", [2, 2], 2),
  ],
  Transpose: [span([1, 13, 21, 23, 24, 25], "perm", [1, 1])],
  Trilu: [span([14], "upper", [1, 2])],
  Unsqueeze: [
    span([1, 11], "axes", [1, 1]),
    span([13, 21, 23, 24, 25], "", [2, 2]),
  ],
  Upsample: [
    span([7], "mode scales", [1, 1]),
    span([9, 10], "mode", [2, 2]),
  ],
  Where: [span([9, 16], "", [3, 3])],
  Xor: [span([7], "", [2, 2])],
};
