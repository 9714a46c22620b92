"""Measures the figures of quality of a set of images."""

from dataclasses import dataclass

from scipy.special import rel_entr

from support.evaluation import classifier, figures
from support.evaluation.definitions import COMPARED, CONFIDENT, COPY_DISTANCES, FEW, JUDGED, NEIGHBOURS
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
    precision, recall, density, coverage = figures.precision_recall_density_coverage(
        test_features, features, NEIGHBOURS
    )
    distances, neighbours = figures.nearest(images[compared] if unseen is None else unseen, dataset.train_images)
    shares = digit_shares(classified.labels)
    values = {
        "frechet_distance": figures.frechet_distance(features, test_features),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "sliced_wasserstein": figures.sliced_wasserstein(images[compared], test_images),
        "classifier_score": figures.classifier_score(classified.probabilities),
        "confident": float((classified.confidences > CONFIDENT).mean()),
        "digit_divergence": float(rel_entr(shares, digit_shares(dataset.train_labels)).sum()),
        "duplicates": figures.duplicates(images),
        "nearest_distance": float(np.median(distances)),
        "copies": int((distances < np.take(COPY_DISTANCES, dataset.train_labels[neighbours])).sum()),
        "gan_test": None if labels is None else float((classified.labels == labels).mean()),
        "shares": shares.tolist(),
    }
    return values, Details(images, classified, compared, distances, neighbours)


def real_figures(dataset, model):
    """The figures of 10,000 training images, measured as if they had been generated: the best possible ones."""
    images, labels = (figures.drawn(part, COMPARED) for part in (dataset.train_images, dataset.train_labels))
    return measure(images, dataset, model, unseen=dataset.test_images, labels=labels)[0]


def real_judged(dataset, model):
    """The Fréchet distance of JUDGED training images from the test images: the mean over disjoint random samples.

    For so few images it differs between samples, by 0.02 in standard deviation.
    """
    features, of_test = (
        classifier.classify(model, images).features for images in (dataset.train_images, dataset.test_images)
    )
    mixed = np.random.default_rng(0).permutation(len(features))
    parts = [mixed[start : start + JUDGED] for start in range(0, len(mixed) - JUDGED + 1, JUDGED)] or [mixed]
    return float(np.mean([figures.frechet_distance(features[part], of_test) for part in parts]))


def digit_shares(labels):
    """The share of each digit among the labels [n]: float64 [10]."""
    return np.bincount(labels, minlength=10) / len(labels)


def warnings_about(images):
    """Reasons why the figures of these images may mislead, one line each."""
    lines = []
    if len(images) < FEW:
        lines.append(
            f"only {len(images):,} images: the figures are biased, the Fréchet distance upwards, "
            f"coverage downwards; give {COMPARED:,} or more"
        )
    if images.mean() > 127:
        lines.append("the images look like dark ink on white paper, MNIST is white ink on black: invert them first")
    return lines
