"""The training loop: one iteration is algorithm 1; a run depends on its seed alone, and resumes at any iteration."""

import math
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

import wgan_handwritten_digits as wgan
from support import averages, cluster, console, device, quick_layers, randomness
from support.data import as_dataset
from support.errors import TrainingError
from support.lazy import keras, tf
from support.outputs.training_folder import TrainingFolder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data():
    """64 digits and their labels. Training multiplies in float32, on each machine."""
    cluster.start(SimpleNamespace(device="cpu"))
    with np.load(ROOT / "data/mnist.npz") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "uses_bfloat16", lambda: False)
        yield as_dataset(file["x_train"][:64], file["y_train"][:64])


def settings(recipe, **more):
    return wgan.options_from({"recipe": recipe, "batch_size": 8, "latent_dim": 16} | more, wgan.RECIPES)


def build(options):
    return wgan.build_training(options, 10, tuple(range(10)) if options.recipe == "cwgan" else ())


def values(variables):
    return [variable.numpy() for variable in variables]


def all_equal(some, others):
    return all((one == other).all() for one, other in zip(some, others, strict=True))


# ----------------------------------------------------------------------------------------- what an iteration computes
CRITIC_RATE, GENERATOR_RATE = 1e-3, 1.0  # the generator's gradients are tiny at the start


def textbook(options, critic, generator, images, numbers):
    """One iteration with gradient descent, as the papers state it: a tape for each update. Returns what is logged."""
    recipe, losses, estimates = wgan.RECIPES[options.recipe], [], []
    chosen, latents, classes, seeds = numbers
    drawer = quick_layers.plain(generator)  # draws the images of the critic's updates again

    def score(images, classes):
        scores = critic(images, training=True)
        return tf.reduce_sum(scores * tf.one_hot(classes, scores.shape[1]), axis=1)

    def descend(network, gradients, rate):
        for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
            variable.assign(variable - rate * gradient)

    def cross_entropy(logits, wanted):
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(logits.shape, wanted), logits))

    for i in range(options.n_critic):
        real = images[chosen[i].numpy()][..., None].astype(np.float32) / 127.5 - 1
        fake = generator(latents[i], training=True)
        quick_layers.seed_dropout(critic, seeds[i])
        with tf.GradientTape() as tape:
            scores = score(tf.concat([real, fake], 0), tf.concat([classes[i], classes[i]], 0))
            of_real, of_fake = scores[: len(real)], scores[len(real) :]
            if recipe.loss == "wasserstein":
                loss = tf.reduce_mean(of_fake) - tf.reduce_mean(of_real)
            else:
                loss = cross_entropy(of_real, 1.0) + cross_entropy(of_fake, 0.0)
            if recipe.penalty:
                part = randomness.uniform([len(real), 1, 1, 1], seeds[i])
                between = part * fake + (1 - part) * real
                with tf.GradientTape() as inner:
                    inner.watch(between)
                    scores = score(between, classes[i])
                lengths = tf.norm(tf.reshape(inner.gradient(scores, between), [len(real), -1]), axis=1)
                loss += recipe.penalty * tf.reduce_mean((lengths - 1) ** 2)
        descend(critic, tape.gradient(loss, critic.trainable_variables), CRITIC_RATE)
        losses.append(float(loss))
        estimates.append(float(tf.reduce_mean(of_real) - tf.reduce_mean(of_fake)))
        for variable in critic.trainable_variables if recipe.clip else ():
            weights = variable.numpy()
            if weights.ndim > 1 and weights.shape[-1] > 1:
                weights = weights - weights.mean(axis=tuple(range(weights.ndim - 1)))
            bound = 2 * math.sqrt(6 / math.prod(weights.shape[:-1])) if weights.ndim > 1 else 0.2
            variable.assign(np.clip(weights, -bound, bound))

    again = range(options.n_critic) if recipe.reuse_images else [options.n_critic]
    network = drawer if recipe.reuse_images else generator
    quick_layers.seed_dropout(critic, seeds[-1])
    with tf.GradientTape() as tape:
        images = tf.concat([network(latents[i], training=True) for i in again], 0)
        scores = score(images, tf.concat([classes[i] for i in again], 0))
        loss = -tf.reduce_mean(scores) if recipe.loss == "wasserstein" else cross_entropy(scores, 1.0)
    descend(generator, tape.gradient(loss, network.trainable_variables), GENERATOR_RATE)
    return np.mean(estimates), np.mean(losses), float(loss)


