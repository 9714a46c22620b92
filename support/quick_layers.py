"""Layers that are quicker to train than Keras's, with the same weights and the same values up to rounding.

Networks are built with keras.layers. `quick` swaps three kinds of layers before training. `plain` swaps them back
before saving, so a saved model holds layers built into Keras only.
"""

import functools
import math

from support import randomness
from support.lazy import keras, tf


def quick(network):
    """A copy of a Keras model, with its weights, that is quicker to train."""
    return _copy(network, _quick_classes())


def plain(network):
    """A copy of a model, with its weights, of layers built into Keras, also if `quick` has swapped some."""
    return _copy(network, {name: getattr(keras.layers, name) for name in _quick_classes()})


def _copy(network, classes):
    """A copy of a model. A layer whose class has a name in `classes` becomes a layer of that class."""

    def copy_layer(layer):
        layer_class = classes.get(type(layer).__name__, type(layer))
        return layer_class.from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=copy_layer)
    copy.set_weights(network.get_weights())
    return copy


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
def _quick_classes():
    """The quick layers by name. Defined in a function, so that Keras is not imported before the options are read."""

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
        """Dropout whose random numbers do not depend on XLA (see randomness.py)."""

        def call(self, inputs, training=False):
            if not (training and self.rate):
                return inputs
            seed = tf.cast(self.seed_generator.next() % (tf.int32.max - 1), tf.int32)  # as Keras does
            kept = randomness.uniform(tf.shape(inputs), seed) >= self.rate
            return tf.where(kept, inputs / (1 - self.rate), 0.0)

    return {layer.__name__: layer for layer in (BatchNormalization, LeakyReLU, Dropout)}
