"""The rules that make it a WGAN with weight clipping: networks, boxes, randomness."""

import contextlib
import dataclasses
import signal

import numpy as np
import pytest
from conftest import ROOT

import wgan_handwritten_digits as wgan
from support import drawing
from support.command_line import interrupts
from support.command_line.interrupts import Interrupted
from support.datasets import loading
from support.errors import TrainingError
from support.machine.devices import import_tensorflow, keras, tf
from support.results.run_files import RunFiles

import_tensorflow("cpu")


RATE = 30.0  # of plain gradients: those of the generator are tiny at the start


def options(**given):
    given = {"batch_size": 8, "n_critic": 2, "latent_dim": 16} | given
    return wgan.complete(wgan.Options(**given), wgan.RECIPES)


@pytest.fixture(scope="module")
def images():
    with np.load(ROOT / "data/mnist.npz") as file:
        return file["x_train"][:64]


def test_the_critic_is_two_strided_convolutions_and_two_dense_layers():
    critic = wgan.build_critic()
    kinds = [type(layer).__name__ for layer in critic.layers if type(layer).__name__ in ("Conv2D", "Dense")]
    assert kinds == ["Conv2D", "Conv2D", "Dense", "Dense"]
    convolutions = [layer for layer in critic.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [64, 64]
    assert [layer.output.shape[1:3] for layer in convolutions] == [(14, 14), (7, 7)]
    assert critic.layers[-1].get_config()["activation"] == "linear"
    assert critic.output_shape == (None, 1)


def test_the_generator_is_a_dense_layer_and_two_transposed_convolutions():
    generator = wgan.build_generator(16)
    kinds = [type(layer).__name__ for layer in generator.layers if layer.trainable]
    assert kinds.count("Dense") == 1 and kinds.count("Conv2DTranspose") == 2 and kinds.count("BatchNormalization") == 2
    assert (generator.input_shape, generator.output_shape) == ((None, 16), (None, 28, 28, 1))
    for layer in generator.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            assert layer.kernel_size[0] % layer.strides[0] == 0
    assert generator.layers[-1].get_config()["activation"] == "tanh"


def test_the_largest_of_the_first_latent_numbers_selects_a_vector_of_its_own():
    generator = wgan.build_generator(16, choices=4)
    latent = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    choice = keras.Model(generator.input, generator.get_layer("choice").output)(latent).numpy()
    np.testing.assert_allclose(choice, np.eye(4)[latent[:, :4].argmax(1)], atol=0.05)
    assert len(generator.trainable_variables) == len(wgan.build_generator(16, choices=0).trainable_variables)


def test_a_latent_vector_may_be_shorter_than_the_choices():
    assert wgan.build_generator(3, choices=10)(np.zeros((2, 3), np.float32)).shape == (2, 28, 28, 1)


@pytest.mark.parametrize("recipe", ["wgan", "wgan-paper"])
def test_every_trainable_variable_of_the_critic_lies_in_its_box(images, recipe):
    asked = options(recipe=recipe, clip=0.02, learning_rate=0.05)
    training = wgan.build_training(asked)
    assert len(training.bounds) == len(training.critic.trainable_variables) == 8
    iterate = wgan.compile_iteration(training, images, asked, 5)
    for _ in range(5):
        iterate()
        for variable, bound in zip(training.critic.trainable_variables, training.bounds, strict=True):
            assert np.abs(variable.numpy()).max() <= np.float32(bound)
    at_the_wall = [
        np.mean(np.abs(variable.numpy()) >= np.float32(bound) * 0.999)
        for variable, bound in zip(training.critic.trainable_variables, training.bounds, strict=True)
    ]
    assert max(at_the_wall) > 0.3  # the box was needed: without the clipping these would be outside
    if recipe == "wgan-paper":
        assert set(training.bounds) == {0.02}


def test_clipping_leaves_the_moving_statistics_of_a_batch_norm_alone():
    """No critic of ours has batch norm; one that a reader builds may. Its statistics are averages, not weights."""
    layers = [keras.Input((28, 28, 1)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    critic = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(1)])
    statistics = critic.layers[1].moving_mean, critic.layers[1].moving_variance
    for variable in statistics:
        variable.assign(np.full(4, 9.0))
    wgan.clip_weights(critic, wgan.clip_bounds(critic, 0.01, scaled=False), centred=True)
    for variable in statistics:
        np.testing.assert_array_equal(variable.numpy(), np.full(4, 9.0, np.float32))
    for variable in critic.trainable_variables:
        assert np.abs(variable.numpy()).max() <= np.float32(0.01)
    assert critic.layers[1].gamma.numpy().max() == np.float32(0.01)  # it was 1


def test_the_generator_is_updated_once_to_n_critic_critic_updates(images):
    training = wgan.build_training(options(n_critic=3))
    iterate = wgan.compile_iteration(training, images, options(n_critic=3), 2)
    iterate()
    iterate()
    assert int(training.critic_optimizer.iterations.numpy()) == 6
    assert int(training.generator_optimizer.iterations.numpy()) == 2


def test_the_wasserstein_estimate_is_real_minus_fake():
    assert float(wgan.wasserstein_estimate(tf.constant([[3.0], [5.0]]), tf.constant([[1.0], [2.0]]))) == 2.5


def with_plain_gradients(training, rate=0.001, generator_rate=None):
    """The training with SGD in place of RMSprop, which turns rounding errors into whole steps at the start."""
    for name, some in (("critic", rate), ("generator", generator_rate or rate)):
        optimizer = keras.optimizers.SGD(some)
        optimizer.build(getattr(training, name).trainable_variables)
        setattr(training, f"{name}_optimizer", optimizer)
    return training


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("n_critic", [1, 2, 5])
def test_an_iteration_is_what_numpy_and_keras_compute(images, n_critic, reuse, monkeypatch):
    """One iteration of algorithm 1 of the paper with plain gradients; with reuse, line 9 draws no new images."""
    paper = dataclasses.replace(wgan.RECIPES["wgan-paper"], reuse_images=reuse)
    monkeypatch.setitem(wgan.RECIPES, "wgan-paper", paper)
    asked = options(recipe="wgan-paper", n_critic=n_critic)
    training = with_plain_gradients(wgan.build_training(asked), generator_rate=RATE)
    critic, generator = wgan.build_critic(asked.seed), wgan.build_generator(asked.latent_dim, 0, asked.seed)
    wgan.clip_weights(critic, training.bounds, centred=False)
    chosen, latents, _ = wgan.draw_numbers(training, asked, len(images))
    assert len(latents) == n_critic + (not reuse)  # algorithm 1 draws new latent vectors for the generator's update
    copy = keras.models.clone_model(generator)  # its weights stay, its statistics do not count
    copy.set_weights(generator.get_weights())
    for update in range(n_critic):
        real = images[chosen[update].numpy()][..., None].astype(np.float32) / 127.5 - 1
        fake = generator(latents[update], training=True)  # batch norm averages over the 8 of this update
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(real))
        gradients = tape.gradient(loss, critic.trainable_variables)
        for variable, gradient in zip(critic.trainable_variables, gradients, strict=True):
            variable.assign(np.clip(variable.numpy() - 0.001 * gradient.numpy(), -0.01, 0.01))
    with tf.GradientTape() as tape:
        last = latents if reuse else latents[-1:]
        network = copy if reuse else generator  # images of the critic's updates are not drawn again
        loss = -tf.reduce_mean(critic(tf.concat([network(some, training=True) for some in last], 0)))
    gradients = tape.gradient(loss, network.trainable_variables)
    for variable, gradient in zip(generator.trainable_variables, gradients, strict=True):
        variable.assign(variable.numpy() - RATE * gradient.numpy())
    pairs = zip(generator.trainable_variables, copy.trainable_variables, strict=True)
    assert all(abs(new - old).numpy().max() > 1e-4 for new, old in pairs)  # more than the tolerances

    wgan.compile_iteration(training, images, asked, 10)()
    for ours, expected in ((training.critic, critic), (training.generator, generator)):
        for variable, other in zip(ours.variables, expected.variables, strict=True):
            np.testing.assert_allclose(variable.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)


