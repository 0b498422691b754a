"""Rewrite a Keras network as an equivalent one with fewer and simpler steps, for compilers."""

from __future__ import annotations

from typing import Any

import numpy as np

from convert.keras_import import import_keras


def fold(model: Any) -> Any:
    """Return a new `keras.Model` (TensorFlow backend) with the same outputs, up to rounding.

    Each batch normalisation is merged into the convolution before it, and nearest up-sampling becomes `depth_to_space`
    of concatenated copies: it contains no constant shape, so the compiled network accepts every input size.
    """
    keras = import_keras()
    normalised = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale and layer.center:
            convolution = layer.input._keras_history.operation
            # A map that has another reader, or an activation, must stay unchanged.
            if (
                isinstance(convolution, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
                and convolution.activation is keras.activations.linear
                and len(convolution._outbound_nodes) == 1
            ):
                normalised[convolution.name] = layer
    absorbed = {layer.name for layer in normalised.values()}

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in normalised:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        if layer.name in absorbed:
            return args[0]
        if isinstance(layer, keras.layers.UpSampling2D) and layer.size[0] == layer.size[1]:
            return _up_sampling(keras, layer.size[0], layer.name)(args[0])
        return layer(*args, **options)

    folded = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.weights and layer.name not in absorbed:
            weights = [np.asarray(weight) for weight in layer.get_weights()]
            if layer.name in normalised:
                weights = _absorb(weights, normalised[layer.name])
            folded.get_layer(layer.name).set_weights(weights)
    return folded


def _absorb(weights: list[Any], batch_norm: Any) -> list[Any]:
    """Return a convolution's kernel and bias multiplied by the batch normalisation after it, in double precision."""
    kernel, *bias = (weight.astype(np.float64) for weight in weights)
    gamma, beta, mean, variance = (np.asarray(weight, np.float64) for weight in batch_norm.get_weights())
    gain = gamma / np.sqrt(variance + batch_norm.epsilon)
    # Filters are the last axis; of a depthwise kernel, the last two.
    spread = gain.reshape(kernel.shape[2:]) if kernel.shape[-1] != len(gain) else gain
    return [
        (kernel * spread).astype(np.float32),
        (beta + (sum(bias) - mean) * gain).astype(np.float32),
    ]


def _up_sampling(keras: Any, times: int, name: str) -> Any:
    import tensorflow as tf

    class Repeat(keras.layers.Layer):  # type: ignore[misc]
        def call(self, cells: Any) -> Any:
            return tf.nn.depth_to_space(tf.concat([cells] * times**2, axis=-1), times)

    return Repeat(name=name)
