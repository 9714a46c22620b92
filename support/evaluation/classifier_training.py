"""Trains digit classifiers: the one of all figures (--train-classifier), and that of GAN-train (--gan-train)."""

import math

from support import data
from support.console import watch
from support.evaluation import classifier, figures, measuring
from support.evaluation.classifier import build, scaled
from support.evaluation.definitions import BATCH, COMPARED, JUDGED, SEEN, TRAINED_ON
from support.lazy import keras, np, tf
from support.models import save_model
from support.outputs.files import checksum, write_json


def train_classifier(seed, epochs=12):
    """Trains a classifier. It and its record replace the old ones. Returns a line about it."""
    dataset = data.load_dataset()
    save_model(fit(dataset.train_images, dataset.train_labels, seed, epochs), classifier.CLASSIFIER)
    trained = classifier.load()
    accuracy = _accuracy(trained, dataset)
    # The best possible figures: those of training images, measured as if they had been generated.
    images, labels = (figures.drawn(part, COMPARED) for part in (dataset.train_images, dataset.train_labels))
    real, _ = measuring.measure(images, dataset, trained, unseen=dataset.test_images, labels=labels)
    real["gan_train"] = gan_train(dataset.train_images, dataset.train_labels, dataset)
    record = {
        "accuracy": accuracy,
        "sha256": checksum(classifier.CLASSIFIER),
        "seed": seed,
        "epochs": epochs,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "real": real,
        "judged": real_judged(dataset, trained),
    }
    write_json(classifier.RECORD, record)
    return f"{classifier.CLASSIFIER}: classifies {accuracy:.2%} of the test images correctly"


def real_judged(dataset, model):
    """The Fréchet distance of JUDGED training images from the test images: the mean over disjoint random samples.

    For so few images it differs between samples, by 0.02 in standard deviation.
    """
    features = classifier.classify(model, dataset.train_images).features
    of_test = classifier.classify(model, dataset.test_images).features
    mixed = np.random.default_rng(0).permutation(len(features))
    parts = [mixed[start : start + JUDGED] for start in range(0, len(mixed) - JUDGED + 1, JUDGED)] or [mixed]
    return float(np.mean([figures.frechet_distance(features[part], of_test) for part in parts]))


def gan_train(images, labels, dataset, most=TRAINED_ON):
    """GAN-train of uint8 [n, 28, 28] with labels int64 [n]: the accuracy on the test images of a new classifier.

    It is trained on at most `most` of these images alone, drawn at random if there are more. It sees SEEN images, so of
    fewer images it sees each more often. They are not distorted: distortions would add variety that they lack.
    Shmelkov et al. 2018; Ravuri and Vinyals 2019 call it classification accuracy score.
    """
    chosen = figures.drawn(np.arange(len(images)), most)
    epochs = max(1, round(SEEN / len(chosen)))
    with classifier.without_tf32():
        trained = fit(images[chosen], labels[chosen], 0, epochs, distort=False)
    return _accuracy(classifier.compiled(trained), dataset)


def _accuracy(model, dataset):
    """The share of the test images that a compiled classifier assigns to their digits."""
    return float((classifier.classify(model, dataset.test_images).labels == dataset.test_labels).mean())


def fit(images, labels, seed, epochs, distort=True):
    """A classifier trained on uint8 [n, 28, 28] with labels int64 [n], at least a batch of them.

    On the same machine, it depends on the images, their labels, the seed and the epochs alone.
    """
    keras.utils.set_random_seed(seed)
    images, labels, steps = tf.constant(images), tf.constant(labels), len(images) // BATCH
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(images))[: steps * BATCH] for _ in range(epochs)])

    def batch(step, chosen):
        values, seeds = scaled(tf.gather(images, chosen)), tf.stack([tf.constant(seed, tf.int64), step])
        return _distort(values, seeds) if distort else values, tf.gather(labels, chosen)

    batches = tf.data.Dataset.from_tensor_slices(order).batch(BATCH).enumerate().map(batch).prefetch(2)
    trained = build()
    # The rate rises over the first tenth of the training, then falls to zero along a cosine. The slow end averages out
    # the differences between batches.
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps * epochs * 9 // 10, warmup_target=3e-3, warmup_steps=steps * epochs // 10
    )
    trained.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    progress = watch(range(steps * epochs), "training a classifier")
    after_batch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: progress.update())
    trained.fit(batches, shuffle=False, verbose=0, callbacks=[after_batch])
    progress.close()
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
    transforms = tf.stack([a, b, x, c, d, y, zero, zero], axis=1)
    return keras.ops.image.affine_transform(images, transforms, fill_mode="constant", fill_value=-1.0)
