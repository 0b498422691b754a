"""Each section kind against a small NumPy computation of its own, written from Darknet's C code in its own order (CHW).

Darknet's rules are taken from convolutional_layer.c, im2col.c, maxpool_layer.c, blas.c and activations.h; nothing of
Keras is used on that side. Cases that need a graph share one network, with a branch each, to keep the tests quick.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.cfg import parse_cfg
from convert.errors import CfgError
from convert.keras_import import import_keras
from convert.layers import KINDS
from convert.layers.layer import PICTURE, Before, Layer, Parameter, Shape
from convert.network import Arrays, Network, plan

Floats = NDArray[np.float32]


class Branches:
    """A cfg that applies each of several bodies to the same input."""

    def __init__(self, *, height: int, width: int, channels: int, before: str = "") -> None:
        self.net = f"[net]\nheight={height}\nwidth={width}\nchannels={channels}\n"
        self.sections = ["[dropout]\n", *sections_of(before)]
        self.start = len(self.sections) - 1
        self.ends: list[int] = []

    def add(self, body: str) -> None:
        self.sections += [f"[route]\nlayers={self.start}\n", *sections_of(body)]
        self.ends.append(len(self.sections) - 1)

    def network(self) -> Network:
        return plan(parse_cfg(self.net + "".join(self.sections)))


def sections_of(body: str) -> list[str]:
    text = "".join(line.strip() + "\n" for line in body.replace(" ", "\n").splitlines() if line.strip())
    return ["[" + section for section in text.split("[")[1:]]


def run_layers(
    network: Network, picture: Floats, arrays: Arrays | None = None, *, any_size: bool = False
) -> list[Floats]:
    """Every layer's output for one picture (CHW), as CHW, computed by Keras."""
    keras = import_keras()
    shape = network.picture
    source = keras.Input((None, None, shape.channels) if any_size else (shape.height, shape.width, shape.channels))
    tensors = {PICTURE: source}
    for layer in network.layers:
        tensors[layer.index] = layer.build([tensors[index] for index in layer.inputs])
    model = keras.Model(source, [tensors[layer.index] for layer in network.layers])
    for layer, values in zip(network.layers, arrays or (), strict=False):
        for parameter, value in zip(layer.parameters, values, strict=True):
            variable = getattr(model.get_layer(parameter.keras_layer), parameter.keras_variable)
            variable.assign(parameter.to_keras(value, variable.shape))
    outputs = model(picture.transpose(1, 2, 0)[None])
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [np.asarray(output)[0].transpose(2, 0, 1) for output in outputs]


def noise(channels: int, height: int, width: int, seed: int = 1) -> Floats:
    """Values around zero, more of them below."""
    return np.random.default_rng(seed).normal(-0.5, 1, (channels, height, width)).astype(np.float32)


def assert_shapes_agree(network: Network, outputs: Sequence[Floats]) -> None:
    for layer, output in zip(network.layers, outputs, strict=True):
        assert output.shape == (layer.shape.channels, layer.shape.height, layer.shape.width), layer.name


# ------------------------------------------------------------------------------------------------ Darknet, in NumPy


def darknet_convolution(
    x: Floats, weights: Floats, *, stride_y: int, stride_x: int, padding: int, groups: int, dilation: int
) -> Floats:
    """`forward_convolutional_layer` without its im2col; the padding is stretched by the dilation."""
    filters, group_channels, size, _ = weights.shape
    pad = padding * dilation
    x = np.pad(x.astype(np.float64), ((0, 0), (pad, pad), (pad, pad)))
    extent = dilation * (size - 1) + 1
    rows = (x.shape[1] - extent) // stride_y + 1
    columns = (x.shape[2] - extent) // stride_x + 1
    out = np.zeros((filters, rows, columns))
    for f in range(filters):
        first = f // (filters // groups) * group_channels
        for row in range(rows):
            for column in range(columns):
                top, left = row * stride_y, column * stride_x
                window = x[
                    first : first + group_channels, top : top + extent : dilation, left : left + extent : dilation
                ]
                out[f, row, column] = (window * weights[f]).sum()
    return out.astype(np.float32)


