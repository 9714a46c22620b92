"""What the WGAN with weight clipping is compared with: the gradient penalty, and the networks of two other GANs.

One has convolutions, one has none. Their discriminators, with dropout, tell real images from generated ones; their
scores are logits: the sigmoid is in the objective.
"""

from support import randomness
from support.devices import keras, tf
from support.layers import STRIDED, initializers, mean

LEAK = 0.02  # of the convolutional pair; with the usual 0.2 the Fréchet distance is half as large again
DROPOUT = 0.1  # of both discriminators; with the usual 0.3 it is a quarter to a half as large again


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


def gradient_penalty(critic, real, fake, seed):
    """The mean of (|gradient of C| - 1)^2 at points between images real and fake, float32 [n, 28, 28, 1].

    The points lie on straight lines from the one to the other, uniformly distributed (Gulrajani et al. 2017).
    """
    part = randomness.uniform([real.shape[0], 1, 1, 1], seed)
    between = real + part * (fake - real)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = critic(between, training=True)
    gradient = tape.gradient(scores, between)
    length = tf.sqrt(tf.reduce_sum(tf.square(gradient), [1, 2, 3]) + 1e-12)  # the root of 0 has no gradient
    return mean(tf.square(length - 1.0))
