"""The networks: what the user asked for, layers that are quicker to train, and what is saved of them."""

import subprocess
import sys

import numpy as np
import pytest

import wgan_handwritten_digits as wgan
from support import quick_layers
from support.device import import_tensorflow
from support.drawing import set_choice
from support.lazy import keras, tf
from support.models import save_model
from support.other_gans import gradient_penalty

import_tensorflow("cpu")


def networks(recipe, labels=()):
    return wgan.build_networks(wgan.options_from({"recipe": recipe}, wgan.RECIPES), labels)


def kinds(network):
    """The classes of the layers that learn."""
    return [type(layer).__name__ for layer in network.layers if layer.trainable_variables]


@pytest.mark.parametrize("recipe", ["wgan", "wgan-gp", "wgan-paper"])
def test_the_critic_is_two_convolutions_with_64_filters_and_two_dense_layers(recipe):
    critic, _ = networks(recipe)
    assert kinds(critic) == ["Conv2D", "Conv2D", "Dense", "Dense"]
    assert [layer.filters for layer in critic.layers if isinstance(layer, keras.layers.Conv2D)] == [64, 64]
    assert critic.input_shape == (None, 28, 28, 1) and critic.output_shape == (None, 1)
    assert critic.layers[-1].activation is keras.activations.linear  # a score, not a probability
    assert networks("cwgan", range(10))[0].output_shape == (None, 10)  # a score for each label


@pytest.mark.parametrize(("recipe", "latent_dim"), [("wgan", 64), ("wgan-paper", 100)])
def test_the_generator_is_a_dense_layer_and_two_transposed_convolutions_with_batch_norm(recipe, latent_dim):
    _, generator = networks(recipe)
    assert kinds(generator) == ["Dense", *2 * ["BatchNormalization", "Conv2DTranspose"]]
    assert generator.input_shape == (None, latent_dim) and generator.output_shape == (None, 28, 28, 1)
    images = generator(1000 * np.ones((2, latent_dim), np.float32)).numpy()
    assert images.min() >= -1 and images.max() <= 1


def test_the_largest_of_the_first_latent_numbers_selects_a_vector_of_its_own():
    generator = wgan.build_generator(16, choices=4)
    latents = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    chosen = keras.Model(generator.input, generator.get_layer("choice").output)(latents).numpy()
    np.testing.assert_allclose(chosen, np.eye(4)[latents[:, :4].argmax(1)], atol=0.05)
    assert wgan.build_generator(3, choices=10)(latents[:2, :3]).shape == (2, 28, 28, 1)  # fewer numbers than choices


def test_a_label_is_chosen_by_an_exchange_of_two_latent_numbers():
    latents = np.random.default_rng(0).normal(size=(2000, 12)).astype(np.float32)
    latents[0, :10] = 0.5  # equal numbers would mix two choices
    wanted = np.arange(2000) % 10
    chosen = set_choice(tf.constant(latents), wanted, 10).numpy()
    assert (chosen[:, :10].argmax(1) == wanted).all()
    assert (np.diff(np.sort(chosen[:, :10]), axis=1)[:, -1] > 0.009).all()
    np.testing.assert_array_equal(chosen[:, 10:], latents[:, 10:])
    np.testing.assert_allclose(np.sort(chosen), np.sort(latents), atol=0.011)  # so the distribution stays


@pytest.mark.parametrize("recipe", ["wgan", "dcgan", "gan"])
def test_quick_layers_compute_what_those_of_keras_do(recipe):
    """Outputs, gradients, the gradients of a gradient penalty, and what batch norm keeps."""
    keras.utils.set_random_seed(1)
    plain = networks(recipe)
    for variable in (*plain[0].variables, *plain[1].variables):
        if variable.dtype == "float32":  # at first, all biases and scales are alike
            variable.assign_add(0.01 * tf.random.stateless_normal(variable.shape, [1, 2]))
    latents, found = tf.random.stateless_normal([16, plain[1].input_shape[1]], [3, 4]), []

    def score(critic, images, classes):
        return critic(images, training=True)[:, 0]

    for critic, generator in (plain, [quick_layers.quick(network) for network in plain]):
        with tf.GradientTape(persistent=True) as tape:
            images = generator(latents, training=True)
            quick_layers.seed_dropout(critic, tf.constant([5, 6]))
            scores = critic(images, training=True)
            penalty = gradient_penalty(score, critic, images, tf.zeros_like(images), None, tf.constant([7, 8]))
        weights = critic.trainable_variables + generator.trainable_variables
        kernels = [variable for variable in critic.trainable_variables if len(variable.shape) > 1]
        gradients = *tape.gradient(scores, weights), *tape.gradient(penalty, kernels)
        results = images, scores, penalty, *gradients, *generator.non_trainable_variables, generator(latents)
        found.append([tf.convert_to_tensor(result).numpy() for result in results])
    for usual, quick in zip(*found, strict=True):
        # Of all numbers together: rounding can change the sign of one that is near 0, and so a gradient.
        assert np.linalg.norm(quick - usual) <= 3e-3 * np.linalg.norm(usual)


@pytest.mark.parametrize("given", [{"scale": False}, {"axis": 1}, {"trainable": False}])
def test_a_batch_norm_of_another_kind_gives_the_same_values_too(given):
    images = tf.random.stateless_normal([4, 5, 6, 3], [1, 2])
    plain = keras.Sequential([keras.Input((5, 6, 3)), keras.layers.BatchNormalization(**given)])
    quick = quick_layers.quick(plain)
    np.testing.assert_allclose(quick(images, training=True), plain(images, training=True), rtol=1e-4, atol=1e-5)
    for one, other in zip(quick.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_saved_models_load_in_safe_mode_without_this_program(tmp_path):
    expected = {}
    for recipe in ("wgan", "cwgan", "gan"):
        for number, network in enumerate(networks(recipe, range(10) if recipe == "cwgan" else ())):
            values = tf.random.stateless_normal([2, *network.input_shape[1:]], [1, 2])
            name = f"{recipe}_{number}"
            save_model(quick_layers.plain(quick_layers.quick(network)), tmp_path / f"{name}.keras")
            expected |= {f"{name}.in": values.numpy(), f"{name}.out": network(values).numpy()}
    np.savez(tmp_path / "expected.npz", **expected)
    code = """
import glob, keras, numpy as np
file = np.load("expected.npz")
for path in glob.glob("*.keras"):
    model = keras.models.load_model(path, safe_mode=True)
    assert all(type(layer) is getattr(keras.layers, type(layer).__name__) for layer in model.layers), path
    name = path.removesuffix(".keras")
    np.testing.assert_allclose(model(file[f"{name}.in"]), file[f"{name}.out"], rtol=1e-4, atol=1e-6)
    print(name)
"""
    process = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0 and len(process.stdout.splitlines()) == 6, process.stderr