def darknet_maxpool(x: Floats, *, size: int, stride: int, padding: int) -> Floats:
    """`forward_maxpool_layer`: offsets of -padding/2, outside counts as -FLT_MAX."""
    channels, height, width = x.shape
    rows, columns = (height + padding - size) // stride + 1, (width + padding - size) // stride + 1
    out = np.full((channels, rows, columns), -np.finfo(np.float32).max, np.float32)
    offset = -(padding // 2)
    for row in range(rows):
        for column in range(columns):
            for n in range(size):
                for m in range(size):
                    y, z = offset + row * stride + n, offset + column * stride + m
                    if 0 <= y < height and 0 <= z < width:
                        out[:, row, column] = np.maximum(out[:, row, column], x[:, y, z])
    return out


def darknet_activation(word: str, x: float) -> float:
    """`activations.h` and AlexeyAB's `activations.c`, one number at a time."""
    if word == "logistic":
        return 1 / (1 + math.exp(-x))
    if word == "leaky":
        return x if x > 0 else 0.1 * x
    if word == "relie":
        return x if x > 0 else 0.01 * x
    if word == "relu":
        return x * (x > 0)
    if word == "relu6":
        return min(max(x, 0), 6)
    if word == "elu":
        return x if x >= 0 else math.exp(x) - 1
    if word == "selu":
        return 1.0507 * x if x >= 0 else 1.0507 * 1.6732 * (math.exp(x) - 1)
    if word == "tanh":
        return 2 / (1 + math.exp(-2 * x)) - 1
    if word == "swish":
        return x / (1 + math.exp(-x))
    if word == "mish":
        return x * math.tanh(math.log1p(math.exp(x)))
    assert word == "linear"
    return x


# ------------------------------------------------------------------------------------------------------ convolution

CONVOLUTIONS = [
    ("1x1", "filters=5"),
    ("3x3 pad", "filters=5 size=3 padding=1"),
    ("3x3", "filters=5 size=3"),
    ("3x3 pad stride 2", "filters=5 size=3 padding=1 stride_x=2 stride_y=2"),
    ("3x3 stride 2", "filters=5 size=3 stride_x=2 stride_y=2"),
    ("3x3 padding 2", "filters=5 size=3 padding=2"),
    ("2x2 pad", "filters=5 size=2 padding=1"),
    ("2x2 pad stride 2", "filters=5 size=2 padding=1 stride_x=2 stride_y=2"),
    ("4x4 pad", "filters=5 size=4 padding=2"),
    ("4x4 stride 3", "filters=5 size=4 stride_x=3 stride_y=3"),
    ("5x5 pad stride 3", "filters=5 size=5 padding=2 stride_x=3 stride_y=3"),
    ("1x1 stride 2", "filters=5 stride_x=2 stride_y=2"),
    ("wide stride", "filters=5 size=3 padding=1 stride_x=2"),
    ("tall stride", "filters=5 size=3 padding=1 stride_y=2"),
    ("2 groups", "filters=6 size=3 padding=1 groups=2"),
    ("2 groups stride 2", "filters=6 size=3 padding=1 groups=2 stride_x=2 stride_y=2"),
    ("3 groups 1x1", "filters=9 groups=3"),
    ("depthwise", "filters=6 size=3 padding=1 groups=6"),
    ("depthwise stride 2", "filters=6 size=3 padding=1 groups=6 stride_x=2 stride_y=2"),
    ("depthwise wide stride", "filters=6 size=3 padding=1 groups=6 stride_x=2"),
    ("depthwise 5x5", "filters=6 size=5 padding=2 groups=6"),
    ("depthwise even", "filters=6 size=2 groups=6"),
    ("depthwise twofold", "filters=12 size=3 padding=1 groups=6"),
    ("dilation", "filters=5 size=3 padding=1 dilation=2"),
    ("dilation 3", "filters=5 size=3 padding=1 dilation=3"),
    ("dilation stride 2", "filters=5 size=3 padding=1 dilation=2 stride_x=2 stride_y=2"),
    ("dilation tall stride", "filters=5 size=3 padding=1 dilation=2 stride_y=2"),
    ("2 groups dilation", "filters=6 size=3 padding=1 groups=2 dilation=2"),
    ("depthwise dilation", "filters=6 size=3 padding=1 groups=6 dilation=2"),
    ("depthwise dilation stride 2", "filters=6 size=3 padding=1 groups=6 dilation=2 stride_x=2 stride_y=2"),
    ("1x1 dilation counts for nothing", "filters=5 dilation=2 padding=1"),
]
DEFAULTS = {"filters": 1, "size": 1, "stride_x": 1, "stride_y": 1, "padding": 0, "groups": 1, "dilation": 1}


@pytest.mark.parametrize(("height", "width"), [(10, 12), (11, 9), (9, 10)], ids=["even", "odd", "odd and even"])
def test_convolutions(height: int, width: int, random_arrays: Callable[..., Arrays]) -> None:
    branches = Branches(height=height, width=width, channels=6)
    for _, keys in CONVOLUTIONS:
        branches.add(f"[convolutional] activation=linear {keys}")
    network = branches.network()
    x, arrays = noise(6, height, width), random_arrays(network)
    outputs = run_layers(network, x, arrays)
    assert_shapes_agree(network, outputs)
    for (name, keys), end in zip(CONVOLUTIONS, branches.ends, strict=True):
        options = DEFAULTS | {key: int(value) for key, value in (pair.split("=") for pair in keys.split())}
        filters, size = options.pop("filters"), options.pop("size")
        if size == 1:
            options["dilation"] = 1
        biases, weights = arrays[end]
        weights = weights.reshape(filters, 6 // options["groups"], size, size)
        expected = darknet_convolution(x, weights, **options) + biases[:, None, None]
        np.testing.assert_allclose(outputs[end], expected, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("keys", "same"),
    [
        pytest.param("size=3 pad=1", "size=3 padding=1", id="pad is half the size"),
        pytest.param("size=4 pad=1", "size=4 padding=2", id="pad of an even kernel"),
        pytest.param("size=3 pad=1 padding=7", "size=3 padding=1", id="pad wins over padding"),
        pytest.param("size=3 pad=0 padding=2", "size=3 padding=2", id="pad=0 leaves padding"),
        pytest.param("size=5 stride=2", "size=5 stride_x=2 stride_y=2", id="stride goes both ways"),
        pytest.param("size=5 stride=2 stride_x=3", "size=5 stride_x=3 stride_y=2", id="stride_x wins over stride"),
        pytest.param("", "size=1 padding=0 stride=1 groups=1 filters=1", id="defaults"),
    ],
)
def test_equivalent_convolution_keys(keys: str, same: str) -> None:
    layers = []
    for words in (keys, same):
        branches = Branches(height=16, width=15, channels=2)
        branches.add(f"[convolutional] {words}")
        layers.append(branches.network().layers[-1])
    assert layers[0].shape == layers[1].shape
    assert layers[0].parameters == layers[1].parameters


def test_a_convolutions_default_activation_is_logistic(random_arrays: Callable[..., Arrays]) -> None:
    branches = Branches(height=3, width=3, channels=2)
    branches.add("[convolutional] activation=linear")
    branches.add("[convolutional]")
    network = branches.network()
    arrays = random_arrays(network)
    arrays[branches.ends[1]] = arrays[branches.ends[0]]
    outputs = run_layers(network, noise(2, 3, 3), arrays)
    linear, default = (outputs[end] for end in branches.ends)
    np.testing.assert_allclose(default, 1 / (1 + np.exp(-linear)), atol=1e-6)


ACTIVATIONS = "elu leaky linear logistic mish relie relu relu6 selu swish tanh".split()


def test_activations() -> None:
    branches = Branches(height=5, width=9, channels=1)
    for word in ACTIVATIONS:
        branches.add(f"[convolutional] activation={word}")
        branches.add(f"[shortcut] from={branches.start} activation={word}")
    network = branches.network()
    arrays: Arrays = [
        [np.ones(parameter.shape, np.float32) * (parameter.name == "weights") for parameter in layer.parameters]
        for layer in network.layers
    ]
    x = np.linspace(-9, 9, 45, dtype=np.float32).reshape(1, 5, 9)
    outputs = run_layers(network, x, arrays)
    for index, word in enumerate(ACTIVATIONS):
        convolved, added = (outputs[end] for end in branches.ends[2 * index : 2 * index + 2])
        activate = np.vectorize(lambda value, word=word: darknet_activation(word, float(value)), otypes=[float])
        # 2e-4: Darknet writes selu's constants with four digits.
        np.testing.assert_allclose(convolved, activate(x), atol=1e-5, rtol=2e-4, err_msg=word)
        np.testing.assert_allclose(added, activate(2 * x), atol=1e-5, rtol=2e-4, err_msg=word)


@pytest.mark.parametrize("kind", ["plain", "depthwise"])
def test_batch_normalisation_has_darknets_epsilon(kind: str, random_arrays: Callable[..., Arrays]) -> None:
    branches = Branches(height=6, width=5, channels=4)
    branches.add(f"[convolutional] batch_normalize=1 filters=4 activation=linear groups={1 if kind == 'plain' else 4}")
    network, end = branches.network(), branches.ends[0]
    x, arrays = noise(4, 6, 5), random_arrays(network)
    biases, scales, mean, variance, weights = arrays[end]
    assert [parameter.name for parameter in network.layers[end].parameters] == [
        "biases", "scales", "mean", "variance", "weights"
    ]  # fmt: skip
    variance[:] = [1e-4, 1e-3, 1e-2, 1]
    raw = darknet_convolution(
        x,
        weights.reshape(4, -1, 1, 1),
        stride_y=1,
        stride_x=1,
        padding=0,
        groups=1 if kind == "plain" else 4,
        dilation=1,
    )

    def normalised(epsilon: float) -> Floats:
        terms = [values.astype(np.float64)[:, None, None] for values in (biases, scales, mean, variance)]
        return (raw - terms[2]) / np.sqrt(terms[3] + epsilon) * terms[1] + terms[0]

    output = run_layers(network, x, arrays)[end]
    np.testing.assert_allclose(output, normalised(1e-5), rtol=1e-4, atol=1e-4)
    for wrong in (1e-3, 1e-6, 0):  # so the comparison above can tell them apart
        assert np.abs(output - normalised(wrong)).max() > 1e-2


# ------------------------------------------------------------------------------------------------- pooling, enlarging

MAXPOOLS = [
    (size, stride, padding) for size in range(1, 6) for stride in range(1, 4) for padding in (*range(size), None)
]


@pytest.mark.parametrize(("height", "width"), [(8, 10), (9, 7), (5, 6)], ids=["even", "odd", "odd and even"])
@pytest.mark.parametrize("any_size", [False, True], ids=["fixed size", "any size"])
def test_maxpools(height: int, width: int, any_size: bool) -> None:
    branches = Branches(height=height, width=width, channels=2)
    for size, stride, padding in MAXPOOLS:
        branches.add(f"[maxpool] size={size} stride={stride}" + f" padding={padding}" * (padding is not None))
    network = branches.network()
    x = noise(2, height, width) - 10  # all below zero, so that a padding of zeros shows
    outputs = run_layers(network, x, any_size=any_size)
    assert_shapes_agree(network, outputs)
    for (size, stride, padding), end in zip(MAXPOOLS, branches.ends, strict=True):
        expected = darknet_maxpool(x, size=size, stride=stride, padding=size - 1 if padding is None else padding)
        np.testing.assert_array_equal(outputs[end], expected, f"size {size}, stride {stride}, padding {padding}")


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        pytest.param("", "12x10x2", id="size 1 by default"),
        pytest.param("stride=2", "6x5x2", id="size is the stride by default"),
        pytest.param("size=2 stride=1", "12x10x2", id="padding is size - 1 by default"),
        pytest.param("size=3 stride_x=3 stride_y=2", "4x5x2", id="strides of their own"),
        pytest.param("size=2 stride=2 padding=0", "6x5x2", id="no padding"),
        pytest.param("size=13 stride=1", "12x10x2", id="larger than the map"),
    ],
)
def test_maxpool_shapes(keys: str, shape: str) -> None:
    branches = Branches(height=10, width=12, channels=2)
    branches.add(f"[maxpool] {keys}")
    network = branches.network()
    assert str(network.layers[-1].shape) == shape
    assert_shapes_agree(network, run_layers(network, noise(2, 10, 12)))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_maxpools_size_is_its_stride_by_default(stride: int) -> None:
    branches = Branches(height=7, width=6, channels=2)
    branches.add(f"[maxpool] stride={stride}")
    x = noise(2, 7, 6) - 10
    expected = darknet_maxpool(x, size=stride, stride=stride, padding=stride - 1)
    np.testing.assert_array_equal(run_layers(branches.network(), x)[-1], expected)


