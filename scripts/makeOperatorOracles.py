"""Makes test/golden/operatorOracles.json: loss, gradient and Gauss-Newton product of one tiny network for every operator, by JAX in float64.

    python -m venv venv && venv/bin/pip install onnx==1.23.2 "jax[cpu]==0.10.2" && venv/bin/python scripts/makeOperatorOracles.py

A network is operator -> reshape to [rows, numbers] -> projection to three scores. The operator's first operand is mostly data + parameter, the
others are parameters. Everything but the ONNX file is stated twice: the model is built from the operator's name and attributes, the oracle from
a function of JAX (operatorForwards.py); the reference evaluator of ONNX checks that both mean the same. Nothing here calls Systole.

The direction of the product is a rule (`direction`) that the test states again. Arrays are little-endian, in base64.
"""

import base64
import json
import pathlib
import zlib

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import onnx
from jax import nn
from jax.scipy import special
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import operatorForwards as f

TARGET = pathlib.Path(__file__).resolve().parent.parent / "test/golden/operatorOracles.json"
SCORES = 3


class Sum:
    """Data plus a parameter; both so small or large that the sum lies between the bounds."""

    def __init__(self, *shape, span=(-1.5, 1.5)):
        self.shape, self.span = shape, span


class Parameter:
    def __init__(self, *shape, span=(-1.0, 1.0)):
        self.shape, self.span = shape, span


class Held(Parameter):
    """A float initializer that the model itself holds fixed: a running statistic."""


class Data:
    """Integers that are an input of the network."""

    def __init__(self, *values):
        self.values = np.array(values, np.int64)


def longs(*values):
    return np.array(values, np.int64)


CASES = []

# Cases that the reference evaluator of ONNX 1.23 cannot run or gets wrong; the evaluator of Systole is the second witness there.
UNCHECKED = {
    "ConvTranspose 2D, two groups",  # Fails on more than one group.
    "GlobalLpPool",  # Not there.
    "Pad by negative amounts",  # Fails.
    "LpNormalization 1",  # Takes no absolute values.
}


def case(name, forward, *operands, opset=22, outputs=1, **attributes):
    """`name` begins with the operator; `forward` gets the operands that are there."""
    CASES.append((name, forward, operands, opset, outputs, attributes))


def unary(operator, forward, span=(-1.5, 1.5), note="", **attributes):
    case(operator + note, forward, Sum(2, 4, span=span), **attributes)


# Elementwise, one operand.
unary("Abs", jnp.abs)
unary("Acos", jnp.arccos, (-0.8, 0.8))
unary("Acosh", jnp.arccosh, (1.3, 3.0))
unary("Asin", jnp.arcsin, (-0.8, 0.8))
unary("Asinh", jnp.arcsinh)
unary("Atan", jnp.arctan)
unary("Atanh", jnp.arctanh, (-0.8, 0.8))
unary("Ceil", jnp.ceil, (-3.0, 3.0))
unary("Celu", lambda x: nn.celu(x, 0.5), alpha=0.5)
unary("Cos", jnp.cos)
unary("Cosh", jnp.cosh)
unary("Dropout", lambda x: x)
unary("Elu", lambda x: nn.elu(x, 0.75), alpha=0.75)
unary("Erf", special.erf)
unary("Exp", jnp.exp)
unary("Floor", jnp.floor, (-3.0, 3.0))
unary("Gelu", lambda x: x * special.ndtr(x))
unary("Gelu", lambda x: nn.gelu(x, approximate=True), note=" tanh", approximate="tanh")
unary("HardSigmoid", lambda x: jnp.clip(0.25 * x + 0.5, 0, 1), (-4.0, 4.0), alpha=0.25)
unary("HardSwish", lambda x: x * jnp.clip(x / 6 + 0.5, 0, 1), (-5.0, 5.0))
unary("Identity", lambda x: x)
unary("LeakyRelu", lambda x: jnp.where(x < 0, 0.125 * x, x), alpha=0.125)
unary("Log", jnp.log, (0.3, 3.0))
unary("Mish", lambda x: x * jnp.tanh(nn.softplus(x)), (-3.0, 3.0))
unary("Neg", lambda x: -x)
unary("Reciprocal", lambda x: 1 / x, (0.4, 2.0))
unary("Relu", nn.relu)
unary("Round", jnp.round, (-3.0, 3.0))
unary("Selu", lambda x: np.float64(np.float32(1.05070102214813232421875)) * jnp.where(x > 0, x, np.float64(np.float32(1.67326319217681884765625)) * jnp.expm1(x)))
unary("Shrink", lambda x: jnp.where(x < -0.5, x + 0.25, jnp.where(x > 0.5, x - 0.25, 0.0)), bias=0.25, lambd=0.5)
unary("Sigmoid", nn.sigmoid, (-3.0, 3.0))
unary("Sign", jnp.sign)
unary("Sin", jnp.sin)
unary("Sinh", jnp.sinh)
unary("Softplus", nn.softplus, (-3.0, 3.0))
unary("Softsign", lambda x: x / (1 + jnp.abs(x)))
unary("Sqrt", jnp.sqrt, (0.2, 3.0))
unary("Swish", lambda x: x * nn.sigmoid(0.5 * x), opset=24, alpha=0.5)
unary("Tan", jnp.tan, (-1.0, 1.0))
unary("Tanh", jnp.tanh)
unary("ThresholdedRelu", lambda x: jnp.where(x > 0.25, x, 0.0), alpha=0.25)

