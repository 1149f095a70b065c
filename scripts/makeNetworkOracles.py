"""Makes test/golden/networkOracles.json: loss, gradient, Gauss-Newton product and Jv of small networks of many kinds, by JAX in float64.

    python -m venv venv && venv/bin/pip install torch==1.13.1 onnx==1.16.2 "numpy<2" "jax[cpu]==0.4.30" && venv/bin/python scripts/makeNetworkOracles.py

Each network is stated twice: as a PyTorch module (networkModules.py) that only serves to be exported, so that the file has the forms that
exporters write, and as a function of JAX (networkForwards.py), from which the numbers come. PyTorch's own forward pass must agree with it.
Nothing here calls Systole. With `--large FOLDER`, the same networks in their real sizes are written there, a folder each: model.onnx,
target.npy, input.npy, oracle.npz and what the command is told besides. Where a large network has a ReLU within rounding of its kink, float32 may decide
otherwise than float64, here as in PyTorch: take another seed.

The direction of the product is a rule (`direction`) that the test states again. Arrays are little-endian, in base64; models are deflated first.
"""

import base64
import io
import json
import pathlib
import sys
import warnings
import zlib

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import onnx
import torch
from jax import nn
from onnx import TensorProto, helper, numpy_helper

import networkForwards as forwards
import networkModules as modules

TARGET = pathlib.Path(__file__).resolve().parent.parent / "test/golden/networkOracles.json"
CASES = {}


def case(name, small, large, network, loss="cross-entropy", training=False, opset=13, **options):
    """`network` makes of sizes: the module, its function of parameters and input, and what draws input and target. `options`: of the command, besides."""
    CASES[name] = (small, large, network, loss, training, opset, {key.replace("_", "-"): value for key, value in options.items()})


def noise(*shape):
    return lambda random: random.standard_normal(shape).astype(np.float32)


def pixels(*shape):
    return lambda random: random.uniform(0, 1, shape).astype(np.float32)


def classes(count, *shape):
    return lambda random: random.integers(0, count, shape).astype(np.int64)


def itself(random):
    """The target of an autoencoder: its input."""
    return None


class KerasGru:
    """Both directions with the reset gate first, in the form of the converter from Keras; PyTorch has no such cell."""

    def __init__(self, size, hidden, count):
        self.sizes = size, hidden, count

    def parameters(self, random):
        size, hidden, count = self.sizes
        shapes = {"kernel": (2, 3 * hidden, size), "recurrent": (2, 3 * hidden, hidden), "bias": (2, 6 * hidden), "dense": (2 * hidden, count)}
        return {name: random.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}

    def model(self, parameters, x, opset):
        size, hidden, count = self.sizes
        nodes = [
            helper.make_node(
                "GRU", ["input", "kernel", "recurrent", "bias"], ["y", "last"], "gru", hidden_size=hidden, direction="bidirectional", linear_before_reset=0),
            helper.make_node("Transpose", ["y"], ["t"], "transpose", perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", ["t", "shape"], ["joined"], "join"),
            helper.make_node("ReduceMean", ["joined"], ["mean"], "mean", axes=[0], keepdims=0),
            helper.make_node("MatMul", ["mean", "dense"], ["scores"], "dense"),
            helper.make_node("Softmax", ["scores"], ["output"], "softmax", axis=-1),
        ]
        arrays = {**parameters, "shape": np.array([x.shape[0], x.shape[1], 2 * hidden], np.int64)}
        graph = helper.make_graph(
            nodes, "keras",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, x.shape)], [helper.make_tensor_value_info("output", TensorProto.FLOAT, [x.shape[1], count])],
            [numpy_helper.from_array(value, name) for name, value in arrays.items()])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def recurrent(kind, cell, steps, n, size, hidden, count, layers=1, both=False, batch_first=False):
    module = modules.Recurrent(kind, size, hidden, count, num_layers=layers, bidirectional=both, batch_first=batch_first)
    shape = (n, steps, size) if batch_first else (steps, n, size)
    return module, lambda p, x: forwards.recurrent(p, x, cell, layers, both, batch_first), noise(*shape), classes(count, n)


def image_classes(module, forward, n, channels, side, count):
    return module, forward, noise(n, channels, side, side), classes(count, n)


def conv_autoencoder(width, side, n):
    return modules.ConvAutoencoder(width), forwards.conv_autoencoder, pixels(n, 1, side, side), itself


def two_gru_layers(*sizes):
    return recurrent(torch.nn.GRU, forwards.gru_cell, *sizes, layers=2, both=True, batch_first=True)


def keras_gru(steps, n, size, hidden, count):
    return KerasGru(size, hidden, count), forwards.keras_gru, noise(steps, n, size), classes(count, n)