def test_the_running_average_follows_the_generator(images):
    training = wgan.build_training(options())
    before = [variable.numpy() for variable in training.average.variables]
    wgan.compile_iteration(training, images, options(), 2)()
    keep = 1 / 10
    for average, start, now in zip(training.average.variables, before, training.generator.variables, strict=True):
        np.testing.assert_allclose(average.numpy(), keep * start + (1 - keep) * now.numpy(), rtol=1e-4, atol=1e-6)


def test_digits_are_uint8_and_cover_the_scale():
    generator = wgan.build_generator(16)
    parts = list(wgan.draw_digits(generator, drawing.BLOCK + 3))
    assert [part.shape for part in parts] == [(drawing.BLOCK, 28, 28), (3, 28, 28)]
    assert all(part.dtype == np.uint8 for part in parts)
    latents = drawing.draw_latents(0, 0, 16)
    expected = np.round((generator(latents, training=False).numpy()[..., 0] + 1) * 127.5)
    assert np.abs(parts[0].astype(float) - expected).max() <= 1


@pytest.mark.slow
def test_a_notebook_trains_and_draws_with_the_scripts_functions(tmp_path):
    digits = loading.load_dataset()
    digits = loading.Dataset(digits.train_images[:64], None, None, None, "64 digits", "0" * 64)
    folder = str(tmp_path / "models")
    generator, critic = wgan.train(digits, wgan.Options(epochs=1, batch_size=16, models_dir=folder))
    images = next(wgan.draw_digits(generator, 16))
    assert images.shape == (16, 28, 28)
    assert critic(images[..., None] / np.float32(127.5) - 1).shape == (16, 1)


@pytest.mark.slow
def test_a_signal_in_the_very_last_iteration_loses_nothing(tmp_path, monkeypatch):
    few = loading.Dataset(loading.load_dataset().train_images[:64], None, None, None, "64 digits", "0" * 64)
    asked = options(epochs=1, batch_size=16, models_dir=str(tmp_path))
    wgan.train(few, asked)  # leaves an older checkpoint

    class InTheLast:
        left = 2  # iterations

        @property
        def asked(self):
            self.left -= 1
            return None if self.left else signal.SIGINT

    (tmp_path / "training/run.json").unlink()
    monkeypatch.setattr(interrupts, "deferred", lambda: contextlib.nullcontext(InTheLast()))
    with pytest.raises(Interrupted) as end:
        wgan.train(few, asked)
    assert end.value.saved
    assert (tmp_path / "training/run.json").exists()


def test_weights_that_are_not_finite_are_found_though_the_losses_are(images, tmp_path):
    training = wgan.build_training(options())
    wgan.compile_iteration(training, images, options(), 2)()
    run = RunFiles(tmp_path, {"options": {"clip": 2.0}}, training.variables, resume=False)
    run.own.append("step_000000007.npz")
    values = training.sums.numpy()
    assert run.checked(training.columns, values, 1) == dict(zip(training.columns, values, strict=True))
    training.average.trainable_variables[0].assign(training.average.trainable_variables[0].value * np.nan)
    with pytest.raises(TrainingError, match="iteration 9: .*step_000000007.*--learning-rate or --clip"):
        run.checked(training.columns, values, 9)
