"""The class Recipe, and the GANs that the default is compared with: recipes, networks, gradient penalty.

The default, a WGAN with clipped weights, is in the script. The discriminators of `dcgan` and `gan` have dropout and
return logits: the sigmoid is part of the objective.
"""

from dataclasses import dataclass

from support.machine import randomness
from support.machine.devices import keras, tf
from support.machine.training_layers import STRIDED, initializers, mean

LEAK = 0.02  # slope of LeakyReLU below zero in `dcgan`; with the usual 0.2 the Fréchet distance is 1.5 times as large
DROPOUT = 0.1  # of both discriminators; with the usual 0.3 the Fréchet distance is 1.25 to 1.5 times as large


@dataclass(frozen=True)
class Recipe:
    """One way to train a GAN: the defaults of the options with the same names, and settings without an option."""

    epochs: int
    batch_size: int
    n_critic: int
    learning_rate: float
    latent_dim: int = 100
    clip: float | None = None  # None: the weights are not clipped
    networks: str = "convolutional"  # a key of the script's NETWORKS
    objective: str = "wasserstein"  # or "cross-entropy"
    penalty: float = 0.0  # weight of the gradient penalty
    generator_rate: float = 1.0  # learning rate of the generator, divided by that of the critic
    reuse_images: bool = False  # in the generator's update, those of the n_critic updates, no new ones
    conditional: bool = False  # one score and one choice for each label of the dataset, instead of `choices`
    choices: int = 0  # number of learned vectors that the generator starts from, see build_generator
    clip_scaled: bool = False  # clip each layer to clip times the bound of its He initialisation, see clip_bounds
    centred: bool = False  # shift the weights of each critic unit to mean zero before clipping, see clip_weights
    decay: bool = True  # the learning rate falls linearly to a fiftieth


# How these settings were found: benchmarks/results/search.md.
OTHER_RECIPES = {
    # A gradient penalty instead of clipping (Gulrajani et al. 2017).
    "wgan-gp": Recipe(
        epochs=8, batch_size=32, n_critic=2, learning_rate=1e-3, latent_dim=64, penalty=10.0, choices=10,
        reuse_images=True,
    ),
    # A discriminator that classifies images as real or generated: with convolutions (Radford et al. 2015), and without
    # (Goodfellow et al. 2014).
    "dcgan": Recipe(
        epochs=4, batch_size=32, n_critic=1, learning_rate=1e-3, networks="dcgan", objective="cross-entropy"
    ),
    "gan": Recipe(
        epochs=29, batch_size=64, n_critic=1, learning_rate=1e-3, networks="dense", objective="cross-entropy"
    ),
}  # fmt: skip


def build_dcgan_discriminator(seed=0, layers=None):
    """Convolutions with dropout: float32 images [n, 28, 28, 1] in [-1, 1] -> logits [n, 1] of being real."""
    kernel = initializers(keras.initializers.GlorotUniform, seed, first=0)
    layers = layers or keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(64, 5, **STRIDED, kernel_initializer=next(kernel)),
            layers.LeakyReLU(LEAK),
            layers.Dropout(DROPOUT, seed=0),
            layers.Conv2D(128, 5, **STRIDED, kernel_initializer=next(kernel)),
            layers.LeakyReLU(LEAK),
            layers.Dropout(DROPOUT, seed=0),
            layers.Flatten(),
            layers.Dense(1, kernel_initializer=next(kernel), name="score"),
        ],
        name="discriminator",
    )


