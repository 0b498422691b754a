"""Darknet's activations as Keras layers (`activations.h`, `activations.c`)."""

from __future__ import annotations

import math
from collections.abc import Callable

from convert.cfg import Section
from convert.layers.layer import Tensor
from convert.layers.pieces import channel_maximum, channel_sum, channels, reciprocal

LEAKY_SLOPE = 0.1
CHANNELS_EPSILON = 1e-4
"""Added to the sum over channels in `activate_array_normalize_channels` (activations.c)."""

GELU_LINEAR, GELU_CUBIC = 0.797885, 0.035677

Apply = Callable[[Tensor, str], Tensor]
"""Takes a tensor and a unique layer name; returns the activated tensor."""


def _leaky(slope: float) -> Apply:
    def apply(tensor: Tensor, name: str) -> Tensor:
        from keras.layers import LeakyReLU

        return LeakyReLU(negative_slope=slope, name=name)(tensor)

    return apply


def _named(keras_name: str) -> Apply:
    def apply(tensor: Tensor, name: str) -> Tensor:
        from keras.layers import Activation

        return Activation(keras_name, name=name)(tensor)

    return apply


def _scaled(tensor: Tensor, scale: float, offset: float, name: str) -> Tensor:
    from keras.layers import Rescaling

    return Rescaling(scale, offset, name=name)(tensor)


def _linear(tensor: Tensor, name: str) -> Tensor:
    return tensor


def _selu(tensor: Tensor, name: str) -> Tensor:
    """Apply `selu_activate`, whose constants have four decimals; Keras's selu has all of them."""
    from keras.layers import ELU

    return _scaled(ELU(alpha=1.6732, name=f"{name}_elu")(tensor), 1.0507, 0, name)


def _gelu(tensor: Tensor, name: str) -> Tensor:
    """Apply `gelu_activate`: x/2 (1 + tanh(0.797885 x + 0.035677 x^3)), where (1 + tanh z) / 2 is the sigmoid of 2z."""
    from keras.layers import Activation, Add, Multiply

    cube = Multiply(name=f"{name}_cube")([tensor, tensor, tensor])
    terms = [
        _scaled(tensor, 2 * GELU_LINEAR, 0, f"{name}_linear"),
        _scaled(cube, 2 * GELU_CUBIC, 0, f"{name}_cubic"),
    ]
    gate = Activation("sigmoid", name=f"{name}_gate")(Add(name=f"{name}_sum")(terms))
    return Multiply(name=name)([tensor, gate])


def _hard_mish(tensor: Tensor, name: str) -> Tensor:
    """Apply `hard_mish_yashas`: x above 0, x^2/2 + x down to -2, then 0; that is x/2 times x + 2 clipped to 0..2."""
    from keras.layers import Multiply, ReLU

    gate = ReLU(max_value=2.0, name=f"{name}_clip")(_scaled(tensor, 1, 2, f"{name}_shift"))
    return Multiply(name=name)([tensor, _scaled(gate, 0.5, 0, f"{name}_half")])


def _loggy(tensor: Tensor, name: str) -> Tensor:
    """Apply `loggy_activate`: 2 sigmoid(x) - 1."""
    return _scaled(_named("sigmoid")(tensor, f"{name}_sigmoid"), 2, -1, name)


def _ramp(tensor: Tensor, name: str) -> Tensor:
    """Apply `ramp_activate`: x/10 for x <= 0, x + x/10 above."""
    return _scaled(_leaky(0.1 / 1.1)(tensor, f"{name}_leaky"), 1.1, 0, name)


def _bent_line(tensor: Tensor, slope: float, name: str) -> Tensor:
    """Apply the identity within 0..1 and a line of the given slope outside."""
    from keras.layers import Add, ReLU

    above = ReLU(name=f"{name}_above")(_scaled(tensor, 1, -1, f"{name}_shift"))
    terms = [_leaky(slope)(tensor, f"{name}_below"), _scaled(above, slope - 1, 0, f"{name}_bend")]
    return Add(name=name)(terms)