def test_a_maxpool_larger_than_the_map_covers_all_of_it() -> None:
    branches = Branches(height=3, width=4, channels=2)
    branches.add("[maxpool] size=9 stride=1")
    x = noise(2, 3, 4) - 10
    np.testing.assert_array_equal(
        run_layers(branches.network(), x)[-1], darknet_maxpool(x, size=9, stride=1, padding=8)
    )


def test_upsampling_repeats_cells() -> None:
    branches = Branches(height=3, width=4, channels=2)
    bodies = {"": (2, 1), "stride=1": (1, 1), "stride=3": (3, 1), "stride=2 scale=0.5": (2, 0.5)}
    for keys in bodies:
        branches.add(f"[upsample] {keys}")
    network, x = branches.network(), noise(2, 3, 4)
    outputs = run_layers(network, x)
    assert_shapes_agree(network, outputs)
    for (stride, scale), end in zip(bodies.values(), branches.ends, strict=True):
        expected = x.repeat(stride, 1).repeat(stride, 2) * np.float32(scale)
        np.testing.assert_allclose(outputs[end], expected, rtol=1e-6)


def test_avgpool_is_the_mean_of_each_channel() -> None:
    branches = Branches(height=5, width=6, channels=3)
    branches.add("[avgpool]")
    network, x = branches.network(), noise(3, 5, 6)
    outputs = run_layers(network, x)
    assert_shapes_agree(network, outputs)
    np.testing.assert_allclose(outputs[-1], x.mean((1, 2), keepdims=True), atol=1e-6)


