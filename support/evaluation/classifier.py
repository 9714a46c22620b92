"""The digit classifier behind evaluate_digits.py: its layers, its training, what it sees in images."""

import math
from pathlib import Path

import numpy as np

from support.machine.devices import keras, tf

CLASSIFIER = Path(__file__).with_name("digit_classifier.keras")
FEATURES = "features"


def build():
    """float32 [n, 28, 28, 1] in [-1, 1] (ink 1, paper -1) -> probabilities [n, 10]. Built-in layers only.

    The layer `features` (64 numbers an image) is a batch normalisation without scale and offset: over the training
    images each feature has mean 0 and variance 1, has both signs and no bound. So no feature outweighs another by its
    unit alone, and none saturates where images get strange, as it would behind a tanh or a ReLU.
    """
    layers = keras.layers

    def convolution(filters, size, strides=1, padding="same"):
        options = {"padding": padding, "use_bias": False, "data_format": "channels_last"}
        return [layers.Conv2D(filters, size, strides, **options), layers.BatchNormalization(), layers.ReLU()]

    image = value = keras.Input((28, 28, 1), name="image")
    for layer in [
        *convolution(32, 5, strides=2),
        *convolution(48, 3),
        *convolution(64, 3, strides=2),
        *convolution(64, 3, padding="valid"),
        layers.Flatten(data_format="channels_last"),
        layers.Dropout(0.4),
        layers.Dense(64, use_bias=False),
        layers.BatchNormalization(center=False, scale=False, name=FEATURES),
        layers.ReLU(),
        layers.Dropout(0.2),
        layers.Dense(10, activation="softmax", name="digit"),
    ]:
        value = layer(value)
    return keras.Model(image, value, name="digit_classifier")


def scaled(images):
    """uint8 [n, 28, 28] -> float32 [n, 28, 28, 1] in [-1, 1], inside a compiled function."""
    return tf.cast(images[..., None], tf.float32) / 127.5 - 1


def moved(images, seed):
    """Images [n, 28, 28, 1], each turned (to 10 degrees), stretched (8 %), slanted and shifted (2 pixels) by chance."""
    u = tf.random.stateless_uniform([6, tf.shape(images)[0]], seed, -1, 1, alg="philox")
    angle, stretch_x, stretch_y, slant = u[0] * math.radians(10), 1 + 0.08 * u[1], 1 + 0.08 * u[2], 0.12 * u[3]
    a, b = tf.cos(angle) * stretch_x, (slant - tf.sin(angle)) * stretch_y
    c, d = tf.sin(angle) * stretch_x, tf.cos(angle) * stretch_y
    middle, zero = 13.5, tf.zeros_like(a)
    x, y = middle * (1 - a - b) + 2 * u[4], middle * (1 - c - d) + 2 * u[5]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, x, c, d, y, zero, zero], axis=1),
        output_shape=[28, 28],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=-1.0,
    )


def fit(digits, seed, epochs, batch_size=128, peak_rate=3e-3):
    """The classifier, trained on the training images of Digits: on one machine, a function of the seed."""
    keras.utils.set_random_seed(seed)
    images, labels = tf.constant(digits.train_images), tf.constant(digits.train_labels)
    steps = len(digits.train_images) // batch_size
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(digits.train_images))[: steps * batch_size] for _ in range(epochs)])

    def batch(step, chosen):
        seeds = tf.stack([tf.constant(seed, tf.int64), step])
        return moved(scaled(tf.gather(images, chosen)), seeds), tf.gather(labels, chosen)

    batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size).enumerate().map(batch).prefetch(2)
    classifier = build()
    # Up for a tenth of the time, then down to nothing along a cosine: the slow end averages out what batches differ by.
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps * epochs * 9 // 10, warmup_target=peak_rate, warmup_steps=steps * epochs // 10
    )
    classifier.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(batches.repeat(), epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=2)
    plain = build()  # without optimizer and loss: a third of the size, and nothing that a loader must know
    plain.set_weights(classifier.get_weights())
    return plain


def load():
    """Compiled function: uint8 [m, 28, 28] -> features and probabilities side by side, float32 [m, 64 + 10]."""
    classifier = keras.models.load_model(CLASSIFIER, compile=False)
    both = keras.Model(classifier.inputs, [classifier.get_layer(FEATURES).output, *classifier.outputs])
    # TF32 would make the figures of some GPUs differ from those of all other machines in the third digit.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    return tf.function(lambda images: tf.concat(both(scaled(images), training=False), axis=1), reduce_retracing=True)


def seen(classifier, images, batch_size=1000):
    """What the function from `load` gives for uint8 [n, 28, 28]: features [n, 64], probabilities [n, 10]."""
    starts = range(0, len(images), batch_size)
    both = np.concatenate([classifier(images[start : start + batch_size]).numpy() for start in starts])
    return both[:, :-10], both[:, -10:]