# Elementwise, several operands.
case("Add broadcast", jnp.add, Sum(2, 3, 2), Parameter(3, 1))
case("Sub broadcast", jnp.subtract, Parameter(3, 1), Sum(2, 3, 2))
case("Mul broadcast", jnp.multiply, Sum(2, 3, 2), Parameter(2))
case("Mul of a value with itself", lambda x: x * x, Sum(2, 4), same=True)
case("Div broadcast", jnp.divide, Sum(2, 3, 2), Parameter(1, 3, 1, span=(0.5, 2.0)))
case("Pow with a trained exponent", jnp.power, Sum(2, 3, 2, span=(0.3, 2.0)), Parameter(3, 1, span=(-2.0, 2.0)))
case("Pow 3 of negative numbers", lambda x, n: x**3, Sum(2, 4), longs(3))
case("Mod fmod", jnp.fmod, Sum(2, 4, span=(-3.0, 3.0)), Parameter(4, span=(0.7, 1.1)), fmod=1)
case("PRelu", lambda x, s: jnp.where(x < 0, s * x, x), Sum(2, 3, 2), Parameter(3, 1))
case("Max of three", lambda a, b, c: jnp.maximum(jnp.maximum(a, b), c), Sum(2, 4), Parameter(2, 4), Parameter(4))
case("Min of two", jnp.minimum, Sum(2, 4), Parameter(4))
case("Mean of three", lambda a, b, c: (a + b + c) / 3, Sum(2, 4), Parameter(4), Parameter(1))
case("Sum of three", lambda a, b, c: a + b + c, Sum(2, 4), Parameter(4), Parameter(1))
case("Where", jnp.where, np.array([[True, False, True], [False, False, True]]), Sum(2, 3), Parameter(3))
case("Clip with trained bounds", lambda x, low, high: jnp.minimum(jnp.maximum(x, low), high), Sum(2, 6), Parameter(span=(-0.6, -0.4)), Parameter(span=(0.3, 0.5)))

