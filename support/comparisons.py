"""The networks of the two GANs that the WGAN is compared with: with convolutions and without, both with dropout.

Their discriminators tell real images from generated ones. Their scores are logits: the sigmoid is in the objective.
"""

import itertools

from support.devices import keras, tf
from support.options import Recipe

RECIPES = {
    # A penalty on gradients in place of the clipping (Gulrajani et al. 2017).
    "wgan-gp": Recipe(11, 32, 2, 5e-4, 64, penalty=10.0, optimizer="adam", choices=10, generator_batch=2),
    # A discriminator that tells real from generated, with convolutions (Radford et al. 2015) and without (Goodfellow
    # et al. 2014).
    "dcgan": Recipe(11, 64, 1, 2e-4, 100, networks="dcgan", objective="cross-entropy", optimizer="adam"),
    "gan": Recipe(40, 64, 1, 2e-4, 100, networks="dense", objective="cross-entropy", optimizer="adam"),
}
STRIDED = {"strides": 2, "padding": "same"}


def initializers(kind, seed, first):
    """An endless row of initialisers of that kind, each with a number of its own, fixed by `seed` and `first`."""
    return (kind(seed=(seed * 64 + number) % 2**31) for number in itertools.count(first))


def build_dcgan_discriminator(seed=0):
    """Convolutions with dropout: float32 images [n, 28, 28, 1] in [-1, 1] -> logits [n, 1] of being real."""
    kernel = initializers(keras.initializers.GlorotUniform, seed, first=0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(64, 5, **STRIDED, kernel_initializer=next(kernel)),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3, seed=0),
            layers.Conv2D(128, 5, **STRIDED, kernel_initializer=next(kernel)),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3, seed=0),
            layers.Flatten(),
            layers.Dense(1, kernel_initializer=next(kernel), name="score"),
        ],
        name="discriminator",
    )


def build_dcgan_generator(latent_dim=100, choices=0, seed=0):
    """Transposed convolutions: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1]."""
    kernel = initializers(keras.initializers.GlorotUniform, seed, first=32)
    layers = keras.layers
    hidden = []
    for filters, strides in ((128, 1), (64, 2)):
        hidden += [
            layers.Conv2DTranspose(
                filters, 5, strides=strides, padding="same", use_bias=False, kernel_initializer=next(kernel)
            ),
            layers.BatchNormalization(momentum=0.9),
            layers.LeakyReLU(0.2),
        ]
    return keras.Sequential(
        [
            keras.Input((latent_dim,), name="latent"),
            layers.Dense(7 * 7 * 256, use_bias=False, kernel_initializer=next(kernel)),
            layers.BatchNormalization(momentum=0.9),
            layers.LeakyReLU(0.2),
            layers.Reshape((7, 7, 256)),
            *hidden,
            layers.Conv2DTranspose(1, 5, **STRIDED, activation="tanh", kernel_initializer=next(kernel), name="digit"),
        ],
        name="generator",
    )


def build_dense_discriminator(seed=0):
    """Dense layers with dropout: float32 images [n, 28, 28, 1] in [-1, 1] -> logits [n, 1] of being real."""
    kernel = initializers(keras.initializers.GlorotUniform, seed, first=0)
    layers, hidden = keras.layers, []
    for units in (512, 256):
        hidden += [
            layers.Dense(units, kernel_initializer=next(kernel)),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3, seed=0),
        ]
    score = layers.Dense(1, kernel_initializer=next(kernel), name="score")
    return keras.Sequential(
        [keras.Input((28, 28, 1), name="image"), layers.Flatten(), *hidden, score], name="discriminator"
    )


def build_dense_generator(latent_dim=100, choices=0, seed=0):
    """Dense layers: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1]."""
    kernel = initializers(keras.initializers.GlorotUniform, seed, first=32)
    layers, hidden = keras.layers, []
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


def gradient_penalty(critic, real, fake, seed):
    """The mean of (|gradient of C| - 1)^2 at points between images real and fake, float32 [n, 28, 28, 1].

    The points lie on straight lines from the one to the other, uniformly distributed (Gulrajani et al. 2017).
    """
    part = tf.random.stateless_uniform([real.shape[0], 1, 1, 1], seed, alg="philox")
    between = real + part * (fake - real)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = critic(between, training=True)
    gradient = tape.gradient(scores, between)
    length = tf.sqrt(tf.reduce_sum(tf.square(gradient), [1, 2, 3]) + 1e-12)  # the root of 0 has no gradient
    return tf.reduce_mean(tf.cast(tf.square(length - 1.0), tf.float64))


def seed_dropout(network, seed):
    """Makes what the Dropout layers of `network` leave out next a function of `seed`, integers [2].

    They have a random state of their own, the same in every training and on every device.
    """
    for number, layer in enumerate(network.layers):
        if isinstance(layer, keras.layers.Dropout):
            state = layer.seed_generator.state
            state.assign(tf.cast(tf.random.experimental.stateless_fold_in(seed, number), state.dtype))
