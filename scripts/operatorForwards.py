"""What the operators compute, written down for JAX in float64 from the definitions of ONNX: the oracle's own forward pass.

Operators that are one function of JAX stand in the table of makeOperatorOracles.py; here are those that need more lines.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def conv(x, w, b=None, strides=None, pads=None, dilations=None, group=1):
    spatial = x.ndim - 2
    strides, dilations, pads = strides or [1] * spatial, dilations or [1] * spatial, pads or [0] * 2 * spatial
    y = lax.conv_general_dilated(x, w, strides, list(zip(pads[:spatial], pads[spatial:])), rhs_dilation=dilations, feature_group_count=group)
    return y if b is None else y + b.reshape((1, -1) + (1,) * spatial)


def conv_transpose(x, w, b=None, strides=None, pads=None, dilations=None, group=1, output_padding=None):
    """The transpose of the convolution that makes x's shape out of the result's."""
    spatial = x.ndim - 2
    s, d, p, extra = strides or [1] * spatial, dilations or [1] * spatial, pads or [0] * 2 * spatial, output_padding or [0] * spatial
    extents = [s[i] * (x.shape[2 + i] - 1) + extra[i] + d[i] * (w.shape[2 + i] - 1) + 1 - p[i] - p[spatial + i] for i in range(spatial)]
    shape = jax.ShapeDtypeStruct((x.shape[0], w.shape[1] * group, *extents), x.dtype)
    (y,) = jax.linear_transpose(lambda u: conv(u, w, None, s, p, d, group), shape)(x)
    return y if b is None else y + b.reshape((1, -1) + (1,) * spatial)


def windows(x, kernel, strides=None, pads=None, dilations=None, fill=0.0, ceil=False):
    """All taps of the windows, along a new first axis."""
    spatial = len(kernel)
    strides, dilations, pads = strides or [1] * spatial, dilations or [1] * spatial, pads or [0] * 2 * spatial
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    outs = []
    for i in range(spatial):
        room = x.shape[2 + i] + pads[i] + pads[spatial + i] - spans[i]
        outs.append((-(-room // strides[i]) if ceil else room // strides[i]) + 1)
    more = [max(0, (o - 1) * s + span - x.shape[2 + i] - pads[i]) for i, (o, s, span) in enumerate(zip(outs, strides, spans))]
    padded = jnp.pad(x, [(0, 0), (0, 0)] + [(pads[i], more[i]) for i in range(spatial)], constant_values=fill)
    taps = []
    for tap in itertools.product(*map(range, kernel)):
        cut = [slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilations, outs, strides)]
        taps.append(padded[(slice(None), slice(None), *cut)])
    return jnp.stack(taps)


def max_pool(x, kernel, ceil=False, **where):
    return windows(x, kernel, fill=-jnp.inf, ceil=ceil, **where).max(0)


def average_pool(x, kernel, include_pad=False, ceil=False, pads=None, **where):
    sums = windows(x, kernel, pads=pads, ceil=ceil, **where).sum(0)
    ones, counted = jnp.ones_like(x), pads
    if include_pad and pads:
        half = len(pads) // 2
        ones, counted = jnp.pad(ones, [(0, 0), (0, 0)] + list(zip(pads[:half], pads[half:])), constant_values=1.0), None
    return sums / windows(ones, kernel, pads=counted, ceil=ceil, **where).sum(0)


def lp_pool(x, kernel, p, **where):
    return (jnp.abs(windows(x, kernel, **where)) ** p).sum(0) ** (1 / p)


def normalise(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / jnp.sqrt(x.var(axes, keepdims=True) + epsilon)


def per_channel(v, rank):
    return v.reshape((1, -1) + (1,) * (rank - 2))


def batch_normalization(x, scale, b, mean, var, epsilon=1e-5):
    s, o, m, v = (per_channel(one, x.ndim) for one in (scale, b, mean, var))
    return s * (x - m) / jnp.sqrt(v + epsilon) + o


def batch_statistics(x, scale, b, mean, var, epsilon=1e-5):
    axes = (0, *range(2, x.ndim))
    return per_channel(scale, x.ndim) * normalise(x, axes, epsilon) + per_channel(b, x.ndim)


def instance_normalization(x, scale, b, epsilon=1e-5):
    return per_channel(scale, x.ndim) * normalise(x, tuple(range(2, x.ndim)), epsilon) + per_channel(b, x.ndim)


def group_normalization(x, scale, b, groups, epsilon=1e-5):
    grouped = x.reshape(x.shape[0], groups, -1)
    return per_channel(scale, x.ndim) * normalise(grouped, (2,), epsilon).reshape(x.shape) + per_channel(b, x.ndim)


def layer_normalization(x, scale, b, axis=-1, epsilon=1e-5):
    return scale * normalise(x, tuple(range(axis % x.ndim, x.ndim)), epsilon) + b


def local_response(x, size, alpha, beta, bias):
    squares = jnp.pad(x * x, [(0, 0), ((size - 1) // 2, size // 2)] + [(0, 0)] * (x.ndim - 2))
    sums = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x / (bias + alpha / size * sums) ** beta


def gemm(a, b, c, alpha, beta, trans_a, trans_b):
    return alpha * (a.T if trans_a else a) @ (b.T if trans_b else b) + beta * c


def resize_matrix(size, out, mode, coordinates="half_pixel"):
    """The weights of all inputs in every output along one axis."""
    matrix = np.zeros((out, size))
    for o in range(out):
        x = o * (size - 1) / max(out - 1, 1) if coordinates == "align_corners" else (o + 0.5) * size / out - 0.5
        at = int(np.floor(x))
        t = x - at
        if mode == "nearest":
            weights = {int(np.floor(x)) if coordinates == "floor" else int(np.ceil(x - 0.5)): 1.0}
        elif mode == "linear":
            weights = {at: 1 - t, at + 1: t}
        else:
            c = -0.75
            near, far = lambda u: (c + 2) * u**3 - (c + 3) * u**2 + 1, lambda u: c * u**3 - 5 * c * u**2 + 8 * c * u - 4 * c
            weights = {at - 1: far(1 + t), at: near(t), at + 1: near(1 - t), at + 2: far(2 - t)}
        for i, weight in weights.items():
            matrix[o, min(max(i, 0), size - 1)] += weight
    return matrix


def resize(x, sizes, mode, coordinates="half_pixel"):
    for axis, out in enumerate(sizes):
        if out != x.shape[axis]:
            matrix = resize_matrix(x.shape[axis], int(out), mode, coordinates)
            x = jnp.moveaxis(jnp.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


def depth_to_space(x, block, mode):
    n, c, h, w = x.shape
    if mode == "DCR":
        y = x.reshape(n, block, block, c // block**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, c // block**2, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, c // block**2, h * block, w * block)


def space_to_depth(x, block):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // block, block, w // block, block).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * block**2, h // block, w // block)


def reverse_sequence(x, lengths):
    """Time is axis 0, the batch axis 1."""
    rows = np.arange(x.shape[0])[:, None]
    index = np.where(rows < lengths, lengths - 1 - rows, rows)
    return jnp.take_along_axis(x, index.reshape(index.shape + (1,) * (x.ndim - 2)), 0)


def attention(q, k, v):
    """Of shape [batch, heads, length, size]."""
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(q.shape[-1])
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, -1), v)


def rnn(x, w, r, b):
    hidden = r.shape[-1]
    h, states = jnp.zeros((x.shape[1], hidden)), []
    for step in x:
        h = jnp.tanh(step @ w[0].T + h @ r[0].T + b[0, :hidden] + b[0, hidden:])
        states.append(h)
    return jnp.stack(states)[:, None]


def lstm(x, w, r, b):
    hidden = r.shape[-1]
    h = c = jnp.zeros((x.shape[1], hidden))
    states = []
    for step in x:
        i, o, f, g = jnp.split(step @ w[0].T + h @ r[0].T + b[0, : 4 * hidden] + b[0, 4 * hidden :], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        states.append(h)
    return jnp.stack(states)[:, None]


def gru(x, w, r, b, linear_before_reset):
    hidden = r.shape[-1]
    h, states = jnp.zeros((x.shape[1], hidden)), []
    (wz, wr, wh), (rz, rr, rh) = jnp.split(w[0], 3), jnp.split(r[0], 3)
    bz, br, bh, cz, cr, ch = jnp.split(b[0], 6)
    for step in x:
        z = jax.nn.sigmoid(step @ wz.T + h @ rz.T + bz + cz)
        reset = jax.nn.sigmoid(step @ wr.T + h @ rr.T + br + cr)
        back = reset * (h @ rh.T + ch) if linear_before_reset else (reset * h) @ rh.T + ch
        h = (1 - z) * jnp.tanh(step @ wh.T + back + bh) + z * h
        states.append(h)
    return jnp.stack(states)[:, None]
