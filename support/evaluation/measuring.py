"""Measures the figures of quality of a set of images."""

from dataclasses import dataclass

from support.evaluation import classifier, figures
from support.evaluation.definitions import COMPARED, CONFIDENT, COPY_DISTANCES, NEIGHBOURS
from support.lazy import np


@dataclass(frozen=True)
class Details:
    """The arrays behind the figures of n images, for the page of pictures."""

    images: object  # uint8 [n, 28, 28], 0 to 255
    classified: classifier.Classified
    compared: object  # int64 [m]: positions of the images that were compared with MNIST
    distances: object  # float64 [m]: from each of them to the nearest training image, pixels in [0, 1]
    neighbours: object  # int64 [m]: the position of that training image


def measure(images, dataset, model, classified=None, unseen=None, labels=None):
    """The figures of uint8 [n, 28, 28], a dictionary (see definitions.py), and the Details behind them.

    The images are compared with the test images, because no generator was trained on those. Only `nearest_distance` and
    `copies`, which look for memorised images, compare with the training images.

    model: what classifier.load returns. classified: what it says about the images, if that is already known.
    unseen: images to use for these two figures if `images` are training images themselves.
    labels: int64 [n], those of the images; without them, `gan_test` is None.
    """
    classified = classified or classifier.classify(model, images)
    compared = figures.drawn(np.arange(len(images)), COMPARED)
    test_images = figures.drawn(dataset.test_images, COMPARED)
    features, test_features = classified.features[compared], classifier.classify(model, test_images).features
    overlap = figures.precision_recall_density_coverage(test_features, features, NEIGHBOURS)
    distances, neighbours = figures.nearest(images[compared] if unseen is None else unseen, dataset.train_images)
    shares, real_shares = _shares(classified.labels), _shares(dataset.train_labels)
    values = {
        "frechet_distance": figures.frechet_distance(features, test_features),
        **dict(zip(("precision", "recall", "density", "coverage"), overlap, strict=True)),
        "sliced_wasserstein": figures.sliced_wasserstein(images[compared], test_images),
        "classifier_score": figures.classifier_score(classified.probabilities),
        "confident": float((classified.confidences > CONFIDENT).mean()),
        "digit_divergence": float(figures.special.rel_entr(shares, real_shares).sum()),
        "duplicates": len(images) - len({image.tobytes() for image in images}),
        "nearest_distance": float(np.median(distances)),
        "copies": int((distances < np.take(COPY_DISTANCES, dataset.train_labels[neighbours])).sum()),
        "gan_test": None if labels is None else float((classified.labels == labels).mean()),
        "shares": shares.tolist(),
    }
    return values, Details(images, classified, compared, distances, neighbours)


def _shares(labels):
    """The share of each digit among the labels [n]: float64 [10]."""
    return np.bincount(labels, minlength=10) / len(labels)