def mobile_net(width, expansion, side, n, count):
    return image_classes(modules.MobileNet(width, expansion, count), forwards.mobile_net, n, 3, side, count)


def normalised_mlp(n, size, hidden, count):
    return modules.normalised_mlp(size, hidden, count), forwards.normalised_mlp, noise(n, size), classes(count, n)


def normalised_cnn(width, side, n, count):
    return image_classes(modules.normalised_cnn(width, side, count), forwards.normalised_cnn, n, 1, side, count)


def autoencoder(n, *sizes):
    return modules.autoencoder(*sizes), forwards.autoencoder, pixels(n, sizes[0]), itself


def gpt(words, width, heads, layers, length, n):
    return modules.Gpt(words, width, heads, layers, length), lambda p, x: forwards.gpt(p, x, heads, layers), classes(words, n, length), classes(words, n, length)


def resnet(width, blocks, side, n, count, training):
    """In training form with the shortcuts that have no parameters."""
    return image_classes(modules.ResNet(width, blocks, count, padded=training), lambda p, x: forwards.resnet(p, x, blocks, training), n, 3, side, count)


def unet(width, count, side, n, bilinear):
    return modules.UNet(width, count, bilinear), lambda p, x: forwards.unet(p, x, bilinear), noise(n, 3, side, side), classes(count, n, side, side)


case("conv autoencoder", (2, 8, 2), (8, 28, 8), conv_autoencoder, loss="squared-error")
case("RNN of 30 steps", (30, 2, 2, 3, 2), (30, 6, 12, 32, 5), lambda *sizes: recurrent(torch.nn.RNN, forwards.rnn_cell, *sizes))
case("GRU", (4, 2, 2, 3, 2), (20, 6, 12, 32, 5), lambda *sizes: recurrent(torch.nn.GRU, forwards.gru_cell, *sizes))
case("GRU of two layers in both directions", (3, 2, 2, 2, 2), (12, 6, 12, 24, 5), two_gru_layers, opset=15)
case("GRU with the reset gate first", (4, 2, 2, 3, 2), (15, 6, 12, 24, 5), keras_gru)
case("MobileNet blocks", (2, 2, 8, 2, 3), (16, 6, 32, 4, 10), mobile_net)
case("ResNet-20", (1, 3, 8, 2, 3), (16, 3, 32, 4, 10), lambda *sizes: resnet(*sizes, training=False))
case("ResNet in training form", (2, 1, 8, 3, 3), (16, 3, 32, 8, 10), lambda *sizes: resnet(*sizes, training=True), training=True)
case("batch normalisation of an MLP in training form", (5, 4, 5, 3), (32, 64, 96, 10), normalised_mlp, training=True)
case("batch normalisation of a CNN in training form", (2, 8, 3, 3), (16, 28, 16, 10), normalised_cnn, training=True, opset=15)
deep = (784, 400, 200, 100, 50, 25, 6, 25, 50, 100, 200, 400, 784)
case("deep autoencoder", (3, 12, 8, 6, 4, 6, 8, 12), (16, *deep), autoencoder, loss="binary-cross-entropy")
case("GPT", (7, 4, 2, 1, 5, 2), (96, 48, 4, 2, 24, 4), gpt, opset=17, class_axis=2, freeze="*.mask")
case("U-Net, nearest", (2, 3, 6, 1), (8, 4, 32, 2), lambda *sizes: unet(*sizes, bilinear=False))
case("U-Net, linear", (2, 3, 6, 1), (8, 4, 32, 2), lambda *sizes: unet(*sizes, bilinear=True), opset=16)


def direction(count):
    return ((7 * np.arange(count) + 3) % 11 - 5) / 4


def prepared(module, training, random):
    """Normalisations that do not begin as identities."""
    for one in module.modules():
        if getattr(one, "running_var", None) is not None:
            one.running_mean += torch.from_numpy(random.normal(0, 0.3, one.running_mean.shape).astype(np.float32))
            one.running_var *= torch.from_numpy(random.uniform(0.5, 2, one.running_var.shape).astype(np.float32))
        if "Norm" in type(one).__name__ and one.weight is not None:
            with torch.no_grad():
                one.weight += torch.from_numpy(random.normal(0, 0.2, one.weight.shape).astype(np.float32))
                one.bias += torch.from_numpy(random.normal(0, 0.2, one.bias.shape).astype(np.float32))
    return module.train(training)


def exported(module, x, training, opset):
    stream = io.BytesIO()
    form = torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.PRESERVE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, torch.from_numpy(x), stream, input_names=["input"], output_names=["output"], training=form, do_constant_folding=False, opset_version=opset)
    model = onnx.load_from_string(stream.getvalue())
    for node in model.graph.node:
        node.ClearField("doc_string")
    return model


