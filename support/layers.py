"""What the networks and the objectives of all recipes have in common."""

import functools
import itertools
import math

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
    """The mean of float32 values; in float64, for bfloat16 (see devices.training_passes) is too coarse for it."""
    return tf.reduce_mean(tf.cast(values, tf.float64))


def fuse_layers(network):
    """Makes `network` quicker to train: the layers compute the same values in fewer passes over their arrays.

    The dozen operations of Keras's batch norm become one. LeakyReLU takes its gradient from its output, which has the
    sign of its input; so nothing needs a convolution's values before it, and TensorFlow computes the two as one. The
    layers' calls are replaced, in this process alone: what is saved is an ordinary network. TensorFlow keeps a function
    that was compiled with such a gradient, and the weights that it refers to, until the process ends.
    """
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            fuse_layers(layer)
        elif isinstance(layer, keras.layers.LeakyReLU):
            layer.call = functools.partial(_leaky_relu, layer.negative_slope)
        elif isinstance(layer, keras.layers.BatchNormalization) and _is_over_channels(layer):
            layer.call = functools.partial(_fused_batch_norm, layer)


def _is_over_channels(layer):
    """True for a batch norm of the usual kind, the only one that there is an operation for."""
    last = layer.axis in (-1, len(layer.input.shape) - 1)
    return last and layer.scale and layer.center and not (layer.synchronized or getattr(layer, "renorm", False))


def _fused_batch_norm(layer, inputs, training=None, mask=None):
    if not (training and layer.trainable and inputs.shape[0]) or mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    pixels = inputs if len(inputs.shape) == 4 else tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
    values, average, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=pixels, scale=layer.gamma.value, offset=layer.beta.value, mean=[], variance=[], epsilon=layer.epsilon
    )
    count = math.prod(pixels.shape[:-1])
    variance *= (count - 1) / count  # it is that of a sample, Keras's that of the batch itself
    for moving, now in ((layer.moving_mean, average), (layer.moving_variance, variance)):
        moving.assign(moving.value * layer.momentum + now * (1 - layer.momentum))
    return tf.reshape(values, inputs.shape)


def _leaky_relu(slope, inputs):
    @tf.custom_gradient
    def leaky_relu(values):
        outputs = tf.nn.leaky_relu(values, slope)
        signs = tf.stop_gradient(outputs)  # they do not change; without this a second gradient, of zeros, is computed
        return outputs, lambda above: tf.raw_ops.LeakyReluGrad(gradients=above, features=signs, alpha=slope)

    return leaky_relu(inputs)
