"""Random numbers that depend on a seed alone: the same bits on a CPU and a GPU, with XLA and without, in any process.

TensorFlow's random integers are the same everywhere if the algorithm is named. Its random floats are not: XLA computes
them differently. So this module makes floats from integers, with exact arithmetic. A seed is a tensor of two integers.
More: docs/how-it-works.md.
"""

import functools
from statistics import NormalDist

from support.lazy import np, tf

LEVELS = 1 << 16  # how many different normal numbers there are; the largest is 4.3


@functools.cache
def _normal_table():
    """float32 [LEVELS]: the normal distribution is cut into slices of equal probability; the median of each slice."""
    positive = [NormalDist().inv_cdf(0.5 + (level + 0.5) / LEVELS) for level in range(LEVELS // 2)]
    return np.array([*(-value for value in reversed(positive)), *positive], np.float32)


def fold_in(seed, number):
    """A new seed, made from a seed and an integer."""
    return tf.random.experimental.stateless_fold_in(seed, number, alg="philox")


def split(seed, count):
    """A list of `count` new seeds, made from a seed."""
    return tf.unstack(tf.random.experimental.stateless_split(seed, count, alg="philox"))


def integers(shape, seed, stop):
    """int32 of this shape, from 0 to stop - 1, nearly uniform."""
    return tf.random.stateless_uniform(shape, seed, 0, stop, tf.int32, alg="philox")


def uniform(shape, seed):
    """float32 of this shape, uniform in [0, 1), multiples of 2^-23."""
    return tf.cast(integers(shape, seed, 1 << 23), tf.float32) * 2.0**-23


def normal(shape, seed):
    """float32 of this shape, normal with mean 0 and variance 1, one of LEVELS values."""
    return tf.gather(_normal_table(), integers(shape, seed, LEVELS))
