"""Trains the digit classifier: evaluate_digits.py --train-classifier."""

import json
import math

import numpy as np

from support.datasets import loading
from support.evaluation import classifier
from support.evaluation.classifier import build, scaled
from support.evaluation.measuring import real_figures
from support.machine.devices import keras, tf
from support.results.files import write_text
from support.results.models import save_model


def train_classifier(seed, epochs=12):
    """Trains a classifier. It and its record replace the old ones. Returns its accuracy on the test images."""
    dataset = loading.load_dataset()
    save_model(fit(dataset, seed, epochs), classifier.CLASSIFIER)
    trained = classifier.load()
    labels = classifier.classify(trained, dataset.test_images).labels
    accuracy = float((labels == dataset.test_labels).mean())
    record = {
        "accuracy": accuracy,
        "sha256": classifier.checksum(),
        "features": classifier.FEATURES,
        "seed": seed,
        "epochs": epochs,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "real": real_figures(dataset, trained),
    }
    write_text(classifier.RECORD, json.dumps(record, indent=1) + "\n")
    return accuracy


def fit(dataset, seed, epochs, batch_size=128, peak_rate=3e-3):
    """A classifier trained on the training images of `dataset`. On the same machine, it depends on the seed alone."""
    keras.utils.set_random_seed(seed)
    images, labels = tf.constant(dataset.train_images), tf.constant(dataset.train_labels)
    steps = len(dataset.train_images) // batch_size
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(dataset.train_images))[: steps * batch_size] for _ in range(epochs)])

    def batch(step, chosen):
        seeds = tf.stack([tf.constant(seed, tf.int64), step])
        return _distort(scaled(tf.gather(images, chosen)), seeds), tf.gather(labels, chosen)

    batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size).enumerate().map(batch).prefetch(2)
    trained = build()
    # The rate rises over the first tenth of the training, then falls to zero along a cosine. The slow end averages out
    # the differences between batches.
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps * epochs * 9 // 10, warmup_target=peak_rate, warmup_steps=steps * epochs // 10
    )
    trained.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    trained.fit(batches.repeat(), epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=2)
    plain = build()  # without optimizer and loss, the file has a third of the size and loads everywhere
    plain.set_weights(trained.get_weights())
    return plain


def _distort(images, seed):
    """Images [n, 28, 28, 1], each rotated (by up to 10 degrees), stretched (8 %), slanted and shifted (2 pixels)."""
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