# ---------------------------------------------------------------------------------------------------------- pointwise


@pytest.mark.parametrize("temperature", [1, 0.5, 3])
def test_softmax_is_over_the_channels(temperature: float) -> None:
    branches = Branches(height=4, width=4, channels=5, before="[avgpool]")
    branches.add(f"[softmax] temperature={temperature}")
    x = noise(5, 4, 4) * 5
    exponentials = np.exp(x.mean((1, 2), dtype=np.float64) / temperature)
    output = run_layers(branches.network(), x)[-1]
    np.testing.assert_allclose(output[:, 0, 0], exponentials / exponentials.sum(), atol=1e-6)


def test_softmax_of_large_values_is_finite() -> None:
    branches = Branches(height=1, width=1, channels=2)
    branches.add("[softmax]")
    output = run_layers(branches.network(), np.array([[[1000]], [[990]]], np.float32))[-1]
    np.testing.assert_allclose(output[:, 0, 0], [1, math.exp(-10)], rtol=1e-3)


@pytest.mark.parametrize("body", ["[dropout]", "[dropout] probability=0.9", "[dropout] probability=0", "[cost]"])
def test_training_only_layers_are_the_identity(body: str) -> None:
    branches = Branches(height=3, width=4, channels=2)
    branches.add(body)
    network, x = branches.network(), noise(2, 3, 4)
    np.testing.assert_array_equal(run_layers(network, x)[-1], x)
    assert network.layers[-1].shape == network.layers[0].shape
    assert network.parameter_count == 0