def built(name, large):
    small_sizes, large_sizes, network, loss, training, opset, options = CASES[name]
    seed = zlib.crc32(name.encode())
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    module, forward, data, target_of = network(*(large_sizes if large else small_sizes))
    x, target = data(random), target_of(random)
    target = x if target is None else target
    if isinstance(module, KerasGru):
        parameters, buffers = module.parameters(random), {}
        model = module.model(parameters, x, opset)
    else:
        prepared(module, training, random)
        parameters = {key: value.detach().numpy().copy() for key, value in module.named_parameters()}
        buffers = {key: value.numpy().copy() for key, value in module.named_buffers()}
        model = exported(module, x, training, opset)
    onnx.checker.check_model(model, full_check=True)

    doubles = {key: jnp.asarray(value, jnp.float64) for key, value in parameters.items()}
    held = {key: jnp.asarray(value, jnp.float64) for key, value in buffers.items()}
    given = jnp.asarray(x, jnp.float64) if x.dtype == np.float32 else x
    scores = lambda p: forward({**held, **p}, given)
    losses = {"squared-error": squared_error, "binary-cross-entropy": binary_cross_entropy, "cross-entropy": cross_entropy}
    loss_of = lambda z: losses[loss](z, target, options.get("class-axis", 1))
    whole = direction(sum(value.size for value in doubles.values()))
    v, at = {}, 0
    for key, value in doubles.items():
        v[key] = jnp.asarray(whole[at : at + value.size].reshape(value.shape))
        at += value.size
    z, pull = jax.vjp(scores, doubles)
    jv = jax.jvp(scores, (doubles,), (v,))[1]
    hjv = jax.jvp(jax.grad(loss_of), (z,), (jv,))[1]
    (gradient,), (product,) = pull(jax.grad(loss_of)(z)), pull(hjv)
    if not isinstance(module, KerasGru):
        check_forward(name, module, x, loss, z)
    return dict(
        name=name, loss=loss, options=options, model=model, input=x, target=target, value=float(loss_of(z)), v=v, gradient=gradient, product=product, jv=jv)


def squared_error(z, target, _):
    return 0.5 * ((z - target) ** 2).sum() / z.shape[0]


def binary_cross_entropy(z, target, _):
    return (nn.softplus(z) - target * z).sum() / z.shape[0]


def cross_entropy(z, target, axis):
    return -jnp.take_along_axis(nn.log_softmax(z, axis), jnp.expand_dims(target, axis), axis).mean()


def check_forward(name, module, x, loss, z):
    z = nn.sigmoid(z) if loss == "binary-cross-entropy" else z
    y = module(torch.from_numpy(x)).detach().numpy()
    if not np.allclose(y, z, rtol=1e-4, atol=1e-5):
        raise SystemExit(f"{name}: PyTorch gives\n{y}\ninstead of\n{z}")


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def stored(array):
    return {"dtype": {"float32": "f32", "int64": "i64"}[str(array.dtype)], "shape": list(array.shape), "data": encoded(array)}


def line(one):
    """Gradient and product as float32: rounding is far below what is asked."""
    flat = lambda tree: encoded(np.concatenate([np.asarray(tree[key]).ravel() for key in one["v"]]).astype(np.float32))
    return json.dumps({
        "name": one["name"],
        "loss": one["loss"],
        "options": one["options"],
        "model": base64.b64encode(zlib.compress(one["model"].SerializeToString(), 9)).decode(),
        "input": stored(one["input"]),
        "target": stored(one["target"]),
        "parameters": [[key, int(value.size)] for key, value in one["v"].items()],
        "value": one["value"],
        "gradient": flat(one["gradient"]),
        "product": flat(one["product"]),
        "jv": encoded(np.asarray(one["jv"], np.float32)),
    }, separators=(",", ":"))


def write_large(one, folder):
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(one["model"], folder / "model.onnx")
    np.save(folder / "input.npy", one["input"])
    np.save(folder / "target.npy", one["target"])
    trees = {"v": one["v"], "g": one["gradient"], "Gv": one["product"]}
    arrays = {f"{kind}/{key}": np.asarray(value, np.float32) for kind, tree in trees.items() for key, value in tree.items()}
    np.savez(folder / "oracle.npz", loss=one["value"], jv=np.asarray(one["jv"], np.float32), **arrays)
    (folder / "command.txt").write_text(" ".join(["--loss", one["loss"], *(f"--{key} {value}" for key, value in one["options"].items())]) + "\n")


def main():
    large = sys.argv[1:2] == ["--large"]
    if large:
        for name in CASES:
            write_large(built(name, large), pathlib.Path(sys.argv[2]) / name.replace(",", "").replace(" ", "_"))
        return
    TARGET.write_text("[\n" + ",\n".join(line(built(name, large)) for name in CASES) + "\n]\n")
    print(f"{len(CASES)} networks, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
