"""The GANs besides the default one: each trains in the same loop and keeps to the same rules."""

import contextlib
import dataclasses
import gc
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, run_script

import wgan_handwritten_digits as wgan
from support.command_line import interrupts
from support.command_line.interrupts import Interrupted
from support.datasets import loading
from support.machine.devices import import_tensorflow, keras, tf, training_passes
from support.machine.training_layers import seed_dropout, training_layers
from support.other_gans import build_dense_generator
from support.results.models import load_generator
from support.results.pictures import walk

import_tensorflow("cpu")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images():
    with np.load(ROOT / "data/mnist.npz") as file:
        return file["x_train"][:64]


def start(images, recipe, **given):
    """A training of four iterations that has not begun: its state and the function that does an iteration."""
    asked = wgan.complete(wgan.Options(recipe=recipe, batch_size=8, **given), wgan.RECIPES)
    training = wgan.build_training(asked)
    return training, wgan.compile_iteration(training, images, asked, 4, np.arange(len(images)) % 10)


@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_an_iteration_changes_both_networks(images, recipe):
    training, iterate = start(images, recipe)
    networks = training.critic, training.generator, training.average
    before = [[variable.numpy() for variable in network.trainable_variables] for network in networks]
    iterate()
    assert np.isfinite(training.sums.numpy()).all()
    for network, old in zip(networks, before, strict=True):
        new = [variable.numpy() for variable in network.trainable_variables]
        # Biases left out: that of a score without a sigmoid adds as much to real images as to generated ones.
        assert all((one != other).any() for one, other in zip(old, new, strict=True) if one.ndim > 1)


@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_the_networks_go_the_way_that_their_objectives_point(images, recipe):
    """Over some iterations the critic tells real images from those that the generator drew at first."""
    training, iterate = start(images, recipe)
    real = images[:32, ..., None] / np.float32(127.5) - 1
    fake = training.generator(np.random.default_rng(0).normal(size=(32, training.generator.input_shape[1])))
    before = float(wgan.wasserstein_estimate(training.critic(real), training.critic(fake)))
    for _ in range(4):
        iterate()
    assert float(wgan.wasserstein_estimate(training.critic(real), training.critic(fake))) > before


@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_layers_for_training_compute_what_keras_does(recipe):
    """Outputs, all gradients, the gradients of a gradient, and what batch norm keeps."""
    found = []
    for layers in (keras.layers, training_layers()):
        critic, generator = (build(seed=3, layers=layers) for build in wgan.NETWORKS[wgan.RECIPES[recipe].networks])
        for network in (critic, generator):
            for variable in network.variables:  # biases too, and batch norm's scales: at first they are all alike
                variable.assign_add(0.01 * tf.random.stateless_normal(variable.shape, [1, 2]))
        seed_dropout(critic, tf.constant([4, 5]))
        noise = tf.random.stateless_normal([16, generator.input_shape[-1]], [6, 7])
        with tf.GradientTape(persistent=True) as tape:
            drawn = generator(noise, training=True)
            scores = critic(drawn, training=True)
            seed_dropout(critic, tf.constant([4, 5]))
            penalty = wgan.gradient_penalty(critic, drawn, tf.zeros_like(drawn), tf.constant([8, 9]))
        weights = critic.trainable_variables + generator.trainable_variables
        kernels = [variable for variable in critic.trainable_variables if len(variable.shape) > 1]
        gradients = *tape.gradient(scores, weights), *tape.gradient(penalty, kernels)
        kept = [variable.value for variable in generator.non_trainable_variables]
        found.append(
            [
                tf.convert_to_tensor(value).numpy()
                for value in (drawn, scores, penalty, *gradients, *kept, generator(noise))
            ]
        )
    for plain, quicker in zip(*found, strict=True):
        np.testing.assert_allclose(quicker, plain, rtol=1e-3, atol=1e-4 * np.abs(plain).max())


