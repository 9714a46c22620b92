"""Figures that are cheap enough to be measured after each epoch of a training run."""

import contextlib
import functools

import numpy as np

from support.datasets.loading import MNIST, MNIST_SHA256, load_dataset
from support.drawing import draw_digits
from support.errors import InputError
from support.evaluation import classifier
from support.evaluation.definitions import JUDGED
from support.labels import labels_of
from support.machine.devices import tf

PAIRS = 500  # points at which the slope of the critic is measured
PART_OF_EPOCH = 10  # the critic is trained on the digits during a tenth of an epoch
WORDS = {  # name and form of each figure in a line
    "frechet_distance": ("Fréchet distance", ".3f"),
    "sliced_wasserstein": ("sliced Wasserstein distance", ".4f"),
    "wasserstein_in_pixels": ("Wasserstein estimate in pixels", ".3f"),
}


def prepare(training, dataset, seed, iterate, epoch_length):
    """A function without arguments that returns figures of the generator's running average, floats by name.

    "wasserstein_in_pixels": only for a WGAN, see that function. "frechet_distance": only for MNIST, from its test
    images, as in evaluate_digits.py. "sliced_wasserstein": for other data, from the test images or, if there are none,
    the training images. Lower is better in all three.

    training: what build_training returns. iterate: what compile_iteration returns. epoch_length: in iterations. JUDGED
    digits are drawn, fewer if the dataset has fewer images, always from the same latent vectors. A generator with
    labels is asked for those of random training images.
    """
    from support.evaluation import figures  # here, because importing scipy and scikit-learn would delay --help

    labels = labels_of(training.average)
    chosen = np.random.default_rng(0).permutation(len(dataset.train_images))[:JUDGED]
    asked = dataset.train_labels[chosen].tolist() if labels else None
    choices = np.searchsorted(labels, asked) if labels else np.zeros(len(chosen), np.int64)
    unseen = dataset.train_images if dataset.test_images is None else dataset.test_images
    is_mnist = dataset.sha256 == MNIST_SHA256 and MNIST.exists() and real_distance() is not None
    distance = functools.cache(distance_from_mnist)  # prepared at the end of the first epoch

    def judge():
        fake, found = np.concatenate(list(draw_digits(training.average, len(chosen), seed, digits=asked))), {}
        if training.columns[0] == "wasserstein_estimate":
            pairs = dataset.train_images[chosen[:PAIRS]], fake[:PAIRS], choices[:PAIRS]
            found["wasserstein_in_pixels"] = wasserstein_in_pixels(training, iterate, epoch_length, *pairs)
        if not is_mnist:
            return found | {"sliced_wasserstein": figures.sliced_wasserstein(fake, unseen)}
        return found | {"frechet_distance": distance()(fake)}

    return judge


def distance_from_mnist():
    """A function from digits, uint8 [n, 28, 28], to their Fréchet distance from the test images of MNIST, a float."""
    from support.evaluation import figures

    model = classifier.load()

    def statistics(images):
        return figures.mean_and_covariance(classifier.classify(model, images).features)

    real = statistics(load_dataset().test_images)
    return lambda digits: figures.frechet_of_statistics(*statistics(digits), *real)


def wasserstein_in_pixels(training, iterate, epoch_length, real, fake, choices):
    """An estimate of the Wasserstein-1 distance of the digits from the real ones, with pixels in [0, 1], a float.

    The distance is the largest (E[C(real)] - E[C(fake)]) / K of all critics C, K being the largest slope of C (equation
    2 of Arjovsky et al. 2017). The critic of the run is not the best one for these digits: it was trained for the
    newest weights of the generator, not for their average. So it is first trained on the digits during a tenth of an
    epoch, with the current learning rate and the random numbers of the first iterations. E[C(real)] - E[C(fake)] is the
    mean over these updates, each time before the update. Then the state of the run is restored.

    The difference of the scores alone cannot be compared between epochs, because K grows while the weights move to
    their bounds. K is the mean of mean_slope before and after these updates, with `real`, `fake` and `choices`.

    It is not a bound. Some slopes are larger than the mean, and the critic is still not the best one: both make the
    estimate wrong, in different directions. It depends neither on the units of the scores nor on the number of images,
    unlike the distance between two sets of images. It depends on the learning rate: compare only values of one run. It
    can be negative.
    """
    before = [np.asarray(variable).copy() for variable in training.variables]
    iterations = 1 + epoch_length // PART_OF_EPOCH
    slope_before = mean_slope(training.critic, real, fake, choices)
    training.iteration.assign(0)
    training.sums.assign(tf.zeros_like(training.sums))
    for _ in range(iterations):
        iterate(critic_only=True)
    slope = (slope_before + mean_slope(training.critic, real, fake, choices)) / 2
    difference = training.sums.numpy()[0] / iterations
    for variable, value in zip(training.variables, before, strict=True):
        variable.assign(value)
    return difference / slope if slope else 0.0


def mean_slope(critic, real, fake, choices):
    """How steep the critic is, scores per pixel in [0, 1]: a float.

    The mean length of its gradient at random points between pairs of real and generated images, where the gradient
    penalty measures it, too (Gulrajani et al. 2017).

    critic: images [n, 28, 28, 1] in [-1, 1] -> scores [n, labels]. real, fake: uint8 [n, 28, 28]. choices: int [n],
    the score to use for each pair.
    """
    with classifier.without_tf32(), tf.GradientTape(watch_accessed_variables=False) as tape:
        real, fake = (classifier.scaled(tf.constant(images)) for images in (real, fake))
        between = real + np.random.default_rng(0).random([len(choices), 1, 1, 1], np.float32) * (fake - real)
        tape.watch(between)
        scores = tf.gather(critic(between, training=False), choices, batch_dims=1)
    lengths = tf.norm(tf.reshape(tape.gradient(scores, between), [len(choices), -1]), axis=1)
    return 2 * float(tf.reduce_mean(lengths))  # 2: from pixels in [-1, 1] to pixels in [0, 1]


def real_distance():
    """The Fréchet distance of real digits, measured as in `prepare`. None without the classifier and its record."""
    with contextlib.suppress(InputError, OSError, ValueError, KeyError):  # missing, damaged, or not of one training
        return classifier.read_record()["judged"]


def outlook(history, recipe):
    """A line that says whether more epochs are worth it; "" if that is not known.

    history: a dictionary for each epoch. The rule comes from wgan with 10 and with 60 epochs, three runs of each
    (benchmarks/results/search.md, part eleven), and from cwgan with 5 and with 25.
    """
    found, real = history[-1].get("frechet_distance"), real_distance()
    if recipe not in ("wgan", "cwgan") or found is None or real is None:
        return ""
    now = f"the Fréchet distance is {found:.3f}, that of real digits {real:.3f}"
    if found < 1.5 * real:  # as after 60 epochs of wgan
        return f"{now}: more epochs would change little"
    if found > 4 * real:  # within the first epochs of a default run
        return f"{now}: a run with more epochs would come much closer"
    return f"{now}: with --epochs {4 * len(history)}, the difference would likely be a third as large"


def in_words(figures):
    """The figures of `prepare` among `figures`, a dictionary, as a part of a line."""
    return ", ".join(f"{name} {figures[column]:{form}}" for column, (name, form) in WORDS.items() if column in figures)
