"""What the networks and the objectives of all recipes have in common."""

import itertools

from support.devices import keras, tf

STRIDED = {"strides": 2, "padding": "same"}


def initializers(kind, seed, first):
    """An endless row of initialisers of that kind, each with a number of its own, fixed by `seed` and `first`."""
    return (kind(seed=(seed * 64 + number) % 2**31) for number in itertools.count(first))


def seed_dropout(network, seed):
    """Makes what the Dropout layers of `network` leave out next a function of `seed`, integers [2].

    They have a random state of their own, the same in every training and on every device.
    """
    for number, layer in enumerate(network.layers):
        if isinstance(layer, keras.layers.Dropout):
            state = layer.seed_generator.state
            state.assign(tf.cast(tf.random.experimental.stateless_fold_in(seed, number), state.dtype))


def mean(values):
    """The mean of float32 values; in float64, for bfloat16 (see devices.training_precision) is too coarse for it."""
    return tf.reduce_mean(tf.cast(values, tf.float64))