# ------------------------------------------------------------------------------------------------------------ joining


def two_maps(body: str) -> str:
    return f"[net]\nheight=4\nwidth=6\nchannels=2\n[dropout]\n[convolutional]\nfilters=3\nactivation=tanh\n{body}"


@pytest.mark.parametrize(
    ("layers", "sources"),
    [
        pytest.param("0,1", (0, 1), id="in the order listed"),
        pytest.param("1,0", (1, 0), id="the other order"),
        pytest.param("-1", (1,), id="one"),
        pytest.param("-2,-1", (0, 1), id="counted from here"),
        pytest.param("1,-2,1", (1, 0, 1), id="one of them twice"),
    ],
)
def test_route_joins_channels(layers: str, sources: tuple[int, ...], random_arrays: Callable[..., Arrays]) -> None:
    network = plan(parse_cfg(two_maps(f"[route]\nlayers={layers}\n")))
    outputs = run_layers(network, noise(2, 4, 6), random_arrays(network))
    assert network.layers[-1].inputs == sources
    assert_shapes_agree(network, outputs)
    np.testing.assert_array_equal(outputs[-1], np.concatenate([outputs[index] for index in sources]))


def test_shortcut_adds_then_activates(random_arrays: Callable[..., Arrays]) -> None:
    branches = Branches(height=4, width=5, channels=3, before="[convolutional] filters=3 activation=linear")
    branches.add("[convolutional] filters=3 activation=linear [shortcut] from=-2 activation=linear")
    branches.add("[convolutional] filters=3 activation=linear [shortcut] from=-2 activation=leaky")
    branches.add("[convolutional] filters=3 activation=linear [shortcut] from=-2,0")
    network = branches.network()
    outputs = run_layers(network, noise(3, 4, 5), random_arrays(network))
    assert_shapes_agree(network, outputs)
    plain, leaky, several = branches.ends
    common = outputs[branches.start]
    np.testing.assert_allclose(outputs[plain], outputs[plain - 1] + common, atol=1e-6)
    total = outputs[leaky - 1] + common
    assert (total < 0).any()
    np.testing.assert_allclose(outputs[leaky], np.where(total > 0, total, 0.1 * total), atol=1e-6)
    np.testing.assert_allclose(outputs[several], outputs[several - 1] + common + outputs[0], atol=1e-5)