@pytest.mark.parametrize(
    "given", [{"scale": False}, {"center": False}, {"axis": 1}, {"trainable": False}, {"synchronized": True}]
)
def test_a_batch_norm_of_another_kind_is_left_to_keras(given):
    values, found = tf.random.stateless_normal([4, 5, 6, 3], [1, 2]), []
    for layers in (keras.layers, training_layers()):
        network = keras.Sequential([keras.Input((5, 6, 3)), layers.BatchNormalization(**given)])
        found.append([network(values, training=True), *network.variables])
    for plain, quicker in zip(*found, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(quicker), tf.convert_to_tensor(plain), rtol=1e-4, atol=1e-6)


def test_without_dropout_a_rate_of_zero_leaves_nothing_out(images, monkeypatch):
    monkeypatch.setattr("support.other_gans.DROPOUT", 0)
    _, iterate = start(images, "dcgan")
    iterate()


@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_saved_models_have_built_in_layers_only(images, recipe, tmp_path):
    few = loading.Dataset(images, np.arange(len(images)) % 10, None, None, "64 digits", "0" * 64)
    wgan.train(few, wgan.Options(recipe=recipe, batch_size=32, n_critic=1, epochs=1, models_dir=str(tmp_path)))
    for name in ("generator", "critic"):
        model = keras.models.load_model(tmp_path / f"{name}.keras", safe_mode=True)
        assert all(layer.__module__.startswith("keras.") for layer in model.layers)


def test_the_images_of_a_training_that_is_over_leave_memory(images):
    training, iterate = start(images, "wgan")
    iterate()
    del training, iterate
    gc.collect()
    kept = [found for found in gc.get_objects() if isinstance(found, tf.Tensor) and found.dtype == tf.uint8]
    assert not [found for found in kept if found.shape[:1] == images.shape[:1] and not tf.is_symbolic_tensor(found)]


@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_the_graph_optimizer_finishes_its_work_without_a_complaint(images, recipe, capfd):
    _, iterate = start(images, recipe)
    with training_passes():
        iterate()
    assert " failed" not in capfd.readouterr().err


def test_the_penalty_is_part_of_the_critics_update(images):
    weights = []
    for penalty in (0.0, 10.0):
        recipe = dataclasses.replace(wgan.RECIPES["wgan-gp"], penalty=penalty)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(wgan.RECIPES, "wgan-gp", recipe)
            training, iterate = start(images, "wgan-gp")
            iterate()
        weights.append(training.critic.get_weights())
    assert any((one != other).any() for one, other in zip(*weights, strict=True))


@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_going_on_from_a_state_gives_the_weights_of_a_training_without_a_break(images, recipe):
    """Dropout included, whose layers have a random state of their own."""
    whole, iterate = start(images, recipe)
    for _ in range(4):
        iterate()
    first, iterate = start(images, recipe)
    iterate()
    iterate()
    second, iterate = start(images, recipe)
    for variable, value in zip(second.variables, [variable.numpy() for variable in first.variables], strict=True):
        variable.assign(value)
    for layer in second.critic.layers:  # their own state must not count
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([7, 7])
    iterate()
    iterate()
    for variable, other in zip(whole.variables, second.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), other.numpy())


