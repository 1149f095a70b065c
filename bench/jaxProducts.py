"""Host time of gradients and Gauss-Newton products by JAX in float32 on one thread, for the bench: `python jaxProducts.py FOLDER [--rounds N]`.

    python -m venv venv && venv/bin/pip install onnx==1.23.2 "jax[cpu]==0.10.2"
    SYSTOLE_JAX_PYTHON=venv/bin/python npm run bench

FOLDER holds model.onnx, test_data_set_0/input_0.pb, target.pb and oracle.npz. Of the model only the weights are read; the networks are stated again
below, under the folder's name. Prints one line of JSON: milliseconds and the error against the stored float64 values. Nothing here calls Systole.
"""

import argparse
import json
import os
import pathlib
import statistics
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["NPROC"] = "1"

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jax import lax, nn
from onnx import numpy_helper


def dense(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def convolution(p, name, x, padding):
    y = lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), [(padding, padding)] * 2, dimension_numbers=("NCHW", "OIHW", "NCHW"))
    return y + p[f"{name}.bias"][:, None, None]


def pool(x, start, combine):
    return lax.reduce_window(x, start, combine, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def normalise(p, name, x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def mlp(p, x):
    return dense(p, "2", nn.relu(dense(p, "0", x)))


def lenet(p, x):
    x = pool(jnp.tanh(convolution(p, "0", x, 2)), 0.0, lax.add) / 4
    x = pool(nn.relu(convolution(p, "3", x, 0)), -jnp.inf, lax.max)
    return dense(p, "9", nn.sigmoid(dense(p, "7", x.reshape(x.shape[0], -1))))


def encoder(p, x):
    x = normalise(p, "n0", p["e.weight"][x] + p["p"])
    batch, length, width = x.shape
    for layer in range(2):
        q, k, v = dense(p, f"q.{layer}", x).reshape(batch, length, 3, 4, width // 4).transpose(2, 0, 3, 1, 4)
        attention = nn.softmax(q @ k.swapaxes(-1, -2) / np.sqrt(np.float32(width // 4)))
        x = normalise(p, f"n1.{layer}", x + dense(p, f"o.{layer}", (attention @ v).transpose(0, 2, 1, 3).reshape(batch, length, width)))
        x = normalise(p, f"n2.{layer}", x + dense(p, f"b.{layer}", nn.gelu(dense(p, f"a.{layer}", x), approximate=False)))
    return dense(p, "f", x.mean(1))


NETWORKS = {"mlp_relu_784_64_10": mlp, "lenet_28": lenet, "encoder_L2_d32": encoder}


def programs(network):
    """Each takes parameters, data, class numbers and a direction; the network is run and linearized once."""

    def loss_at(target):
        return lambda scores: -jnp.take_along_axis(nn.log_softmax(scores), target[:, None], 1).mean()

    def gradient(p, x, target, _):
        return jax.value_and_grad(lambda q: loss_at(target)(network(q, x)))(p)

    def both(p, x, target, v):
        loss = loss_at(target)
        scores, forward = jax.linearize(lambda q: network(q, x), p)
        back = jax.linear_transpose(forward, p)
        slope, curved = jax.jvp(jax.grad(loss), (scores,), (forward(v),))
        return loss(scores), back(slope)[0], back(curved)[0]

    def product(p, x, target, v):
        scores, forward = jax.linearize(lambda q: network(q, x), p)
        return jax.linear_transpose(forward, p)(jax.jvp(jax.grad(loss_at(target)), (scores,), (forward(v),))[1])[0]

    return {"gradient": gradient, "both": both, "product": product}


def relative_error(found, stored, kind):
    wrong = sum(float(((np.asarray(found[n], np.float64) - stored[kind + n]) ** 2).sum()) for n in found)
    return (wrong / sum(float((stored[kind + n].astype(np.float64) ** 2).sum()) for n in found)) ** 0.5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=51)
    options = parser.parse_args()
    folder = options.folder
    read = lambda path: numpy_helper.to_array(onnx.load_tensor(folder / path))
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(folder / "model.onnx").graph.initializer}
    stored = np.load(folder / "oracle.npz")
    p = {name[2:]: jnp.asarray(weights[name[2:]]) for name in stored.files if name.startswith("g/")}
    v = {name: jnp.asarray(stored["v/" + name], jnp.float32) for name in p}
    data = (p, jnp.asarray(read("test_data_set_0/input_0.pb")), jnp.asarray(read("target.pb")), v)
    compiled = {name: jax.jit(f) for name, f in programs(NETWORKS[folder.name]).items()}
    results = {name: jax.block_until_ready(f(*data)) for name, f in compiled.items()}
    times = {name: [] for name in compiled}
    begun, used = time.perf_counter(), time.process_time()
    for _ in range(options.rounds + 5):
        for name, f in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(f(*data))
            times[name].append((time.perf_counter() - start) * 1e3)
    cores = (time.process_time() - used) / (time.perf_counter() - begun)
    error = max(relative_error(results["gradient"][1], stored, "g/"), relative_error(results["both"][2], stored, "Gv/"), relative_error(results["product"], stored, "Gv/"))
    counted = {name: values[5:] for name, values in times.items()}
    medians = {f"{name}Ms": statistics.median(values) for name, values in counted.items()}
    best = {f"{name}BestMs": min(values) for name, values in counted.items()}
    print(json.dumps({"version": jax.__version__, **medians, **best, "cores": cores, "error": error}))


main()
