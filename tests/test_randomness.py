"""Random numbers and digits are the same on every path: eagerly, compiled, with XLA, in parts."""

import hashlib

import numpy as np
import pytest
from scipy import stats

import wgan_handwritten_digits as wgan
from support import cluster, drawing, randomness
from support.device import import_tensorflow
from support.lazy import tf
from support.models import PRETRAINED, load_generator

import_tensorflow("cpu")


def draw_all(number):
    """Something of every function that draws, from a seed that is a tensor."""
    first, second, third = randomness.split(randomness.fold_in(tf.constant([3, 0]), number), 3)
    return randomness.integers([100], first, 60_000), randomness.uniform([100], second), randomness.normal([99], third)


def test_random_numbers_are_the_same_eagerly_compiled_and_with_xla():
    for xla in (False, True):
        compiled = tf.function(draw_all, jit_compile=xla)
        for number in (tf.constant(0), tf.constant(12_345)):
            for one, other in zip(draw_all(number), compiled(number), strict=True):
                np.testing.assert_array_equal(one, other)


def test_random_numbers_have_their_distributions_and_are_the_same_on_every_machine():
    normal, uniform = (draw([200_000], tf.constant([1, 2])).numpy() for draw in (randomness.normal, randomness.uniform))
    assert stats.kstest(normal, "norm").pvalue > 0.001 and abs(normal.var() - 1) < 0.02
    assert stats.kstest(uniform, "uniform").pvalue > 0.001 and uniform.min() >= 0 and uniform.max() < 1
    # Latent vector i stays the same in later versions.
    assert hashlib.sha256(normal.astype("<f4").tobytes()).hexdigest()[:16] == "dc56ff57f27bc890"


def pixels(generator, stop, **more):
    return np.concatenate(list(wgan.draw_digits(generator, stop, seed=7, **more))).astype(int)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "digits"), [("wgan", None), ("cwgan", (3, 5))])
def test_digit_i_depends_on_the_model_the_seed_and_i_alone(model, digits, monkeypatch):
    generator = load_generator(PRETRAINED[model])
    expected = pixels(generator, 600, digits=digits)
    assert expected.shape == (600, 28, 28) and expected.max() > 250 and expected.min() == 0
    np.testing.assert_array_equal(pixels(generator, 570, first=450, digits=digits), expected[450:570])
    assert (pixels(generator, 3, digits=digits) == expected[:3]).all()
    others = np.concatenate(list(wgan.draw_digits(generator, 3, seed=8, digits=digits)))
    assert (others != expected[:3]).any(axis=(1, 2)).all()

    latents = drawing.draw_latents(7, 0, 64)  # what anyone can do with the model
    latents = drawing.set_choice(latents, np.resize(digits or range(10), 500), 10)  # the choices in turn
    images = generator(latents, training=False).numpy()[..., 0]
    assert np.abs(np.round((images + 1) * 127.5) - expected[:500]).max() <= 1

    monkeypatch.setattr(cluster, "use_xla", lambda: True)
    drawing.compile_drawing.cache_clear()
    assert np.abs(pixels(generator, 500, digits=digits) - expected[:500]).max() <= 1
    drawing.compile_drawing.cache_clear()
