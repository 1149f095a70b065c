"""What the networks of networkModules.py compute at their scores, written down for JAX in float64: `p` holds parameters and buffers under PyTorch's names."""

import jax.numpy as jnp
import numpy as np
from jax import nn
from jax.scipy import special

import operatorForwards as f


def linear(p, name, x):
    bias = p.get(f"{name}.bias")
    y = x @ p[f"{name}.weight"].T
    return y if bias is None else y + bias


def conv(p, name, x, stride=1, pad=0, group=1):
    return f.conv(x, p[f"{name}.weight"], p.get(f"{name}.bias"), strides=[stride] * 2, pads=[pad] * 4, group=group)


def norm(p, name, x, training):
    """Batch normalisation by the running statistics, or by those of the batch; scale and shift may be missing."""
    scale, shift = p.get(f"{name}.weight", jnp.ones(x.shape[1])), p.get(f"{name}.bias", jnp.zeros(x.shape[1]))
    of = f.batch_statistics if training else f.batch_normalization
    return of(x, scale, shift, p[f"{name}.running_mean"], p[f"{name}.running_var"])


def conv_autoencoder(p, x):
    h = nn.relu(conv(p, "down.0", x, 2, 1))
    h = jnp.tanh(conv(p, "down.2", h, 2, 1, group=2))
    up = lambda name, h, extra, group: f.conv_transpose(h, p[f"{name}.weight"], p[f"{name}.bias"], strides=[2, 2], pads=[1] * 4, output_padding=[extra] * 2, group=group)
    return nn.sigmoid(up("up.2", nn.relu(up("up.0", h, 1, 2)), 0, 1))


def rnn_cell(x, h, w, r, b, c):
    return jnp.tanh(w @ x + b + r @ h + c)


def gru_cell(x, h, w, r, b, c):
    """The gates in PyTorch's order; the reset gate is applied after the product with the state."""
    (ir, iz, i_n), (hr, hz, hn) = jnp.split(w @ x + b, 3), jnp.split(r @ h + c, 3)
    z = nn.sigmoid(iz + hz)
    return (1 - z) * jnp.tanh(i_n + nn.sigmoid(ir + hr) * hn) + z * h


def gru_cell_reset_first(x, h, w, r, b, c):
    """The gates in the order of ONNX; the reset gate is applied to the state before the product."""
    (xz, xr, xh), (cz, cr, ch), (rz, rr, rh) = jnp.split(w @ x + b, 3), jnp.split(c, 3), jnp.split(r, 3)
    z, reset = nn.sigmoid(xz + rz @ h + cz), nn.sigmoid(xr + rr @ h + cr)
    return (1 - z) * jnp.tanh(xh + rh @ (reset * h) + ch) + z * h


def run(cell, steps, weights):
    """The states after each of the steps [time, batch, size]; each sample by itself, each cell on vectors."""
    hidden = weights[1].shape[1]
    batch = []
    for sample in range(steps.shape[1]):
        h, states = jnp.zeros(hidden), []
        for x in steps[:, sample]:
            h = cell(x, h, *weights)
            states.append(h)
        batch.append(jnp.stack(states))
    return jnp.stack(batch, 1)