@pytest.mark.parametrize(
    ("recipe", "xla"), [("wgan", False), ("cwgan", False), ("wgan-gp", False), ("gan", False), ("wgan", True)]
)
def test_an_iteration_computes_what_the_textbook_does(data, recipe, xla, monkeypatch):
    monkeypatch.setattr(cluster, "use_xla", lambda: xla)
    options = settings(recipe)
    training = build(options)
    for name, rate in (("critic", CRITIC_RATE), ("generator", GENERATOR_RATE)):
        optimizer = keras.optimizers.SGD(rate)  # RMSprop turns the rounding errors of tiny gradients into whole steps
        optimizer.build(getattr(training, name).trainable_variables)
        setattr(training, f"{name}_optimizer", optimizer)
    networks = training.critic, training.generator
    before = [values(network.weights) for network in networks]
    critic, generator = map(quick_layers.plain, networks)
    classes = data.train_labels if recipe == "cwgan" else np.zeros(64, int)
    starts = [values(network.trainable_weights) for network in (critic, generator)]
    lookahead = wgan.RECIPES[recipe].lookahead
    done = max(lookahead - 1, 0)  # with Lookahead, the next iteration is one after which both networks go halfway back
    training.iteration.assign(done)
    numbers = wgan.draw_numbers(training, options, classes)
    expected = textbook(options, critic, generator, data.train_images, numbers)

    if lookahead:
        for network, start in zip((critic, generator), starts, strict=True):
            for variable, old in zip(network.trainable_weights, start, strict=True):
                variable.assign((variable + old) / 2)
    averages_before = values(training.average.weights)
    wgan.compile_iteration(training, data, options)()
    keep = (1 + done) / (10 + done)
    new = values(training.generator.weights)
    for found, old, now in zip(values(training.average.weights), averages_before, new, strict=True):
        np.testing.assert_allclose(found, keep * old + (1 - keep) * now, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(training.sums.numpy(), expected, rtol=1e-3)
    for ours, theirs, start in zip(networks, (critic, generator), before, strict=True):
        for found, wanted, old in zip(values(ours.weights), values(theirs.weights), start, strict=True):
            # Rounding can change the sign of a number before a LeakyReLU, and with it a gradient by a few thousandths.
            assert np.linalg.norm(found - wanted) <= 1e-2 * np.linalg.norm(wanted - old) + 1e-7


# -------------------------------------------------------------------------------------------------- what a run does
class Run:
    """A run of ten iterations, with a checkpoint after the seventh, and what there was after each."""

    def __init__(self, data, recipe, folder):
        given = {"models_dir": folder, "n_critic": 1 if recipe == "wgan-paper" else None}  # None: the recipe's
        if wgan.RECIPES[recipe].clip:  # a high rate and a small box, so that weights reach its walls
            given |= {"clip": 0.02, "learning_rate": 0.01}
        self.data, self.options = data, settings(recipe, **given)
        training = build(self.options)
        iterate = wgan.compile_iteration(training, data, self.options)
        self.first, self.parts = values(training.variables), []
        for done in range(1, 11):
            iterate()
            self.parts.append([part_of_box(weight, recipe) for weight in values(training.critic.trainable_variables)])
            if done == 7:
                open_folder(self, training).save()
        self.last = values([*training.variables, *training.average.weights])
        self.updates = values([training.critic_optimizer.iterations, training.generator_optimizer.iterations])


def part_of_box(weight, recipe):
    """The largest of the weights of a variable, divided by its bound, 0.02; and the share of them at the bound."""
    part = np.abs(weight) / 0.02
    if recipe == "wgan":  # its bounds are in proportion to He's initialisation
        part /= math.sqrt(6 / math.prod(weight.shape[:-1])) if weight.ndim > 1 else 0.1
    return part.max(), np.mean(part > 0.999)


def open_folder(run, training):
    """The folder of that run; with --resume, `training` gets the state of its checkpoint."""
    return TrainingFolder(run.options, wgan.RECIPES[run.options.recipe], run.data, training, wgan.VERSION)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """A function from a recipe to its Run."""
    known = {}

    def run(recipe):
        if recipe not in known:
            known[recipe] = Run(data, recipe, tmp_path_factory.mktemp("models"))
        return known[recipe]

    return run


def test_the_boxes_are_those_that_the_documents_promise(data):
    shapes = [variable.shape for variable in build(settings("wgan")).critic.trainable_variables]
    he = [math.sqrt(6 / math.prod(shape[:-1])) if len(shape) > 1 else 0.1 for shape in shapes]
    assert build(settings("wgan")).bounds == pytest.approx([2 * bound for bound in he])
    assert build(settings("wgan-paper")).bounds == pytest.approx([0.01] * len(shapes))


@pytest.mark.parametrize("recipe", ["wgan", "wgan-paper"])
def test_each_weight_of_the_critic_is_in_its_box_after_each_iteration(runs, recipe):
    largest, at_the_bound = np.moveaxis(runs(recipe).parts, 2, 0)
    assert largest.shape == (10, 8) and largest.max() <= 1.000001
    assert at_the_bound.max() > 0.3  # without clipping, these would be outside


def test_the_generator_is_updated_once_after_n_critic_updates_of_the_critic(runs):
    assert runs("wgan").updates == [20, 10] and runs("gan").updates == [10, 10]


@pytest.mark.parametrize("recipe", ["wgan", "gan"])
def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(runs, recipe):
    run = runs(recipe)
    run.options.resume = True
    training = build(run.options)
    assert all_equal(values(training.variables), run.first)  # the same seed
    open_folder(run, training).begin(10)
    assert int(training.iteration.numpy()) == 7
    iterate = wgan.compile_iteration(training, run.data, run.options)
    for _ in range(3):
        iterate()
    assert all_equal(values([*training.variables, *training.average.weights]), run.last)


def test_weights_that_are_not_finite_are_not_saved(runs):
    run = runs("wgan")
    training = build(run.options)
    run.options.resume = True
    folder = open_folder(run, training)
    folder.begin(10)
    training.average.set_weights([weight * np.nan for weight in training.average.get_weights()])
    with pytest.raises(TrainingError, match="at iteration 7: .*step_000000007.npz.*--learning-rate or --clip"):
        folder.save()


def test_workers_that_would_diverge_do_not_train(runs, monkeypatch):
    checksums = []
    monkeypatch.setattr(cluster, "is_equal", checksums.append)  # None: not equal
    for rate in (0.001, 0.001, 0.002):
        options = settings("wgan", learning_rate=rate)
        with pytest.raises(TrainingError, match="workers do not have the same options, data and checkpoints"):
            TrainingFolder(options, wgan.RECIPES["wgan"], runs("wgan").data, build(options), wgan.VERSION).begin(10)
    assert checksums[0] == checksums[1] != checksums[2]


def test_a_seed_decides_the_initial_weights_and_the_random_numbers(data):
    def random_numbers(training, options):
        return [np.array(some) for some in wgan.draw_numbers(training, options, data.train_labels)]

    options, others = settings("cwgan", seed=3), settings("cwgan", seed=4)
    first, same, other = build(options), build(options), build(others)
    assert all_equal(values(first.variables), values(same.variables))
    for one, two in zip(values(first.critic.weights), values(other.critic.weights), strict=True):
        assert one.ndim == 1 or (one != two).any()  # biases are 0
    numbers = random_numbers(first, options)
    assert all_equal(numbers, random_numbers(same, options))
    first.iteration.assign(1)
    for changed in (random_numbers(first, options), random_numbers(other, others)):
        assert all((one != two).any() for one, two in zip(numbers, changed, strict=True))


def test_with_labels_the_critic_compares_real_and_generated_images_of_one_label(data):
    options = settings("cwgan")
    positions, latents, classes, _ = wgan.draw_numbers(build(options), options, data.train_labels)
    np.testing.assert_array_equal(classes, data.train_labels[positions.numpy()])
    np.testing.assert_array_equal(classes, latents.numpy()[..., :10].argmax(-1))


def test_images_and_latent_vectors_are_drawn_evenly_and_independently(data):
    options = settings("cwgan")
    training, drawn = build(options), []
    for iteration in range(200):
        training.iteration.assign(iteration)
        drawn.append([np.array(numbers) for numbers in wgan.draw_numbers(training, options, data.train_labels)])
    positions, latents, _, seeds = map(np.stack, zip(*drawn, strict=True))
    counts = np.bincount(positions.ravel(), minlength=len(data.train_labels))
    mean = positions.size / len(counts)
    assert abs(counts - mean).max() < 6 * math.sqrt(mean)
    latents = latents.reshape(-1, options.latent_dim)[:, 10:]  # the first ten depend on the label
    covariances = np.cov(np.c_[(positions.ravel() - positions.mean()) / positions.std(), latents].T)
    deviation = 6 / math.sqrt(len(latents))
    assert abs(latents.mean(0)).max() < deviation and abs(covariances - np.eye(len(covariances))).max() < deviation
    seeds = seeds.reshape(-1, 2)
    assert len(np.unique(seeds, axis=0)) == len(seeds)


def test_the_learning_rates_fall_to_their_end_without_momentum(data):
    training = build(settings("wgan", learning_rate=1e-3))
    for optimizer, rate, updates in ((training.critic_optimizer, 1e-3, 20), (training.generator_optimizer, 2e-3, 10)):
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        for done, part in ((updates // 2, (1 + 0.15) / 2), (updates, 0.15)):
            optimizer.iterations.assign(done)
            assert float(optimizer.learning_rate) == pytest.approx(rate * part)
    weight, steps = keras.Variable([1.0]), []
    optimizer = wgan.build_optimizer(SimpleNamespace(trainable_variables=[weight]), 0.01, 10, final_rate=1.0)
    for _ in range(2):
        before = weight.numpy()
        optimizer.apply([tf.constant([5.0])], [weight])
        steps.extend(before - weight.numpy())
    assert steps == pytest.approx([0.01 / math.sqrt(0.1), 0.01 / math.sqrt(0.19)], rel=1e-3)


def test_lookahead_goes_back_by_half_of_the_way_when_it_is_time(data):
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    start = averages.copy_weights([network])
    old = values(start)
    network.set_weights([weight + 1 for weight in old])
    averages.look_back([network], start, tf.constant(False))
    assert all_equal(network.get_weights(), [weight + 1 for weight in old])
    averages.look_back([network], start, tf.constant(True))
    assert all_equal(network.get_weights(), [weight + 0.5 for weight in old])
    assert all_equal(values(start), network.get_weights())


def test_train_in_a_shell_and_a_signal_in_the_very_last_iteration(data, tmp_path, monkeypatch):
    class InTheLast:
        done = 0

        @property
        def asked(self):
            self.done += 1
            return signal.SIGINT if self.done == 2 else None

    given = {"epochs": 1, "batch_size": 16, "models_dir": tmp_path}
    with monkeypatch.context() as patch, pytest.raises(console.Interrupted) as end:
        patch.setattr(console, "signals_noted", lambda: nullcontext(InTheLast()))
        wgan.train(data.train_images, data.train_labels, **given)
    assert end.value.saved and end.value.status == 130
    generator, critic = wgan.train(data.train_images, data.train_labels, resume=True, **given)
    assert (tmp_path / "training/curves.png").exists()  # it has nothing left to do but this
    images = next(wgan.draw_digits(generator, 16))
    assert images.shape == (16, 28, 28) and images.dtype == np.uint8
    assert critic(images[..., None] / np.float32(127.5) - 1).shape == (16, 1)
