"""Digits from latent vectors: which latent vector each digit has, and how they are drawn quickly.

Digit i depends on the generator, the seed and i alone, so digits are always drawn in the same blocks.
"""

import functools
import math

from support import cluster, randomness
from support.labels import count_choices, labels_of
from support.lazy import np, tf

MARGIN = 0.01  # between the largest of the numbers that make a choice and the next; the generator multiplies by 1000
VARIATION = 0.3  # angle, in radians, between the style of a line and the latent vector of a digit in it
BLOCK = 500  # always draw this many at once: the batch size could change the rounding


def to_pixels(images):
    """Images [n, 28, 28, 1] in [-1, 1] -> uint8 [n, 28, 28], 0 to 255."""
    return tf.cast(tf.round(tf.clip_by_value(images[..., 0] * 127.5 + 127.5, 0.0, 255.0)), tf.uint8)


def draw_latents(seed, block, latent_dim):
    """The latent vectors of a block of digits: float32 [BLOCK, latent_dim], normal, a function of these three alone."""
    return randomness.normal([BLOCK, latent_dim], tf.stack([seed, block]))


def set_choice(latents, numbers, choices):
    """Latent vectors [..., latent_dim] whose largest among the first `choices` is that of `numbers`, int [...].

    It and the one that was the largest exchange their values, so the vectors stay normally distributed. The others stay
    below it by MARGIN: two nearly equal numbers would mix two choices.
    """
    first, rest = tf.split(latents, [choices, -1], -1)
    wanted = tf.one_hot(numbers, choices, True, False)
    largest = tf.one_hot(tf.argmax(first, -1), choices, True, False)
    low = tf.reduce_sum(tf.where(wanted, first, 0.0), -1, keepdims=True)
    high = tf.reduce_max(first, -1, keepdims=True)
    others = tf.minimum(tf.where(largest, low, first), high - MARGIN)
    return tf.concat([tf.where(wanted, high, others), rest], -1)


def draw_lines(number, lines, seed, labels, latent_dim):
    """Latent vectors of `number`, a string of digits, float32 [lines, digits, latent_dim]. labels: of the generator.

    Those of a line are similar, as if of one hand. A line depends on the seed and its place alone.
    """
    styles = draw_latents(seed, 0, latent_dim)[:lines, None]
    own = tf.stack([draw_latents(seed, 1 + line, latent_dim)[: len(number)] for line in range(lines)])
    classes = np.searchsorted(labels, [[int(digit) for digit in number]] * lines)
    return set_choice(math.cos(VARIATION) * styles + math.sin(VARIATION) * own, classes, len(labels))


@functools.lru_cache(maxsize=4)
def compile_drawing(generator):
    """The function (block, seed, choices) -> BLOCK digits of `generator`, uint8 [BLOCK, 28, 28], compiled once.

    choices: int [BLOCK], the choice for each digit; ignored if the generator has none.
    """
    count = count_choices(generator)

    def draw_block(block, seed, choices):
        latents = draw_latents(seed, block, generator.input_shape[-1])
        latents = set_choice(latents, choices, count) if count else latents
        return to_pixels(generator(latents, training=False))

    return tf.function(draw_block, jit_compile=cluster.use_xla(), autograph=False)


def draw_digits(generator, stop, seed=0, first=0, digits=None):
    """Yields the digits `first` to `stop` - 1 in parts: uint8 [n, 28, 28], white ink on black as in MNIST, 0 to 255.

    generator: any Keras model from latent vectors to images [n, 28, 28, 1] in [-1, 1]. digits: if it has labels, those
    to draw in turn; by default all. A generator with choices but no labels takes them in turn, too: at random, some
    would be more frequent. Digit i depends on the generator, the seed, `digits` and i alone: it is always made from the
    same latent vector, at the same place of a block.
    """
    draw_block = compile_drawing(generator)
    turns = np.searchsorted(labels_of(generator), digits) if digits else np.arange(count_choices(generator) or 1)
    for start in range(first - first % BLOCK, stop, BLOCK):
        choices = turns[(start + np.arange(BLOCK)) % len(turns)]
        digits = draw_block(tf.constant(start // BLOCK), tf.constant(seed), tf.constant(choices)).numpy()
        yield digits[max(first - start, 0) : stop - start]