@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_a_training_that_is_interrupted_and_resumed_from_disk_saves_the_same_models(
    images, recipe, tmp_path, monkeypatch
):
    few = loading.Dataset(images, np.arange(len(images)) % 10, None, None, "64 digits", "0" * 64)

    def train(folder, **more):
        given = {"batch_size": 8, "n_critic": 1, "epochs": 1, "models_dir": str(tmp_path / folder)}
        return wgan.train(few, wgan.Options(recipe=recipe, **given, **more))

    train("whole")
    with pytest.raises(Interrupted), monkeypatch.context() as patch:
        note = SimpleNamespace(asked=signal.SIGTERM)
        patch.setattr(interrupts, "deferred", lambda: contextlib.nullcontext(note))
        train("broken")
    train("broken", resume=True)
    for name in ("generator.keras", "critic.keras"):
        whole, broken = (keras.models.load_model(tmp_path / folder / name) for folder in ("whole", "broken"))
        for one, other in zip(whole.get_weights(), broken.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert load_generator(tmp_path / "whole/generator.keras").output_shape == (None, 28, 28, 1)


def test_dropout_is_a_function_of_the_seed_and_of_the_iteration_alone(images):
    training, _ = start(images, "dcgan")
    pictures = images[:4, ..., None] / np.float32(127.5) - 1
    scores = []
    for seed in ([3, 1], [3, 1], [3, 2]):
        wgan.seed_dropout(training.critic, tf.constant(seed))
        scores.append(training.critic(pictures, training=True).numpy())
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (scores[0] != scores[2]).any()
    assert (training.critic(pictures, training=False).numpy() == training.critic(pictures).numpy()).all()


def test_the_dense_generator_has_the_parameters_of_the_classic_one(tmp_path):
    process = run_script("--recipe", "gan", "--summary", cwd=tmp_path)
    assert "1,489,936" in process.stdout
    generator = build_dense_generator()
    assert sum(np.prod(variable.shape) for variable in generator.trainable_variables) == 1_489_936


def test_the_penalty_is_on_the_gradients_distance_from_one():
    """Against a critic whose gradient is known: three times the first pixel."""
    critic = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    weights = np.zeros((784, 1), np.float32)
    weights[0] = 3
    critic.set_weights([weights, np.zeros(1, np.float32)])
    real, fake = tf.ones([4, 28, 28, 1]), -tf.ones([4, 28, 28, 1])
    assert float(wgan.gradient_penalty(critic, real, fake, tf.constant([1, 2]))) == pytest.approx(4, rel=1e-5)


def test_the_points_of_the_penalty_are_uniform_between_real_and_fake():
    seen = []

    def critic(points, training):
        seen.append(points)
        return tf.reduce_sum(points, [1, 2])

    wgan.gradient_penalty(critic, tf.ones([4000, 28, 28, 1]), tf.zeros([4000, 28, 28, 1]), tf.constant([1, 2]))
    points = seen[0].numpy()
    assert (points == points[:, :1, :1]).all()
    parts = np.sort(points[:, 0, 0, 0])
    assert parts[0] >= 0 and parts[-1] <= 1
    assert np.abs(parts - np.linspace(0, 1, 4000)).max() < 0.03


def test_cross_entropy_is_that_of_logits():
    real, fake = tf.constant([[0.0], [2.0]]), tf.constant([[-1.0], [3.0]])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    expected = float(loss(tf.ones_like(real), real) + loss(tf.zeros_like(fake), fake))
    assert float(wgan.OBJECTIVES["cross-entropy"][0](real, fake)) == pytest.approx(expected, rel=1e-5)
    expected = float(loss(tf.ones_like(fake), fake))
    assert float(wgan.OBJECTIVES["cross-entropy"][1](fake)) == pytest.approx(expected, rel=1e-5)


def test_a_walk_goes_through_its_points_along_great_circles():
    points = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    ways = list(walk(points, 10))
    assert [way.shape for way in ways] == [(10, 16)] * 3
    for way, start, end in zip(ways, points, [*points[1:], points[0]], strict=True):
        np.testing.assert_allclose(way[0], start, rtol=1e-5)
        lengths = np.linalg.norm(way, axis=1)
        assert lengths.min() > 0.95 * min(np.linalg.norm(start), np.linalg.norm(end))
        steps = np.linalg.norm(np.diff(np.vstack([way, end]), axis=0), axis=1)
        assert steps.max() < 2 * steps.min()


def test_a_walk_between_points_on_one_line_is_straight():
    first, second = walk([np.ones(4, np.float32), np.full(4, -2, np.float32)], 3)
    np.testing.assert_allclose(first[:, 0], [1, 0, -1], atol=1e-6)
    np.testing.assert_allclose(second[:, 0], [-2, -1, 0], atol=1e-6)


@pytest.mark.parametrize("recipe", ["wgan-gp", "dcgan", "gan"])
def test_a_box_is_refused_where_nothing_is_clipped(recipe, tmp_path):
    process = run_script("--recipe", recipe, "--clip", 1, cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1 and "--clip" in process.stderr and recipe in process.stderr
