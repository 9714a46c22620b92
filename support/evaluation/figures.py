"""Figures that say how alike two sets of images are, and how varied one set is. numpy, scipy and scikit-learn only.

Features are float arrays [n, d], images uint8 arrays [n, 28, 28]; lengths between images are Euclidean distances over
pixel values in [0, 1].
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import eigh
from scipy.special import xlogy
from sklearn.metrics import pairwise_distances_chunked

WORKING_MEMORY_MIB = 64  # how much of a matrix of distances exists at one time


def mean_and_covariance(features):
    """Features [n, d] -> mean [d] and covariance [d, d] in float64; that of a single image is 0."""
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    return mean, centred.T @ centred / max(len(features) - 1, 1)


def frechet_of_statistics(mean_a, covariance_a, mean_b, covariance_b):
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)): the squared 2-Wasserstein distance of two normal distributions.

    A B has the eigenvalues of A^(1/2) B A^(1/2), which is symmetric: two calls of eigh, and nothing complex or unstable
    where a covariance is singular, as with fewer images than features.
    """
    values, vectors = eigh(covariance_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.sqrt(np.maximum(eigh(root @ covariance_b @ root, eigvals_only=True), 0)).sum()
    difference = mean_a - mean_b
    distance = difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2 * product
    return float(max(distance, 0.0))


def frechet_distance(features_a, features_b):
    """Fréchet distance (Heusel et al. 2017, there on Inception's features) of two sets of features; 0 is best."""
    return frechet_of_statistics(*mean_and_covariance(features_a), *mean_and_covariance(features_b))


def precision_recall_density_coverage(real, fake, k=5):
    """How two sets of features lie among each other, judged by balls that reach to the k-th neighbour in the own set.

    precision: share of fake within some real ball; recall: share of real within some fake ball (Kynkäänniemi et al.
    2019). density: real balls around a fake image, over k, which one strange real image cannot raise as it does
    precision; it may exceed 1. coverage: share of real balls that hold a fake image (both Naeem et al. 2020).
    Sets of k images or fewer take the farthest neighbour that they have.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    precise, balls, start = 0, 0, 0
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows in pairwise_distances_chunked(fake, real, working_memory=WORKING_MEMORY_MIB):
        inside = rows <= real_radii
        precise += inside.any(axis=1).sum()
        balls += inside.sum()
        covered |= inside.any(axis=0)
        recalled |= (rows <= fake_radii[start : start + len(rows), None]).any(axis=0)
        start += len(rows)
    return float(precise / len(fake)), float(recalled.mean()), float(balls / (k * len(fake))), float(covered.mean())


def _radii(features, k):
    """Distance of each to its k-th neighbour in the set; in a sorted row place 0 is the image itself."""
    k = min(k, len(features) - 1)
    chunks = pairwise_distances_chunked(features, working_memory=WORKING_MEMORY_MIB)
    return np.concatenate([np.partition(rows, k, axis=1)[:, k].copy() for rows in chunks])  # a view would keep it all


def divergence(p, q):
    """Kullback-Leibler divergence sum p log(p/q) in nats, over the last axis; q must not be 0 where p is not."""
    return (xlogy(p, p) - xlogy(p, q)).sum(axis=-1)


def classifier_score(probabilities):
    """exp(mean KL(p(digit | image) || p(digit))) of [n, 10]: 1 to 10, the inception score of Salimans et al. 2016."""
    probabilities = np.asarray(probabilities, np.float64)
    return math.exp(divergence(probabilities, probabilities.mean(axis=0)).mean())


def duplicates(images):
    """How many images equal an earlier one in every pixel."""
    return len(images) - len({image.tobytes() for image in images})


def nearest(images, reference, chunk=200):
    """For each image the nearest reference image: distances float64 [n], positions int64 [n].

    |a - b|^2 = |a|^2 - 2 a b + |b|^2 makes it one matrix product a chunk. In float32 that rounds too much to tell how
    near a copy is, so the distance to the one found is taken again from the pixels.
    """
    a, b = _flat(images), _flat(reference)
    squares = np.einsum("nd,nd->n", b, b)
    positions = [(squares - 2 * (a[start : start + chunk] @ b.T)).argmin(axis=1) for start in range(0, len(a), chunk)]
    positions = np.concatenate(positions)
    return np.sqrt(np.square(a - b[positions], dtype=np.float64).sum(axis=1)), positions


def sliced_wasserstein(images_a, images_b, directions=512, seed=0):
    """2-Wasserstein distance of the pixels seen along random directions (Rabin et al. 2011, Bonneel et al. 2015).

    Along one direction the optimal transport of two sets of equal size pairs them in sorted order. So of the larger set
    as many are drawn as the smaller one has. The root of the mean square over pairs and directions of length 1.
    """
    rng = np.random.default_rng(seed)
    n = min(len(images_a), len(images_b))
    axes = rng.standard_normal((images_a[0].size, directions), np.float32)
    axes /= np.linalg.norm(axes, axis=0)
    shadows = [np.sort((_flat(drawn(images, n, seed)) @ axes).T) for images in (images_a, images_b)]
    return float(np.sqrt(np.square(shadows[0] - shadows[1], dtype=np.float64).mean()))


def drawn(items, n, seed=0):
    """n of the items without repetition, in their order; all of them where there are no more."""
    return items[np.sort(np.random.default_rng(seed).permutation(len(items))[:n])]


def _flat(images):
    """uint8 [n, 28, 28] -> float32 [n, 784] in [0, 1]"""
    return np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)