def recurrent(p, x, cell, layers=1, bidirectional=False, batch_first=False):
    y = x.swapaxes(0, 1) if batch_first else x
    for layer in range(layers):
        weights = lambda tail: [p[f"r.{part}_l{layer}{tail}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        ways = [run(cell, y, weights(""))]
        if bidirectional:
            ways.append(run(cell, y[::-1], weights("_reverse"))[::-1])
        y = jnp.concatenate(ways, 2)
    return linear(p, "f", y[-1])


def keras_gru(p, x):
    ways = []
    for way, steps in enumerate((x, x[::-1])):
        b, c = jnp.split(p["bias"][way], 2)
        states = run(gru_cell_reset_first, steps, (p["kernel"][way], p["recurrent"][way], b, c))
        ways.append(states[::-1] if way else states)
    return jnp.concatenate(ways, 2).mean(0) @ p["dense"]


def mobile_net(p, x):
    six = lambda x: jnp.clip(x, 0, 6)
    h = six(norm(p, "stem.1", conv(p, "stem.0", x, 2, 1), False))
    for block, stride in (("blocks.0.conv", 1), ("blocks.1.conv", 2)):
        inputs = h
        h = six(norm(p, f"{block}.1", conv(p, f"{block}.0", h), False))
        h = six(norm(p, f"{block}.4", conv(p, f"{block}.3", h, stride, 1, group=h.shape[1]), False))
        h = norm(p, f"{block}.7", conv(p, f"{block}.6", h), False)
        if stride == 1:
            h = inputs + h
    return linear(p, "classifier.1", h.mean((2, 3)))


def resnet(p, x, blocks, training):
    h = nn.relu(norm(p, "b", conv(p, "c", x, 1, 1), training))
    for i in range(3 * blocks):
        stride = 2 if i in (blocks, 2 * blocks) else 1
        y = nn.relu(norm(p, f"l.{i}.b1", conv(p, f"l.{i}.c1", h, stride, 1), training))
        y = norm(p, f"l.{i}.b2", conv(p, f"l.{i}.c2", y, 1, 1), training)
        if f"l.{i}.sc.weight" in p:
            h = conv(p, f"l.{i}.sc", h, stride)
        elif stride == 2:
            fresh = y.shape[1] - h.shape[1]
            h = jnp.pad(h[:, :, ::2, ::2], [(0, 0), (fresh // 2, fresh - fresh // 2), (0, 0), (0, 0)])
        h = nn.relu(y + h)
    return linear(p, "f", h.mean((2, 3)))


def normalised_mlp(p, x):
    h = nn.relu(norm(p, "1", linear(p, "0", x), True))
    return linear(p, "6", jnp.tanh(norm(p, "4", linear(p, "3", h), True)))


def normalised_cnn(p, x):
    h = f.max_pool(nn.relu(norm(p, "1", conv(p, "0", x, 1, 1), True)), [2, 2], strides=[2, 2])
    h = nn.relu(norm(p, "5", conv(p, "4", h), True))
    return linear(p, "8", h.reshape(h.shape[0], -1))


def autoencoder(p, x):
    """Up to the scores: without the last logistic function."""
    names = sorted((name.removesuffix(".weight") for name in p if name.endswith(".weight")), key=int)
    for i, name in enumerate(names):
        x = linear(p, name, x)
        if i + 1 not in (len(names) // 2, len(names)):
            x = nn.sigmoid(x)
    return x


def gelu_tanh(x):
    return 0.5 * x * (1 + jnp.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gpt(p, tokens, heads, layers):
    length = tokens.shape[1]
    layer_norm = lambda name, x: f.layer_normalization(x, p[f"{name}.weight"], p[f"{name}.bias"])
    embedding = p["wte.weight"]
    x = embedding[tokens] + p["wpe.weight"][:length]
    for i in range(layers):
        q, k, v = jnp.split(linear(p, f"h.{i}.c_attn", layer_norm(f"h.{i}.ln_1", x)), 3, -1)
        size = q.shape[-1] // heads
        outs = []
        for head in range(heads):
            qh, kh, vh = (one[..., head * size : (head + 1) * size] for one in (q, k, v))
            scores = jnp.einsum("btd,bsd->bts", qh, kh) / np.sqrt(size)
            outs.append(nn.softmax(jnp.where(np.tri(length, dtype=bool), scores, -jnp.inf), -1) @ vh)
        x = x + linear(p, f"h.{i}.c_proj", jnp.concatenate(outs, -1))
        x = x + linear(p, f"h.{i}.proj", gelu_tanh(linear(p, f"h.{i}.fc", layer_norm(f"h.{i}.ln_2", x))))
    return layer_norm("ln_f", x) @ embedding.T


def unet(p, x, bilinear):
    a = conv(p, "a", x, 1, 1)
    a = jnp.where(a < 0, 0.1 * a, a)
    b = f.group_normalization(conv(p, "b", f.max_pool(a, [2, 2], strides=[2, 2]), 1, 1), p["n.weight"], p["n.bias"], 2)
    b = b * nn.sigmoid(b)
    up = f.resize(b, (*b.shape[:2], *a.shape[2:]), "linear", "align_corners") if bilinear else b.repeat(2, 2).repeat(2, 3)
    return conv(p, "d", nn.elu(conv(p, "c", jnp.concatenate([up, a], 1), 1, 1)))