# Contractions.
case("Gemm", lambda a, b, c: f.gemm(a, b, c, 0.5, 0.25, False, False), Sum(2, 3), Parameter(3, 4), Parameter(4), alpha=0.5, beta=0.25)
case("Gemm transposed", lambda a, b, c: f.gemm(a, b, c, 1, 1, True, True), Sum(3, 2), Parameter(4, 3), Parameter(2, 1), transA=1, transB=1)
case("MatMul", jnp.matmul, Sum(2, 3), Parameter(3, 4))
case("MatMul batched", jnp.matmul, Sum(2, 1, 2, 3), Parameter(2, 3, 2))
case("MatMul with a vector", jnp.matmul, Sum(2, 3, 4), Parameter(4))
case("MatMul from the left", jnp.matmul, Parameter(4, 2), Sum(2, 2, 3))
case("Einsum batched", lambda a, b: jnp.einsum("bij,bjk->bki", a, b), Sum(2, 2, 3), Parameter(2, 3, 2), equation="bij,bjk->bki")
case("Einsum of three", lambda a, b, c: jnp.einsum("bi,ij,bj->bj", a, b, c), Sum(2, 3), Parameter(3, 4), Parameter(2, 4), equation="bi,ij,bj->bj")
case("Einsum with a sum over one operand", lambda a, b: jnp.einsum("bik,j->bj", a, b), Sum(2, 2, 3), Parameter(4), equation="bik,j->bj")
case("Attention", f.attention, Sum(2, 1, 2, 3), Parameter(2, 1, 3, 3), Parameter(2, 1, 3, 2), opset=23)
conv = dict(strides=[2], pads=[1, 2], dilations=[2])
case("Conv 1D", lambda x, w, b: f.conv(x, w, b, **conv), Sum(2, 2, 7), Parameter(3, 2, 3), Parameter(3), **conv)
conv_2d = dict(strides=[2, 1], pads=[1, 0, 0, 1], dilations=[1, 2], group=2)
case("Conv 2D, two groups", lambda x, w, b: f.conv(x, w, b, **conv_2d), Sum(2, 4, 4, 4), Parameter(4, 2, 2, 2), Parameter(4), **conv_2d)
depthwise = dict(pads=[1, 1, 1, 1], group=3)
case("Conv 2D depthwise", lambda x, w: f.conv(x, w, **depthwise), Sum(2, 3, 2, 3), Parameter(3, 1, 3, 3), **depthwise)
case("Conv 2D, kernel 1, stride 2", lambda x, w: f.conv(x, w, strides=[2, 2]), Sum(2, 2, 4, 4), Parameter(3, 2, 1, 1), strides=[2, 2])
case("Conv 2D SAME_UPPER", lambda x, w: f.conv(x, w, strides=[2, 2], pads=[0, 0, 1, 1]), Sum(2, 1, 4, 4), Parameter(2, 1, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER")
conv_3d = dict(strides=[1, 2, 1], pads=[1, 0, 0, 0, 1, 1])
case("Conv 3D", lambda x, w, b: f.conv(x, w, b, **conv_3d), Sum(1, 2, 2, 3, 2), Parameter(2, 2, 2, 2, 2), Parameter(2), **conv_3d)
up_1d = dict(strides=[2], pads=[1, 0], output_padding=[1])
case("ConvTranspose 1D", lambda x, w, b: f.conv_transpose(x, w, b, **up_1d), Sum(2, 2, 3), Parameter(2, 2, 3), Parameter(2), **up_1d)
up_2d = dict(strides=[2, 1], pads=[1, 1, 1, 0], dilations=[1, 2], group=2)
case("ConvTranspose 2D, two groups", lambda x, w, b: f.conv_transpose(x, w, b, **up_2d), Sum(2, 4, 2, 2), Parameter(4, 1, 3, 2), Parameter(2), **up_2d)
case("ConvTranspose 3D", lambda x, w: f.conv_transpose(x, w, strides=[1, 2, 1]), Sum(1, 2, 1, 2, 2), Parameter(2, 1, 2, 2, 2), strides=[1, 2, 1])

# Windows.
case("MaxPool 1D", lambda x: f.max_pool(x, [3], strides=[2], pads=[1, 1]), Sum(2, 2, 7), kernel_shape=[3], strides=[2], pads=[1, 1])
case("MaxPool 2D, overlapping and dilated", lambda x: f.max_pool(x, [2, 2], dilations=[1, 2], pads=[0, 1, 1, 0]), Sum(2, 1, 4, 4), kernel_shape=[2, 2], dilations=[1, 2], pads=[0, 1, 1, 0])
case("MaxPool 3D, rounded up", lambda x: f.max_pool(x, [2, 2, 1], strides=[2, 2, 1], ceil=True), Sum(1, 2, 3, 3, 2), kernel_shape=[2, 2, 1], strides=[2, 2, 1], ceil_mode=1)
case("AveragePool without padding in the mean", lambda x: f.average_pool(x, [3, 2], strides=[2, 1], pads=[1, 0, 1, 1]), Sum(2, 1, 4, 3), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
case("AveragePool with padding in the mean", lambda x: f.average_pool(x, [2], strides=[2], pads=[1, 1], include_pad=True), Sum(2, 2, 6), kernel_shape=[2], strides=[2], pads=[1, 1], count_include_pad=1)
case("LpPool 2", lambda x: f.lp_pool(x, [2, 2], 2, strides=[1, 2]), Sum(2, 1, 3, 4), kernel_shape=[2, 2], strides=[1, 2])
case("LpPool 3", lambda x: f.lp_pool(x, [3], 3), Sum(2, 2, 5), kernel_shape=[3], p=3)
case("GlobalAveragePool", lambda x: x.mean((2, 3), keepdims=True), Sum(2, 4, 2, 3))
case("GlobalMaxPool", lambda x: x.max((2, 3), keepdims=True), Sum(2, 4, 2, 3))
case("GlobalLpPool", lambda x: jnp.sqrt((x * x).sum((2, 3), keepdims=True)), Sum(2, 4, 2, 2), p=2)

# Normalisation.
statistics = (Parameter(3), Parameter(3), Held(3), Held(3, span=(0.5, 1.5)))
case("BatchNormalization of inference", f.batch_normalization, Sum(2, 3, 3), *statistics)
case("BatchNormalization of training", f.batch_statistics, Sum(3, 3, 3), *statistics, outputs=(1, 3), training_mode=1)
case("InstanceNormalization", f.instance_normalization, Sum(2, 2, 2, 3), Parameter(2), Parameter(2))
case("GroupNormalization", lambda x, s, b: f.group_normalization(x, s, b, 2), Sum(2, 4, 3), Parameter(4), Parameter(4), opset=21, num_groups=2)
case("LayerNormalization of the last axis", f.layer_normalization, Sum(2, 2, 4), Parameter(4), Parameter(4))
case("LayerNormalization of two axes", lambda x, s, b: f.layer_normalization(x, s, b, 1), Sum(2, 2, 3), Parameter(2, 3), Parameter(2, 3), axis=1)
case("RMSNormalization", lambda x, s: s * x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5), Sum(2, 2, 4), Parameter(4), opset=23)
case("LRN", lambda x: f.local_response(x, 3, 0.5, 0.75, 1.0), Sum(4, 4, 1, 1), size=3, alpha=0.5, beta=0.75)
case("LpNormalization 1", lambda x: x / jnp.abs(x).sum(1, keepdims=True), Sum(2, 5), p=1, axis=1)
case("LpNormalization 2", lambda x: x / jnp.sqrt((x * x).sum(1, keepdims=True)), Sum(2, 5), p=2, axis=1)
case("MeanVarianceNormalization", lambda x: f.normalise(x, (0, 2, 3), 0.0), Sum(2, 2, 2, 2), axes=[0, 2, 3])
case("Softmax", lambda x: nn.softmax(x, -1), Sum(2, 5))
case("Softmax of an inner axis", lambda x: nn.softmax(x, 1), Sum(2, 3, 2), axis=1)
case("LogSoftmax", lambda x: nn.log_softmax(x, 1), Sum(2, 5), axis=1)
case("Hardmax", lambda x: nn.one_hot(x.argmax(1), x.shape[1], dtype=x.dtype), Sum(2, 5), axis=1)

# Reductions.
reductions = {
    "ReduceSum": jnp.sum,
    "ReduceMean": jnp.mean,
    "ReduceMax": jnp.max,
    "ReduceMin": jnp.min,
    "ReduceProd": jnp.prod,
    "ReduceL1": lambda x, axes, keepdims: jnp.abs(x).sum(axes, keepdims=keepdims),
    "ReduceL2": lambda x, axes, keepdims: jnp.sqrt((x * x).sum(axes, keepdims=keepdims)),
    "ReduceSumSquare": lambda x, axes, keepdims: (x * x).sum(axes, keepdims=keepdims),
    "ReduceLogSumExp": lambda x, axes, keepdims: special.logsumexp(x, axes, keepdims=keepdims),
}
for operator, reduction in reductions.items():
    case(operator, lambda x, axes, g=reduction: g(x, (1,), keepdims=False), Sum(2, 3, 2), longs(1), keepdims=0)
case("ReduceLogSum", lambda x, axes: jnp.log(x.sum((1, 2), keepdims=True)), Sum(2, 3, 2, span=(0.3, 2.0)), longs(1, 2))
case("ReduceMean of all", lambda x: x.mean(), Sum(2, 3, 2), keepdims=0)
case("CumSum", lambda x, axis: jnp.cumsum(x, 1), Sum(2, 4), np.array(1, np.int64))
case("CumSum exclusive and reverse", lambda x, axis: jnp.cumsum(x[:, ::-1], 1)[:, ::-1] - x, Sum(2, 4), np.array(1, np.int64), exclusive=1, reverse=1)

# Movement.
case("Concat", lambda *parts: jnp.concatenate(parts, 1), Sum(2, 2, 2), Parameter(2, 1, 2), Parameter(2, 2, 2), axis=1)
case("DepthToSpace DCR", lambda x: f.depth_to_space(x, 2, "DCR"), Sum(2, 4, 1, 2), blocksize=2)
case("DepthToSpace CRD", lambda x: f.depth_to_space(x, 2, "CRD"), Sum(2, 4, 1, 2), blocksize=2, mode="CRD")
case("SpaceToDepth", lambda x: f.space_to_depth(x, 2), Sum(2, 1, 2, 4), blocksize=2)
case("Expand", lambda x, shape: jnp.broadcast_to(x, (2, 3, 2)), Sum(3, 1), longs(2, 3, 2))
case("Flatten", lambda x: x.reshape(2, -1), Sum(2, 3, 2))
case("Gather of embedding rows, one twice", lambda table, rows: table[rows], Parameter(5, 3), Data([1, 3], [3, -1]))
case("Gather along an inner axis", lambda x, i: jnp.take(x, i, 1), Sum(2, 4, 2), longs(2, 0, 2), axis=1)
case("GatherElements", lambda x, i: jnp.take_along_axis(x, i, 1), Sum(2, 4), longs([0, 3, 3], [2, 1, 1]), axis=1)
case("GatherND", lambda x, i: x[i[:, 0], i[:, 1]], Sum(2, 3, 2), longs([1, 2], [0, 1], [1, 2]))
case("ScatterElements", lambda x, i, u: x.at[np.arange(2)[:, None], i].set(u), Sum(2, 4), longs([0, 3], [2, 1]), Parameter(2, 2), axis=1)
case("ScatterElements add", lambda x, i, u: x.at[np.arange(2)[:, None], i].add(u), Sum(2, 4), longs([0, 0], [2, 1]), Parameter(2, 2), axis=1, reduction="add")
case("ScatterElements mul", lambda x, i, u: x.at[np.arange(2)[:, None], i].multiply(u, unique_indices=True), Sum(2, 4), longs([0, 3], [2, 1]), Parameter(2, 2), axis=1, reduction="mul")
case("ScatterElements max", lambda x, i, u: x.at[np.arange(2)[:, None], i].set(jnp.maximum(jnp.take_along_axis(x, i, 1), u)), Sum(2, 4), longs([0, 3], [2, 1]), Parameter(2, 2), axis=1, reduction="max")
case("ScatterND", lambda x, i, u: x.at[i[:, 0]].set(u), Sum(3, 3), longs([2], [0]), Parameter(2, 3))
case("ScatterND add", lambda x, i, u: x.at[i[:, 0]].add(u), Sum(3, 3), longs([2], [2]), Parameter(2, 3), reduction="add")
case("Pad with a trained value", lambda x, pads, value: jnp.pad(x, ((0, 0), (1, 2)), constant_values=value), Sum(2, 3), longs(0, 1, 0, 2), Parameter())
case("Pad by negative amounts", lambda x, pads: jnp.pad(x[:, 1:], ((0, 0), (0, 1))), Sum(2, 4), longs(0, -1, 0, 1))
case("Pad reflect", lambda x, pads: jnp.pad(x, ((0, 0), (2, 1)), mode="reflect"), Sum(2, 4), longs(0, 2, 0, 1), mode="reflect")
case("Pad edge", lambda x, pads: jnp.pad(x, ((0, 0), (2, 1)), mode="edge"), Sum(2, 3), longs(0, 2, 0, 1), mode="edge")
case("Pad wrap", lambda x, pads: jnp.pad(x, ((0, 0), (2, 1)), mode="wrap"), Sum(2, 4), longs(0, 2, 0, 1), mode="wrap")
case("Reshape", lambda x, shape: x.reshape(2, 6), Sum(3, 2, 2), longs(2, -1))
case("Resize nearest", lambda x, sizes: f.resize(x, sizes, "nearest"), Sum(1, 2, 2, 3), None, None, longs(1, 2, 4, 5), mode="nearest")
case("Resize linear", lambda x, sizes: f.resize(x, sizes, "linear"), Sum(1, 2, 2, 3), None, None, longs(1, 2, 4, 5), mode="linear")
case("Resize linear, align_corners", lambda x, sizes: f.resize(x, sizes, "linear", "align_corners"), Sum(1, 2, 4, 3), None, None, longs(1, 2, 2, 5), mode="linear", coordinate_transformation_mode="align_corners")
case("Resize cubic", lambda x, sizes: f.resize(x, sizes, "cubic"), Sum(1, 1, 3, 4), None, None, longs(1, 1, 5, 4), mode="cubic")
case("ReverseSequence", f.reverse_sequence, Sum(3, 2, 2), longs(3, 2))
case("Slice with steps", lambda x, *rest: x[:, 4:0:-2, 1:], Sum(2, 5, 3), longs(4, 1), longs(0, 3), longs(1, 2), longs(-2, 1))
case("Split in uneven parts", lambda x, sizes: (x[:, :1], x[:, 1:]), Sum(2, 4, 2), longs(1, 3), outputs=2, axis=1)
case("Squeeze", lambda x, axes: x[:, 0], Sum(2, 1, 4), longs(1))
case("Unsqueeze", lambda x, axes: x[:, None], Sum(2, 4), longs(1))
case("Tile", lambda x, repeats: jnp.tile(x, (1, 2, 3)), Sum(2, 2, 1), longs(1, 2, 3))
case("TopK", lambda x, k: -jnp.sort(-x, 1)[:, :2], Sum(2, 5), longs(2), outputs=(1, 2))
case("Transpose", lambda x: x.transpose(2, 0, 1), Sum(2, 3, 2), perm=[2, 0, 1])
case("Trilu", lambda x: jnp.triu(x), Sum(2, 3, 3))

# Recurrence: time 3, batch 2, two inputs, two hidden numbers.
sequence = Sum(3, 2, 2)
case("RNN", f.rnn, sequence, Parameter(1, 2, 2), Parameter(1, 2, 2), Parameter(1, 4), hidden_size=2)
case("LSTM", f.lstm, sequence, Parameter(1, 8, 2), Parameter(1, 8, 2), Parameter(1, 16), hidden_size=2)
for late in (0, 1):
    case(f"GRU, linear_before_reset {late}", lambda *o, late=late: f.gru(*o, late), sequence, Parameter(1, 6, 2), Parameter(1, 6, 2), Parameter(1, 12), hidden_size=2, linear_before_reset=late)


def encoded(array):
    array = np.asarray(array)
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def direction(count):
    return ((7 * np.arange(count) + 3) % 11 - 5) / 4


def stored(array):
    return {"dtype": {"float32": "f32", "int64": "i64"}[str(array.dtype)], "shape": list(array.shape), "data": encoded(array)}


class Operands:
    """Draws the operands of one case, and names them: `w` is added to the input `x`, the others are `p1`, `p2`, ... by their places."""

    def __init__(self, case_name, operands):
        self.random = np.random.default_rng(zlib.crc32(case_name.encode()))
        self.inputs, self.parameters, self.constants, self.names, self.nodes = {}, {}, {}, [], []
        for place, operand in enumerate(operands):
            self.names.append(self.named(f"p{place}", operand))

    def draw(self, shape, low, high):
        return self.random.uniform(low, high, shape).astype(np.float32)

    def named(self, name, operand):
        if operand is None:
            return ""
        if isinstance(operand, Sum):
            low, high = operand.span
            quarter = (high - low) / 4
            self.inputs["x"] = self.draw(operand.shape, low + quarter, high - quarter)
            self.parameters["w"] = self.draw(operand.shape, -quarter, quarter)
            self.nodes.append(helper.make_node("Add", ["x", "w"], ["a"], name="sum"))
            return "a"
        if isinstance(operand, Data):
            self.inputs["rows"] = operand.values
            return "rows"
        if isinstance(operand, Held):
            self.constants[name] = self.draw(operand.shape, *operand.span)
        elif isinstance(operand, Parameter):
            self.parameters[name] = self.draw(operand.shape, *operand.span)
        else:
            self.constants[name] = operand
        return name

    def values(self, parameters):
        """The operands as the forward pass gets them."""
        known = {**self.inputs, **self.constants, **parameters}
        if "w" in parameters:
            known["a"] = known["x"] + known["w"]
        return [jnp.asarray(known[name], jnp.float64) if known[name].dtype.kind == "f" else known[name] for name in self.names if name]


def build(name, forward, operands, opset, outputs, attributes, loss):
    operator = name.replace(",", " ").split()[0]
    drawn = Operands(name, operands)
    twice = attributes.pop("same", False)
    seen, made = outputs if isinstance(outputs, tuple) else (outputs, outputs)

    def parts(parameters):
        y = forward(*drawn.values(parameters))
        return y if isinstance(y, tuple) else (y,)

    doubles = lambda: {key: value.astype(np.float64) for key, value in drawn.parameters.items()}
    shapes = [part.shape for part in parts(doubles())]
    rows = shapes[0][0] if shapes[0] else 1
    numbers = sum(int(np.prod(shape)) for shape in shapes) // rows
    drawn.parameters["projection"] = drawn.draw((numbers, SCORES), -1, 1)
    target = drawn.draw((rows, SCORES), -1, 1) if loss == "squared-error" else drawn.random.integers(0, SCORES, (rows,))

    def scores(parameters):
        flat = [part.reshape(rows, -1) for part in reversed(parts(parameters))]
        return jnp.concatenate(flat, 1) @ parameters["projection"]

    def loss_of(z):
        if loss == "squared-error":
            return 0.5 * ((z - target) ** 2).sum() / rows
        return -nn.log_softmax(z, 1)[np.arange(rows), target].mean()

    parameters = {key: jnp.asarray(value) for key, value in doubles().items()}
    whole = direction(sum(value.size for value in parameters.values()))
    v, at = {}, 0
    for key, value in parameters.items():
        v[key] = jnp.asarray(whole[at : at + value.size].reshape(value.shape))
        at += value.size
    z, jv = jax.jvp(scores, (parameters,), (v,))
    _, hjv = jax.jvp(jax.grad(loss_of), (z,), (jv,))
    _, pull = jax.vjp(scores, parameters)
    (gradient,), (product,) = pull(jax.grad(loss_of)(z)), pull(hjv)
    flat = lambda tree: np.concatenate([np.asarray(tree[key]).ravel() for key in parameters])
    if not (np.isfinite(flat(gradient)).all() and np.isfinite(flat(product)).all()):
        raise SystemExit(f"{name}: not finite")

    model = network(name, operator, drawn, twice, seen, made, opset, attributes, rows)
    if name not in UNCHECKED:
        check_forward(name, model, drawn.inputs, z)
    return {
        "name": name,
        "operator": operator,
        "loss": loss,
        "model": base64.b64encode(model.SerializeToString()).decode(),
        "inputs": {key: stored(value) for key, value in drawn.inputs.items()},
        "target": stored(target),
        "parameters": [[key, int(value.size)] for key, value in parameters.items()],
        "value": float(loss_of(z)),
        "gradient": encoded(flat(gradient)),
        "product": encoded(flat(product)),
    }


def check_forward(name, model, inputs, z):
    (evaluated,) = ReferenceEvaluator(model).run(None, inputs)
    if not np.allclose(evaluated, z, rtol=1e-4, atol=1e-5):
        raise SystemExit(f"{name}: the reference evaluator of ONNX gives\n{evaluated}\ninstead of\n{z}")


def network(name, operator, drawn, twice, seen, made, opset, attributes, rows):
    """The outputs of the operator, last first, as rows of numbers, times the projection."""
    ys = [f"y{i}" for i in range(made)]
    nodes = [*drawn.nodes, helper.make_node(operator, drawn.names * (2 if twice else 1), ys, name=name, **attributes)]
    for i in reversed(range(seen)):
        nodes.append(helper.make_node("Reshape", [f"y{i}", "rows_shape"], [f"f{i}"], name=f"flat{i}"))
    joined = "f0"
    if seen > 1:
        joined = "joined"
        nodes.append(helper.make_node("Concat", [f"f{i}" for i in reversed(range(seen))], [joined], name="join", axis=1))
    nodes.append(helper.make_node("MatMul", [joined, "projection"], ["z"], name="project"))
    arrays = {**drawn.parameters, **drawn.constants, "rows_shape": np.array([rows, -1], np.int64)}
    graph = helper.make_graph(
        nodes,
        operator,
        [helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape) for key, value in drawn.inputs.items()],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [rows, SCORES])],
        [numpy_helper.from_array(value, key) for key, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    losses = ["squared-error", "cross-entropy"]
    oracles = [build(*one, loss=losses[i % 2]) for i, one in enumerate(CASES)]
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in oracles)
    TARGET.write_text(f"[\n{lines}\n]\n")
    print(f"{len(oracles)} cases of {len({one['operator'] for one in oracles})} operators, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