def _lhtan(tensor: Tensor, name: str) -> Tensor:
    """Apply `lhtan_activate`: the identity within 0..1, slope 0.001 outside."""
    return _bent_line(tensor, 0.001, name)


def _plse(tensor: Tensor, name: str) -> Tensor:
    """Apply `plse_activate`: x/8 + 1/2 within -4..4, slope 0.01 outside (0.08 in units of that line)."""
    return _bent_line(_scaled(tensor, 0.125, 0.5, f"{name}_line"), 0.08, name)


def _normalize_channels(tensor: Tensor, name: str) -> Tensor:
    """Apply `activate_array_normalize_channels`: relu(x) divided by 1e-4 plus its sum over the cell's channels."""
    from keras.layers import Multiply, ReLU

    positive = ReLU(name=f"{name}_relu")(tensor)
    total = channel_sum(positive, CHANNELS_EPSILON, f"{name}_sum")
    return Multiply(name=name)([positive, reciprocal(total, f"{name}_reciprocal")])


def _normalize_channels_softmax(tensor: Tensor, name: str) -> Tensor:
    """Apply `activate_array_normalize_channels_softmax`: exp(x) divided by 1e-4 plus its sum over the channels.

    This equals a softmax with one more channel of log(1e-4), which is then removed.
    """
    first = channels(tensor, 0, 1, tensor.shape[-1], f"{name}_first")
    return _softmax_beside(tensor, _scaled(first, 0, math.log(CHANNELS_EPSILON), f"{name}_epsilon"), name)


def _normalize_channels_softmax_maxval(tensor: Tensor, name: str) -> Tensor:
    """Apply the same after subtracting the cell's largest value, so that 1e-4 is relative to it."""
    largest = channel_maximum(tensor, tensor.shape[-1], f"{name}_maximum")
    return _softmax_beside(tensor, _scaled(largest, 1, math.log(CHANNELS_EPSILON), f"{name}_epsilon"), name)


def _softmax_beside(tensor: Tensor, extra: Tensor, name: str) -> Tensor:
    from keras.layers import Concatenate, Softmax

    count = tensor.shape[-1]
    both = Softmax(name=f"{name}_softmax")(Concatenate(name=f"{name}_beside")([tensor, extra]))
    return channels(both, 0, count, count + 1, name)


ACTIVATIONS: dict[str, Apply] = {
    "elu": _named("elu"),
    "gelu": _gelu,
    "hard_mish": _hard_mish,
    "hardtan": _named("hard_tanh"),
    "leaky": _leaky(LEAKY_SLOPE),
    "lhtan": _lhtan,
    "linear": _linear,
    "logistic": _named("sigmoid"),
    "loggy": _loggy,
    "mish": _named("mish"),
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": _normalize_channels_softmax_maxval,
    "plse": _plse,
    "ramp": _ramp,
    "relie": _leaky(0.01),
    "relu": _named("relu"),
    "relu6": _named("relu6"),
    "revleaky": _leaky(LEAKY_SLOPE),
    "selu": _selu,
    "swish": _named("silu"),
    "tanh": _named("tanh"),
}
"""Darknet's names and the functions that apply them."""


def read_activation(section: Section, default: str) -> Callable[[Tensor, str], Tensor]:
    """Return the function that applies a section's `activation=`; raise `CfgError` for an unknown one.

    Darknet replaces an unknown word with relu, so a typo gives a wrong network there.
    """
    if section.text("activation", default) == "stair":
        raise section.error(
            "activation=stair (rounds down) is not supported: Keras has no layer that rounds", "activation"
        )
    word = section.choice("activation", ACTIVATIONS, default)

    def apply(tensor: Tensor, name: str) -> Tensor:
        return ACTIVATIONS[word](tensor, f"{word}_{name}")

    return apply
