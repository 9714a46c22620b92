"""The figures of quality: names, definitions (docs/quality.md explains them), constants. Standard library only."""

from typing import NamedTuple

COMPARED = 10_000  # number of images for a comparison of two sets, because the result depends on the number
TRAINED_ON = 60_000  # number of images that train the classifier of GAN-train: the size of MNIST's training set
SEEN = 600_000  # images that this classifier sees in its training, with repetition: ten epochs of TRAINED_ON
BATCH = 128  # images in a step of the training of a classifier
JUDGED = 5_000  # number of digits that are measured after each epoch of a training run
FEW = 2_000  # with fewer images, the figures depend more on the number of images than on their quality
NEIGHBOURS = 5
CONFIDENT = 0.9
# By digit: half the smallest distance between a test image and a training image of that digit. An image closer to a
# training image of that digit is a copy. A training image with some noise is closer; a test image averaged with its
# nearest training image almost never is.
COPY_DISTANCES = (1.18, 0.41, 1.38, 1.52, 1.20, 1.38, 1.14, 0.96, 1.43, 1.09)


class Figure(NamedTuple):
    key: str  # in the JSON report
    name: str  # with a star: it compares COMPARED of the images with MNIST
    better: str  # ↑ higher, ↓ lower, ≈ as for real digits
    form: str  # as in format()
    definition: str


FIGURES = (
    Figure("frechet_distance", "Fréchet distance *", "↓", "10.3f",
           "from the test images, on the classifier's 64 features, taken as normally distributed (Heusel et al. 2017)"),
    Figure("precision", "precision *", "↑", "10.3f",
           f"share of the images that are close to a test image: closer than its {NEIGHBOURS}th-nearest test image, "
           "on the features"),
    Figure("recall", "recall *", "↑", "10.3f",
           "the same with the roles exchanged: share of the test images that are close to an image "
           "(both Kynkäänniemi et al. 2019)"),
    Figure("density", "density *", "↑", "10.3f",
           f"number of test images that an image is close to, divided by {NEIGHBOURS}, on average"),
    Figure("coverage", "coverage *", "↑", "10.3f",
           "share of the test images that have at least one image close to them (both Naeem et al. 2020)"),
    Figure("sliced_wasserstein", "sliced Wasserstein *", "↓", "10.4f",
           "from the test images, on pixels in [0, 1], along 512 random directions; no classifier (Rabin et al. 2011)"),
    Figure("classifier_score", "classifier score", "↑", "10.3f",
           "the inception score, computed with this classifier: from 1 to 10 (Salimans et al. 2016)"),
    Figure("confident", "confident", "↑", "10.3f",
           f"share of the images that the classifier assigns to a digit with a confidence above {CONFIDENT:.0%}"),
    Figure("digit_divergence", "digit divergence", "↓", "10.4f",
           "Kullback-Leibler divergence, in nats, of the shares of the ten digits from those in the training set"),
    Figure("duplicates", "duplicates", "↓", "10,d",
           "number of images that equal an earlier image in every pixel"),
    Figure("nearest_distance", "nearest distance *", "≈", "10.3f",
           "median distance to the nearest training image, pixels in [0, 1]; much smaller than real: memorised"),
    Figure("copies", "copies *", "↓", "10,d",
           "memorised: closer to a training image than half the smallest distance of a test image of that digit"),
    Figure("gan_test", "GAN-test", "↑", "10.4f",
           "share of the images whose label the classifier confirms; needs labels (Shmelkov et al. 2018)"),
    Figure("gan_train", "GAN-train", "↑", "10.4f",
           "share of the test images that a second classifier gets right, trained on these images and their labels "
           "alone; with --gan-train (Shmelkov et al. 2018)"),
)  # fmt: skip