# --------------------------------------------------------------------------------------------------------------- head

HEAD_CFG = """
    [net]
    height=96
    width=64
    [convolutional]
    filters=21
    size=3
    stride=32
    pad=1
    activation=linear
    [yolo]
    mask=3,1,2
    anchors=10,11, 20,21, 30,31.5, 40,41
    classes=2
    num=4
    scale_x_y=1.2
    new_coords=1
    nms_kind=greedynms
    beta_nms=0.8
"""


def test_a_head_is_described_and_computes_nothing(random_arrays: Callable[..., Arrays]) -> None:
    network = plan(parse_cfg(textwrap.dedent(HEAD_CFG)))
    head = network.layers[-1].head
    assert head is not None
    assert (head.kind, head.layer, head.stride, head.classes, head.channels) == ("yolo", 1, 32, 2, 21)
    assert head.anchors == ((40, 41), (20, 21), (30, 31.5))
    assert (head.scale_x_y, head.new_coords, head.nms_kind, head.beta_nms) == (1.2, True, "greedynms", 0.8)
    outputs = run_layers(network, noise(3, 96, 64), random_arrays(network))
    assert_shapes_agree(network, outputs)
    np.testing.assert_array_equal(outputs[1], outputs[0])


def test_a_heads_defaults_are_darknets() -> None:
    cfg = "[net]\nheight=8\nwidth=8\n[convolutional]\nfilters=25\n[yolo]\nanchors=3,4\n"
    head = plan(parse_cfg(cfg)).layers[-1].head
    assert head is not None
    assert (head.stride, head.anchors, head.classes) == (1, ((3, 4),), 20)
    assert (head.scale_x_y, head.new_coords, head.nms_kind, head.beta_nms) == (1, False, "default", 0.6)


# ------------------------------------------------------------------------------------------------- shapes, parameters


