"""A figure that is cheap enough to be measured after each epoch of a training run."""

import contextlib
import functools

from support.data import MNIST, MNIST_SHA256, load_dataset
from support.drawing import draw_digits
from support.errors import InputError
from support.evaluation import classifier, figures
from support.evaluation.definitions import JUDGED
from support.labels import labels_of
from support.lazy import np

NAMES = {  # in a line, and how the number is written
    "frechet_distance": ("Fréchet distance", ".3f"),
    "sliced_wasserstein": ("sliced Wasserstein distance", ".4f"),
}


def prepare(generator, dataset, seed):
    """A function without arguments that returns a figure of the generator's digits, a float by name; lower is better.

    "frechet_distance": for MNIST, from its test images, as in evaluate_digits.py. "sliced_wasserstein": for other data,
    from the test images or, if there are none, the training images. JUDGED digits are drawn, fewer if the dataset has
    fewer images, always from the same latent vectors. A generator with labels is asked for those of random training
    images.
    """
    chosen = np.random.default_rng(0).permutation(len(dataset.train_images))[:JUDGED]
    asked = dataset.train_labels[chosen].tolist() if labels_of(generator) else None
    unseen = dataset.train_images if dataset.test_images is None else dataset.test_images
    distance = functools.cache(distance_from_mnist)  # prepared at the end of the first epoch
    is_mnist = dataset.sha256 == MNIST_SHA256 and MNIST.exists() and real_figures()

    def measure():
        digits = np.concatenate(list(draw_digits(generator, len(chosen), seed, digits=asked)))
        if is_mnist:
            return {"frechet_distance": distance()(digits)}
        return {"sliced_wasserstein": figures.sliced_wasserstein(digits, unseen)}

    return measure


def distance_from_mnist():
    """A function from digits, uint8 [n, 28, 28], to their Fréchet distance from the test images of MNIST, a float."""
    model = classifier.load()
    real = classifier.classify(model, load_dataset().test_images).features
    return lambda digits: figures.frechet_distance(classifier.classify(model, digits).features, real)


def real_figures():
    """The Fréchet distance of real digits, measured as in `prepare`, by name; {} without the classifier's record."""
    with contextlib.suppress(InputError, OSError, ValueError, KeyError):  # missing, damaged, or not of one training
        return {"frechet_distance": classifier.read_record()["judged"]}
    return {}


def in_words(row):
    """The figure of an epoch, a row of the history, as a part of a line."""
    return ", ".join(f"{name} {row[column]:{form}}" for column, (name, form) in NAMES.items() if column in row)