def build_dcgan_generator(latent_dim=100, choices=0, seed=0, layers=None):
    """Transposed convolutions: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1]."""
    kernel = initializers(keras.initializers.GlorotUniform, seed, first=32)
    layers = layers or keras.layers
    hidden = []
    for filters, strides in ((128, 1), (64, 2)):
        hidden += [
            layers.Conv2DTranspose(
                filters, 5, strides=strides, padding="same", use_bias=False, kernel_initializer=next(kernel)
            ),
            layers.BatchNormalization(momentum=0.9),
            layers.LeakyReLU(LEAK),
        ]
    return keras.Sequential(
        [
            keras.Input((latent_dim,), name="latent"),
            layers.Dense(7 * 7 * 256, use_bias=False, kernel_initializer=next(kernel)),
            layers.BatchNormalization(momentum=0.9),
            layers.LeakyReLU(LEAK),
            layers.Reshape((7, 7, 256)),
            *hidden,
            layers.Conv2DTranspose(1, 5, **STRIDED, activation="tanh", kernel_initializer=next(kernel), name="digit"),
        ],
        name="generator",
    )


def build_dense_discriminator(seed=0, layers=None):
    """Dense layers with dropout: float32 images [n, 28, 28, 1] in [-1, 1] -> logits [n, 1] of being real."""
    kernel = initializers(keras.initializers.GlorotUniform, seed, first=0)
    layers, hidden = layers or keras.layers, []
    for units in (512, 256):
        hidden += [
            layers.Dense(units, kernel_initializer=next(kernel)),
            layers.LeakyReLU(0.2),
            layers.Dropout(DROPOUT, seed=0),
        ]
    score = layers.Dense(1, kernel_initializer=next(kernel), name="score")
    return keras.Sequential(
        [keras.Input((28, 28, 1), name="image"), layers.Flatten(), *hidden, score], name="discriminator"
    )


def build_dense_generator(latent_dim=100, choices=0, seed=0, layers=None):
    """Dense layers: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1]."""
    kernel = initializers(keras.initializers.GlorotUniform, seed, first=32)
    layers, hidden = layers or keras.layers, []
    for units in (256, 512, 1024):
        hidden += [
            layers.Dense(units, kernel_initializer=next(kernel)),
            layers.LeakyReLU(0.2),
            layers.BatchNormalization(momentum=0.9),
        ]
    pixels = layers.Dense(28 * 28, activation="tanh", kernel_initializer=next(kernel))
    return keras.Sequential(
        [keras.Input((latent_dim,), name="latent"), *hidden, pixels, layers.Reshape((28, 28, 1), name="digit")],
        name="generator",
    )


def discriminator_objective(real_logits, fake_logits):
    """Binary cross-entropy of logits [n, 1]: -log sigmoid(real) - log(1 - sigmoid(fake)), both as means."""
    return mean(tf.math.softplus(-real_logits)) + mean(tf.math.softplus(fake_logits))


def non_saturating_objective(fake_logits):
    """The loss of the generator: -log sigmoid, from the logits [n, 1] of its images.

    Not log(1 - sigmoid): its gradient nearly vanishes while the discriminator wins (Goodfellow et al. 2014).
    """
    return mean(tf.math.softplus(-fake_logits))


OTHER_OBJECTIVES = {"cross-entropy": (discriminator_objective, non_saturating_objective)}
OTHER_NETWORKS = {
    "dcgan": (build_dcgan_discriminator, build_dcgan_generator),
    "dense": (build_dense_discriminator, build_dense_generator),
}


def gradient_penalty(critic, real, fake, seed, pick=lambda scores: scores):
    """The mean of (|gradient of C| - 1)^2 at random points between the images real and fake, float32 [n, 28, 28, 1].

    Each point is uniformly distributed on the straight line from a real to a generated image (Gulrajani et al. 2017).
    pick: a function that picks one score of each image, from [n, labels] to [n, 1].
    """
    part = randomness.uniform([real.shape[0], 1, 1, 1], seed)
    between = real + part * (fake - real)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = pick(critic(between, training=True))
    gradient = tape.gradient(scores, between)
    length = tf.sqrt(tf.reduce_sum(tf.square(gradient), [1, 2, 3]) + 1e-12)  # the gradient of sqrt is infinite at 0
    return mean(tf.square(length - 1.0))
