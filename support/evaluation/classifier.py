"""The digit classifier behind evaluate_digits.py: its layers, its file, and what it says about images."""

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

from support.console import watch
from support.errors import InputError
from support.lazy import keras, np, tf
from support.outputs.files import checksum

CLASSIFIER = Path(__file__).with_name("digit_classifier.keras")
RECORD = CLASSIFIER.with_suffix(".json")  # how it was trained, its checksum, and the figures of real digits
FEATURES = "features"
PART = 1000  # images at a time


class Classified(NamedTuple):
    """What the classifier says about n images."""

    features: object  # float32 [n, 64]; mean 0 and variance 1 over the training images
    probabilities: object  # float32 [n, 10]
    labels: object  # int64 [n], the most probable digit of each image
    confidences: object  # float32 [n], the probability of that digit


def build():
    """float32 [n, 28, 28, 1] in [-1, 1] (ink 1, paper -1) -> probabilities [n, 10]. Built-in layers only.

    The layer `features` (64 numbers per image) is a batch normalisation without scale and offset. So every feature has
    a mean of about 0 and a variance of about 1 over the training images, and no feature outweighs the others because of
    its unit. Features have both signs and no bound: they do not saturate for strange images, as they would after a tanh
    or a ReLU.
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
    """uint8 [n, 28, 28] -> float32 [n, 28, 28, 1] in [-1, 1]. For use in a compiled function."""
    return tf.cast(images[..., None], tf.float32) / 127.5 - 1


def load():
    """The classifier in CLASSIFIER, compiled; see compiled."""
    return compiled(keras.models.load_model(CLASSIFIER, compile=False))


def compiled(classifier):
    """A function from uint8 [m, 28, 28] to features beside probabilities, float32 [m, 64 + 10]."""
    both = keras.Model(classifier.inputs, [classifier.get_layer(FEATURES).output, *classifier.outputs])
    return tf.function(lambda images: tf.concat(both(scaled(images), training=False), axis=1), reduce_retracing=True)


def classify(classifier, images):
    """What the function from `load` or `compiled` says about uint8 [n, 28, 28], as Classified."""
    starts = watch(range(0, len(images), PART), f"classifying {len(images):,} images")
    with without_tf32():
        both = np.concatenate([classifier(images[start : start + PART]).numpy() for start in starts])
    probabilities = both[:, -10:]
    return Classified(both[:, :-10], probabilities, probabilities.argmax(axis=1), probabilities.max(axis=1))


@contextlib.contextmanager
def without_tf32():
    """A block in which a GPU multiplies in float32. With TF32, the third digit of a figure would depend on the GPU."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def read_record():
    """The record of the classifier, a dictionary. Raises InputError if it belongs to another classifier."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    if checksum(CLASSIFIER) != record["sha256"]:
        advice = "get both files again, or create both with --train-classifier"
        raise InputError(f"{CLASSIFIER}: is not the classifier that {RECORD.name} describes; {advice}")
    return record