def test_strides_follow_the_network() -> None:
    body = """
        [convolutional] size=3 stride=2 pad=1
        [maxpool] size=2 stride=2
        [upsample]
        [route] layers=-1
        [shortcut] from=-2
        [maxpool] size=2 stride=1
        [convolutional] size=5 stride=3
        [upsample] stride=3
        [avgpool]
    """
    branches = Branches(height=32, width=24, channels=1)
    branches.add(body)
    layers = branches.network().layers[2:]
    assert [layer.shape.stride for layer in layers] == [2, 4, 2, 2, 2, 2, 6, 2, 2 * 12]
    assert all(isinstance(layer.shape.stride, Fraction) for layer in layers)


@pytest.mark.parametrize(
    ("parameter", "keras_shape"),
    [
        pytest.param(Parameter("biases", (4,), "conv_0", "bias"), (4,), id="biases"),
        pytest.param(Parameter("weights", (4, 3, 2, 5), "conv_0", "kernel", (2, 3, 1, 0)), (2, 5, 3, 4), id="kernel"),
        pytest.param(
            Parameter("weights", (3, 2, 5, 4), "conv_0", "kernel", (2, 3, 0, 1)), (5, 4, 3, 2), id="depthwise"
        ),
        pytest.param(Parameter("weights", (4, 6), "fc_0", "kernel", (1, 0)), (6, 4), id="connected"),
        pytest.param(Parameter("weights", (6,), "any_0", "any"), (1, 1, 6), id="reshaped"),
    ],
)
def test_parameters_convert_to_keras_and_back(parameter: Parameter, keras_shape: tuple[int, ...]) -> None:
    values = np.arange(parameter.count, dtype=np.float32).reshape(parameter.shape)
    there = parameter.to_keras(values, keras_shape)
    assert there.shape == keras_shape
    back = parameter.from_keras(there)
    assert back.shape == parameter.shape
    np.testing.assert_array_equal(back, values)


def test_a_kernels_axes_are_rows_columns_inputs_filters() -> None:
    values = np.arange(4 * 3 * 2 * 5, dtype=np.float32).reshape(4, 3, 2, 5)
    parameter = Parameter("weights", values.shape, "conv_0", "kernel", (2, 3, 1, 0))
    assert parameter.to_keras(values, (2, 5, 3, 4))[1, 4, 2, 3] == values[3, 2, 1, 4]


def test_a_count_does_not_overflow() -> None:
    assert Parameter("weights", (2**31, 2**31, 4), "conv_0", "kernel").count == 2**64


def test_flops_of_a_convolution_and_a_shortcut() -> None:
    branches = Branches(height=8, width=6, channels=4)
    branches.add("[convolutional] filters=10 size=3 pad=1 stride=2")
    branches.add("[convolutional] filters=4 size=3 pad=1 groups=4 [shortcut] from=0")
    network = branches.network()
    assert network.layers[branches.ends[0]].flops == 2 * 10 * 4 * 9 * (4 * 3)
    assert network.layers[branches.ends[1] - 1].flops == 2 * 4 * 9 * (8 * 6)
    assert network.layers[branches.ends[1]].flops == 8 * 6 * 4
    assert network.flops == sum(layer.flops for layer in network.layers)


def test_each_kind_is_built_from_its_section_and_the_layers_before() -> None:
    section = parse_cfg("[net]\n[maxpool]\nstride=2\n").layers[0]
    layer = KINDS["maxpool"](section, Before(Shape(8, 8, 3)))
    assert isinstance(layer, Layer)
    assert (layer.index, layer.inputs, str(layer.shape)) == (0, (PICTURE,), "4x4x3")
    assert layer.name == "layer 0 [maxpool] (line 2)"


# ------------------------------------------------------------------------------------------------------------ refusals

