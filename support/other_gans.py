"""What the default is compared with: the networks, the losses and the gradient penalty of other GANs.

The default, a WGAN with clipped weights, is in the script. The discriminators have dropout and return logits: the
sigmoid is part of the loss.
"""

from support import randomness
from support.lazy import keras, tf

LEAK = 0.02  # slope of LeakyReLU below zero in `dcgan`; with the usual 0.2 the Fréchet distance is 1.5 times as large
DROPOUT = 0.1  # of both discriminators; with the usual 0.3 the Fréchet distance is 1.25 to 1.5 times as large


def build_dcgan_discriminator():
    """Convolutions with dropout: float32 images [n, 28, 28, 1] in [-1, 1] -> logits [n, 1] of being real."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((28, 28, 1), name="image")], name="discriminator")
    for filters in (64, 128):
        model.add(layers.Conv2D(filters, 5, strides=2, padding="same"))
        model.add(layers.LeakyReLU(LEAK))
        model.add(layers.Dropout(DROPOUT, seed=0))
    model.add(layers.Flatten())
    model.add(layers.Dense(1, name="score"))
    return model


def build_dcgan_generator(latent_dim=100):
    """Transposed convolutions: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1]."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((latent_dim,), name="latent"),
            layers.Dense(7 * 7 * 256, use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.LeakyReLU(LEAK),
            layers.Reshape((7, 7, 256)),
            layers.Conv2DTranspose(128, 5, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.LeakyReLU(LEAK),
            layers.Conv2DTranspose(64, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.LeakyReLU(LEAK),
            layers.Conv2DTranspose(1, 5, strides=2, padding="same", activation="tanh", name="digit"),
        ],
        name="generator",
    )


def build_dense_discriminator():
    """Dense layers with dropout: float32 images [n, 28, 28, 1] in [-1, 1] -> logits [n, 1] of being real."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((28, 28, 1), name="image"), layers.Flatten()], name="discriminator")
    for units in (512, 256):
        model.add(layers.Dense(units))
        model.add(layers.LeakyReLU(0.2))
        model.add(layers.Dropout(DROPOUT, seed=0))
    model.add(layers.Dense(1, name="score"))
    return model


def build_dense_generator(latent_dim=100):
    """Dense layers: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1]."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((latent_dim,), name="latent")], name="generator")
    for units in (256, 512, 1024):
        model.add(layers.Dense(units))
        model.add(layers.LeakyReLU(0.2))
        model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.Dense(28 * 28, activation="tanh"))
    model.add(layers.Reshape((28, 28, 1), name="digit"))
    return model


def build_networks(kind, latent_dim):
    """The discriminator and the generator of a kind, "dcgan" or "dense"."""
    if kind == "dcgan":
        return build_dcgan_discriminator(), build_dcgan_generator(latent_dim)
    return build_dense_discriminator(), build_dense_generator(latent_dim)


def discriminator_loss(real_logits, fake_logits):
    """Binary cross-entropy of logits [n, 1]: -log sigmoid(real) - log(1 - sigmoid(fake)), both as means."""
    return tf.reduce_mean(tf.math.softplus(-real_logits)) + tf.reduce_mean(tf.math.softplus(fake_logits))


def non_saturating_loss(fake_logits):
    """The loss of the generator: -log sigmoid, from the logits [n, 1] of its images.

    Not log(1 - sigmoid): its gradient nearly vanishes while the discriminator wins (Goodfellow et al. 2014).
    """
    return tf.reduce_mean(tf.math.softplus(-fake_logits))


def gradient_penalty(score, critic, real, fake, classes, seed):
    """The mean of (|gradient of the score at a point| - 1)^2, with one point between each pair of images.

    Each point is uniformly distributed on the straight line from a real to a generated image (Gulrajani et al. 2017).
    score: a function of the critic, images [n, 28, 28, 1] and classes, int [n], that returns scores [n].
    """
    part = randomness.uniform([real.shape[0], 1, 1, 1], seed)
    between = real + part * (fake - real)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = score(critic, between, classes)
    gradient = tf.cast(tape.gradient(scores, between), tf.float64)  # bfloat16 is too coarse for a sum
    length = tf.sqrt(tf.reduce_sum(tf.square(gradient), [1, 2, 3]) + 1e-12)  # the gradient of sqrt is infinite at 0
    return tf.reduce_mean(tf.square(length - 1.0))
