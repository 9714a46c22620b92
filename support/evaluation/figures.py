"""The mathematics of the figures: how similar two sets of images are, and how varied one set is.

Features are float arrays [n, d], images are uint8 arrays [n, 28, 28]. Distances between images are Euclidean, with
pixels in [0, 1].
"""

import math

from support.lazy import Lazy, np

linalg, special = Lazy("scipy.linalg"), Lazy("scipy.special")
metrics, neighbors = Lazy("sklearn.metrics"), Lazy("sklearn.neighbors")
MIB = 64  # for the part of a matrix of distances that is in memory at a time


def frechet_distance(features_a, features_b):
    """Fréchet distance of two sets of features; 0 is best. Heusel et al. 2017, who use Inception's features.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), A and B the covariances: the squared 2-Wasserstein distance of two
    normal distributions. A B has the same eigenvalues as A^(1/2) B A^(1/2), which is symmetric. So two calls of eigh
    suffice, and the result is real and stable even if a covariance is singular, as with fewer images than features.
    """
    both = [np.asarray(features, np.float64) for features in (features_a, features_b)]
    mean_a, mean_b = (features.mean(axis=0) for features in both)
    # The covariance of a single image is 0.
    covariance_a, covariance_b = (np.cov(part.T, ddof=min(1, len(part) - 1)) for part in both)
    values, vectors = linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.sqrt(np.maximum(linalg.eigh(root @ covariance_b @ root, eigvals_only=True), 0)).sum()
    difference = mean_a - mean_b
    distance = difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2 * product
    return float(max(distance, 0.0))


def precision_recall_density_coverage(real, fake, k=5):
    """How two sets of features overlap: precision, recall, density and coverage, four floats.

    Each feature vector has a ball around it that reaches to its k-th nearest neighbour in its own set.
    precision: share of fake inside some real ball; recall: share of real inside some fake ball (Kynkäänniemi et al.
    2019). density: number of real balls around a fake vector, divided by k, on average; it may exceed 1, and a single
    strange real image changes it less than precision. coverage: share of the real balls with a fake vector inside
    (both Naeem et al. 2020). In a set of k or fewer, the ball reaches to the farthest neighbour.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    precise, balls, start = 0, 0, 0
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows in metrics.pairwise_distances_chunked(fake, real, working_memory=MIB):
        inside = rows <= real_radii
        precise += inside.any(axis=1).sum()
        balls += inside.sum()
        covered |= inside.any(axis=0)
        recalled |= (rows <= fake_radii[start : start + len(rows), None]).any(axis=0)
        start += len(rows)
    return float(precise / len(fake)), float(recalled.mean()), float(balls / (k * len(fake))), float(covered.mean())


def _radii(features, k):
    """The distance of each feature vector [n, d] to its k-th nearest neighbour: float64 [n]."""
    near = neighbors.NearestNeighbors(n_neighbors=min(k + 1, len(features))).fit(features)  # each is its own nearest
    return near.kneighbors(features)[0][:, -1]


def classifier_score(probabilities):
    """The inception score exp(mean KL(p(digit | image) || p(digit))), 1 to 10, of [n, 10] (Salimans et al. 2016)."""
    probabilities = np.asarray(probabilities, np.float64)
    return math.exp(special.rel_entr(probabilities, probabilities.mean(axis=0)).sum(axis=1).mean())


def nearest(images, reference):
    """The nearest reference image of each image: distances float64 [n], positions int64 [n]."""
    positions, distances = metrics.pairwise_distances_argmin_min(_flat(images), _flat(reference))
    return distances, positions


def sliced_wasserstein(images_a, images_b, directions=512):
    """2-Wasserstein distance of the pixels, projected onto random directions (Rabin et al. 2011, Bonneel et al. 2015).

    Along one direction, optimal transport pairs two sets of equal size in sorted order. If one set is larger, a
    sample of it is used. Returns the root of the mean square over all pairs and directions.
    """
    rng = np.random.default_rng(0)
    n = min(len(images_a), len(images_b))
    axes = rng.standard_normal((images_a[0].size, directions), np.float32)
    axes /= np.linalg.norm(axes, axis=0)
    shadows = [np.sort((_flat(drawn(images, n)) @ axes).T) for images in (images_a, images_b)]
    return float(np.sqrt(np.square(shadows[0] - shadows[1], dtype=np.float64).mean()))


def drawn(items, n, seed=0):
    """n of the items at random, without repetition and in their order; all of them if there are no more than n."""
    return items[np.sort(np.random.default_rng(seed).permutation(len(items))[:n])]


def _flat(images):
    """uint8 [n, 28, 28] -> float32 [n, 784] in [0, 1]"""
    return np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)
