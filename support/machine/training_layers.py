"""Layers that are quicker to train, and small functions that the networks and objectives of all recipes share."""

import functools
import itertools
import math
from types import SimpleNamespace

from support.machine import randomness
from support.machine.devices import keras, tf

STRIDED = {"strides": 2, "padding": "same"}


def initializers(kind, seed, first):
    """An endless iterator of initializers of this kind, each with its own seed, made from `seed` and `first`."""
    return (kind(seed=(seed * 64 + number) % 2**31) for number in itertools.count(first))


def mean(values):
    """The mean of float32 values, in float64: bfloat16 (see devices.training_passes) is too coarse for a sum."""
    return tf.reduce_mean(tf.cast(values, tf.float64))


def lower_rates(training, rate, generator_rate, total):
    """Sets the learning rates of this iteration. From `rate`, the critic's falls to a fiftieth by iteration `total`.

    That of the generator is `generator_rate` times as large.
    """
    rate *= 1.0 - 0.98 * tf.cast(training.iteration, tf.float32) / total
    training.critic_optimizer.learning_rate.assign(rate)
    training.generator_optimizer.learning_rate.assign(rate * generator_rate)


def seed_dropout(network, seed):
    """Makes the next random numbers of the Dropout layers of `network` a function of `seed`, two integers.

    Without it, a Dropout layer has its own random state, which is the same in every run and on every replica.
    """
    for number, layer in enumerate(network.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            state = layer.seed_generator.state
            state.assign(tf.cast(randomness.fold_in(seed, number), state.dtype))


def _fused_batch_norm(layer, inputs):
    """The outputs of a layer of batch norm in training, by one operation; updates its moving statistics."""
    pixels = inputs if len(inputs.shape) == 4 else tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
    values, average, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=pixels, scale=layer.gamma.value, offset=layer.beta.value, mean=[], variance=[], epsilon=layer.epsilon
    )
    count = math.prod(pixels.shape[:-1])
    variance *= (count - 1) / count  # the operation divides by count - 1, Keras by count
    for moving, now in ((layer.moving_mean, average), (layer.moving_variance, variance)):
        moving.assign(moving.value * layer.momentum + now * (1 - layer.momentum))
    return tf.reshape(values, inputs.shape)


@functools.cache
def training_layers():
    """keras.layers with three layers replaced by subclasses that are quicker to train, or independent of XLA.

    Their weights, configurations and values (up to rounding) are those of Keras. A saved model has built-in layers
    only: build a network with keras.layers and copy the weights to it. The classes are defined in this function, so
    that Keras is not imported before the options are read.
    """

    class BatchNormalization(keras.layers.BatchNormalization):
        """Batch norm over the last axis. In training it is one operation; Keras uses a dozen."""

        def call(self, inputs, training=None, mask=None):
            usual = self.axis in (-1, len(inputs.shape) - 1) and self.scale and self.center and not self.synchronized
            if not (usual and training and self.trainable and inputs.shape[0]) or mask is not None:
                return super().call(inputs, training=training, mask=mask)
            return _fused_batch_norm(self, inputs)

    class LeakyReLU(keras.layers.LeakyReLU):
        """LeakyReLU whose gradient needs only its output, so TensorFlow can fuse it with the convolution before it.

        TensorFlow keeps a compiled function with such a gradient, and its weights, until the process ends.
        """

        def call(self, inputs):
            @tf.custom_gradient
            def leaky_relu(values):
                outputs = tf.nn.leaky_relu(values, self.negative_slope)
                signs = tf.stop_gradient(outputs)  # otherwise a second gradient is computed, which is all zeros
                gradient = functools.partial(tf.raw_ops.LeakyReluGrad, features=signs, alpha=self.negative_slope)
                return outputs, lambda above: gradient(gradients=above)

            return leaky_relu(inputs)

    class Dropout(keras.layers.Dropout):
        """Dropout whose random numbers do not depend on XLA (see support/machine/randomness.py)."""

        def call(self, inputs, training=False):
            if not (training and self.rate):
                return inputs
            seed = tf.cast(self.seed_generator.next() % (tf.int32.max - 1), tf.int32)  # as Keras does
            kept = randomness.uniform(tf.shape(inputs), seed) >= self.rate
            return tf.where(kept, inputs / (1 - self.rate), 0.0)

    own = {layer.__name__: layer for layer in (BatchNormalization, LeakyReLU, Dropout)}
    return SimpleNamespace(**(vars(keras.layers) | own))
