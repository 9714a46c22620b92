"""A generator as a page needs it: the steps of its forward pass (see forward.js), and its numbers as bytes."""

from support import quick_layers
from support.errors import InputError
from support.lazy import keras, np

FEW = 10_000  # a smaller array stays in float32: the choice multiplies by 1,000, and biases take no room
ACTIVATIONS = {
    "tanh": {"kind": "tanh"},
    "sigmoid": {"kind": "sigmoid"},
    "relu": {"kind": "leakyRelu", "slope": 0.0},
    "leaky_relu": {"kind": "leakyRelu", "slope": 0.2},
}


def describe(generator, name):
    """The forward pass of a Keras model: {"latent": its length, "output": a place, "steps": a list}.

    A step is a dictionary: its kind, a function of forward.js; inputs, the places of the values that it takes; and its
    settings. Place 0 is the latent vectors, place i the output of step i, counted from 1. Raises InputError.
    """
    if isinstance(generator, keras.Sequential):  # loading one calls its layers more than once
        generator = quick_layers.plain(generator)
    places, steps = {id(generator.inputs[0]): 0}, []
    try:
        # The operations of a functional model come in an order in which the inputs of each are known.
        for layer in getattr(generator, "operations", generator.layers):
            if isinstance(layer, keras.layers.InputLayer):
                continue
            kind = type(layer).__name__
            if kind not in LAYERS or not isinstance(layer, keras.layers.Layer):
                raise InputError(f"layer {layer.name!r} ({kind}): a page can compute only {', '.join(LAYERS)}")
            taken = [places[id(value)] for value in keras.tree.flatten(layer.input)]
            for step in LAYERS[kind](layer):  # each takes the output of the one before
                steps.append({"inputs": taken, **step})
                taken = [len(steps)]
            places[id(layer.output)] = taken[0]
        output = places[id(generator.outputs[0])]
    except KeyError:  # layer.output is that of its first call only
        raise InputError(f"{name}: uses a layer twice, which a page cannot compute; use two layers") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return {"latent": generator.input_shape[-1], "output": output, "steps": steps}


def _require(layer, setting, *values):
    """Raises InputError if the layer has this setting, and its value is not one of `values`."""
    value = layer.get_config().get(setting, values[0])
    value = tuple(value) if isinstance(value, list) else value
    if value not in values:
        name = f"layer {layer.name!r} ({type(layer).__name__})"
        only = f"{setting} {' or '.join(map(repr, values))}"
        raise InputError(f"{name}: a page can compute it only with {only}, not {value!r}")


def _numbers(variable):
    return keras.ops.convert_to_numpy(variable).astype(np.float32)


def _bias_and_activation(layer):
    if getattr(layer, "use_bias", False):
        shift = _numbers(layer.bias)
        yield {"kind": "scaleAndShift", "scale": np.ones_like(shift), "shift": shift}
    _require(layer, "activation", *ACTIVATIONS, "linear", "softmax")
    name = layer.get_config()["activation"]
    if name == "softmax":
        yield {"kind": "softmax", "channels": layer.output.shape[-1]}
    elif name != "linear":
        yield ACTIVATIONS[name]


def _dense(layer):
    yield {"kind": "dense", "kernel": _numbers(layer.kernel).T}
    yield from _bias_and_activation(layer)


def _transposed_convolution(layer):
    _require(layer, "data_format", "channels_last")
    _require(layer, "dilation_rate", (1, 1))
    _require(layer, "output_padding", None)
    _require(layer, "padding", "same", "valid")
    # With "same", the output is cut to `strides` times the input, at the top and left by half of what is too much.
    pairs = zip(layer.kernel_size, layer.strides, strict=True)
    yield {
        "kind": "transposedConvolution",
        "kernel": _numbers(layer.kernel),  # [height, width, channels of the output, channels of the input]
        "strides": list(layer.strides),
        "cut": [max(size - stride, 0) // 2 if layer.padding == "same" else 0 for size, stride in pairs],
        "from": list(layer.input.shape[1:]),
        "to": list(layer.output.shape[1:]),
    }
    yield from _bias_and_activation(layer)


def _batch_norm(layer):
    """After training, batch norm is a scale and a shift for each channel."""
    _require(layer, "axis", -1, layer.output.ndim - 1)
    scale = 1.0 / np.sqrt(_numbers(layer.moving_variance).astype(np.float64) + layer.epsilon)
    scale = scale * _numbers(layer.gamma) if layer.scale else scale
    shift = (_numbers(layer.beta) if layer.center else 0.0) - _numbers(layer.moving_mean) * scale
    yield {"kind": "scaleAndShift", "scale": scale.astype(np.float32), "shift": shift.astype(np.float32)}


def _rescaling(layer):
    channels = layer.output.shape[-1]
    scale, shift = (np.broadcast_to(np.float32(value), channels) for value in (layer.scale, layer.offset))
    yield {"kind": "scaleAndShift", "scale": scale, "shift": shift}


def _relu(layer):
    _require(layer, "max_value", None)
    _require(layer, "threshold", 0.0)
    yield {"kind": "leakyRelu", "slope": float(layer.negative_slope)}


def _concatenate(layer):
    _require(layer, "axis", -1, layer.output.ndim - 1)
    yield {"kind": "concatenate", "channels": [value.shape[-1] for value in layer.input]}


def _nothing(layer):
    """No step: the layer changes no number, and not their order."""
    _require(layer, "data_format", "channels_last")
    return ()


LAYERS = {
    "Dense": _dense,
    "Conv2DTranspose": _transposed_convolution,
    "BatchNormalization": _batch_norm,
    "LeakyReLU": _relu,
    "ReLU": _relu,
    "Activation": _bias_and_activation,
    "Rescaling": _rescaling,
    "Concatenate": _concatenate,
    **dict.fromkeys(["Reshape", "Flatten", "Dropout", "Identity"], _nothing),
}


def pack(network):
    """The network with each array replaced by its place, {"shape", "type", "start" in bytes}; and the bytes of all."""
    arrays = [value for step in network["steps"] for value in step.values() if isinstance(value, np.ndarray)]
    packed = sorted(((array, _half(array)) for array in arrays), key=lambda pair: pair[1].itemsize, reverse=True)
    data, found = bytearray(), {}  # float32 first, so that each array starts at a multiple of its item's size
    for array, stored in packed:
        found[id(array)] = {"shape": list(array.shape), "type": stored.dtype.name, "start": len(data)}
        data += stored.tobytes()
    steps = [{key: found.get(id(value), value) for key, value in step.items()} for step in network["steps"]]
    return {**network, "steps": steps}, bytes(data)


def _half(array):
    """The array in float16 if it is large, and each number then differs by less than 2^-11 of the largest."""
    with np.errstate(over="ignore"):
        half = array.astype("<f2")
    is_good = array.size >= FEW and np.abs(half - array).max() <= 2.0**-11 * np.abs(array).max()
    return half if is_good else array.astype("<f4")