HEAD = "[convolutional]\nfilters=14\n[yolo]\nnum=2\nanchors=1,1, 2,2\nclasses=2\n"


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        pytest.param("[convolutional]\nbinary=1\n", 5, r"binary=1 \(binary weights\) is not supported", id="binary"),
        pytest.param("[convolutional]\nxnor=1\n", 5, "xnor=1", id="xnor"),
        pytest.param("[convolutional]\nflipped=1\n", 5, "flipped=1", id="flipped"),
        pytest.param(
            "[convolutional]\ngroups=2\nfilters=4\n", 5, "groups=2 does not divide its 3 input", id="groups and input"
        ),
        pytest.param(
            "[convolutional]\ngroups=3\nfilters=4\n", 5, "groups=3 does not .* 4 filters", id="groups and filters"
        ),
        pytest.param("[convolutional]\nsize=17\n", 4, "leaves nothing of its input of 16x16x3", id="nothing is left"),
        pytest.param(
            "[convolutional]\nsize=2147483647\npad=1\nfilters=1000\n",
            4,
            "pads its input of 16x16x3 to more than",
            id="kernel",
        ),
        pytest.param("[convolutional]\npadding=2147483647\n", 5, "pads its input of 16x16x3 to more than", id="map"),
        pytest.param("[maxpool]\nsize=2\npadding=2\n", 6, r"padding=2 is more than size - 1 = 1", id="maxpool padding"),
        pytest.param("[upsample]\nstride=0\n", 5, "stride=0", id="upsample to nothing"),
        pytest.param("[dropout]\nprobability=1\n", 5, r"probability=1.0 is out of range", id="dropout of all"),
        pytest.param("[dropout]\nprobability=-0.1\n", 5, "probability=-0.1", id="dropout of less than none"),
        pytest.param("[avgpool]\n[softmax]\ntemperature=0\n", 6, "temperature=0.0 is not positive", id="temperature"),
        pytest.param("[route]\nlayers=0\n", 5, "layers=0 names layer 0; expected one of the 0 layers", id="route self"),
        pytest.param("[dropout]\n[route]\nlayers=-2\n", 6, "layers=-2 names layer -1", id="route beyond the start"),
        pytest.param("[dropout]\n[route]\nlayers=0,1\n", 6, "layers=1 names layer 1", id="route ahead"),
        pytest.param("[dropout]\n[route]\n", 5, r"\[route\] has no layers=", id="route from nowhere"),
        pytest.param("[dropout]\n[shortcut]\n", 5, r"\[shortcut\] has no from=", id="shortcut from nowhere"),
        pytest.param(
            "[dropout]\n[maxpool]\nstride=2\n[route]\nlayers=0,1\n",
            8,
            r"joins layer 0 of 16x16x3 with layer 1 of 8x8x3; expected maps of equal width",
            id="route of two sizes",
        ),
        pytest.param(
            "[yolo]\nnum=1\nanchors=1,1\nclasses=2\n", 4, r"reads 3 channels; .*= 7\.", id="head on a picture"
        ),
        pytest.param(
            HEAD.replace("14", "15"), 6, r"reads 15 channels; expected 2 anchors x \(5 \+ 2 .*= 14", id="filters"
        ),
        pytest.param(HEAD.replace("2,2", "2"), 8, r"has 3 numbers in anchors=; expected num=2 pairs", id="anchors"),
        pytest.param(HEAD.replace("2,2", "2,0"), 8, "an anchor side of 0", id="flat anchor"),
        pytest.param(HEAD + "mask=0,2\n", 10, "mask names anchor 2; expected 0 to 1", id="mask too high"),
        pytest.param(HEAD + "mask=-1,0\n", 10, "mask names anchor -1", id="mask too low"),
        pytest.param(HEAD + "nms_kind=softnms\n", 10, "nms_kind=softnms is not known", id="nms_kind"),
        pytest.param(HEAD.replace("num=2", "num=2147483647"), 7, "num=2147483647 is too large", id="num"),
        pytest.param("[upsample]\n" + HEAD, 7, "has cells of 1/2 network input pixels", id="head of half pixels"),
    ],
)
def test_unsupported_sections_are_refused_with_their_line(body: str, line: int, words: str) -> None:
    with pytest.raises(CfgError, match=f"^my.cfg, line {line}: .*{words}"):
        plan(parse_cfg(f"[net]\nwidth=16\nheight=16\n{body}", "my.cfg"))
