"""The figures that are measured after each epoch: the estimate in pixels, the Fréchet distance, sliced Wasserstein."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import evaluate_digits
import wgan_handwritten_digits as wgan
from support import training_run
from support.datasets.loading import MNIST_SHA256, Dataset, load_dataset
from support.drawing import draw_digits
from support.evaluation import classifier, epoch_figures, figures
from support.evaluation.definitions import JUDGED
from support.evaluation.epoch_figures import PAIRS
from support.labels import labels_of
from support.machine.devices import import_tensorflow, keras, tf
from support.results import checkpoints, pictures

import_tensorflow("cpu")


def scaled_scores(factor, offset=0.0):
    """A critic of random weights whose scores are multiplied and shifted."""
    critic = wgan.build_critic(seed=3)
    return lambda images, training: factor * critic(images, training=training) + offset


def random_images(seed, count=40):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def estimate(critic, real, fake, choices=None):
    """The estimate by a critic that training does not change."""
    choices = np.zeros(len(real), int) if choices is None else choices
    sums, iteration = tf.Variable(tf.zeros(3, tf.float64)), tf.Variable(7, dtype=tf.int64)
    training = SimpleNamespace(critic=critic, sums=sums, iteration=iteration, variables=[sums, iteration])

    def score(images):
        scores = critic(tf.constant(np.float32(images[..., None]) / 127.5 - 1), training=True).numpy()
        return scores[np.arange(len(images)), choices].mean(dtype=np.float64)

    def iterate(critic_only):
        assert critic_only
        sums.assign_add([score(real) - score(fake), 0, 0])
        iteration.assign_add(1)

    found = epoch_figures.wasserstein_in_pixels(training, iterate, 40, real, fake, choices)
    assert (iteration.numpy(), *sums.numpy()) == (7, 0, 0, 0)
    return found


def test_the_estimate_does_not_depend_on_the_units_of_the_scores():
    real, fake = random_images(0), random_images(1) // 2
    plain = estimate(scaled_scores(1), real, fake)
    assert abs(plain) > 1e-3
    assert estimate(scaled_scores(10), real, fake) == pytest.approx(plain, rel=1e-4)
    assert estimate(scaled_scores(10, offset=5), real, fake) == pytest.approx(plain, rel=1e-3)
    assert estimate(scaled_scores(-1), real, fake) == pytest.approx(-plain, rel=1e-4)


def test_the_estimate_of_the_best_critic_is_the_distance_in_pixels():
    """Every image gets the same two pixels brighter. The best critic measures the sum of both."""
    fake = random_images(0, 30) // 2
    real = fake.copy()
    real[:, 3, 4] += 51
    real[:, 20, 9] += 51
    distance = np.sqrt(2) * 51 / 255

    def best(images, training):
        return 7.0 * (images[:, 3, 4] + images[:, 20, 9])

    assert estimate(best, real, fake) == pytest.approx(distance, rel=1e-5)
    assert estimate(best, fake, fake) == 0


def test_a_critic_without_slope_gives_a_number():
    assert estimate(lambda images, training: 0.0 * images[:, 0, 0], random_images(0), random_images(1)) == 0


def test_each_label_has_its_own_score():
    """Two scores, brightness and darkness. The images of label 0 get brighter, those of label 1 darker."""
    fake = random_images(0, 20) // 2 + 30
    choices = np.arange(20) % 2
    real = np.where(choices[:, None, None] == 0, fake + 20, fake - 20).astype(np.uint8)

    def critic(images, training):
        ink = tf.reduce_sum(images, [1, 2])
        return tf.concat([ink, -ink], 1)

    assert estimate(critic, real, fake, choices) == pytest.approx(28 * 20 / 255, rel=1e-4)


def test_the_critic_learns_the_digits_for_a_tenth_of_an_epoch_and_its_slope_is_the_mean_of_before_and_after():
    """The slope of this critic grows from 1 to 5 while it learns. The difference of the scores is always 1.5."""
    images, seen = random_images(0), []
    sums, iteration = tf.Variable(tf.zeros(3, tf.float64)), tf.Variable(7, dtype=tf.int64)
    factor = tf.Variable(1.0)
    training = SimpleNamespace(critic=None, sums=sums, iteration=iteration, variables=[sums, iteration, factor])
    training.critic = lambda images, training: factor * images[:, 3, 4]

    def iterate(critic_only):
        assert critic_only
        seen.append(int(iteration))
        sums.assign_add([1.5, 0, 0])
        iteration.assign_add(1)
        factor.assign_add(1.0)

    found = epoch_figures.wasserstein_in_pixels(training, iterate, 30, images, images, np.zeros(len(images), int))
    assert seen == [0, 1, 2, 3] and float(factor) == 1
    assert found == pytest.approx(1.5 / (2 * (1 + 5) / 2))  # 2: from pixels in [-1, 1] to pixels in [0, 1]


def test_the_critic_learns_them_with_the_learning_rate_of_the_moment():
    options = wgan.complete(wgan.Options(batch_size=8), wgan.RECIPES)
    training = wgan.build_training(options)
    iterate = wgan.compile_iteration(training, random_images(0), options, 99)
    training.critic_optimizer.learning_rate.assign(1e-5)
    before, generator = training.critic.get_weights(), training.generator.get_weights()
    iterate(critic_only=True)
    moved = [abs(new - old).max() for new, old in zip(training.critic.get_weights(), before, strict=True)]
    assert 0 < max(moved) < 5e-4
    for new, old in zip(training.generator.get_weights(), generator, strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [name for name, recipe in wgan.RECIPES.items() if recipe.objective == "wasserstein"])
def test_the_estimate_tells_digits_from_noise_and_leaves_no_trace(recipe):
    options = wgan.complete(wgan.Options(recipe=recipe, batch_size=16, n_critic=2, latent_dim=64), wgan.RECIPES)
    dataset, found = load_dataset(), []
    images, labels = dataset.train_images[:PAIRS], dataset.train_labels[:PAIRS]
    for trained in (False, True):
        training = wgan.build_training(options)
        asked = labels.tolist() if labels_of(training.average) else None
        if trained:
            pretrained = "cwgan" if asked else "wgan"
            training.average = keras.models.load_model(ROOT / f"saved_models/pretrained/{pretrained}/generator.keras")
        iterate = wgan.compile_iteration(training, images, options, 99, labels)
        fake = np.concatenate(list(draw_digits(training.average, PAIRS, 1, digits=asked)))
        before = [np.asarray(variable).copy() for variable in training.variables]
        pairs = images, fake, np.array(asked or [0] * PAIRS)
        found.append(epoch_figures.wasserstein_in_pixels(training, iterate, 400, *pairs))
        for value, variable in zip(before, training.variables, strict=True):
            np.testing.assert_array_equal(value, np.asarray(variable))
    assert found[0] > 2 * found[1] > 0


def order(count):
    """The training images in the order in which they are used."""
    return np.random.default_rng(0).permutation(count)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wgan", "cwgan"])
def test_the_frechet_distance_is_the_one_of_evaluate_digits(name, tmp_path, capsys):
    dataset = load_dataset()
    generator = keras.models.load_model(ROOT / f"saved_models/pretrained/{name}/generator.keras")
    training = SimpleNamespace(average=generator, critic=None, columns=("score_difference",))
    found = epoch_figures.prepare(training, dataset, 4, None, 1)()
    assert list(found) == ["frechet_distance"]
    labels = dataset.train_labels[order(60_000)[:JUDGED]].tolist() if labels_of(generator) else None
    np.savez(tmp_path / "digits.npz", images=np.concatenate(list(draw_digits(generator, JUDGED, 4, digits=labels))))
    assert evaluate_digits.main([str(tmp_path / "digits.npz"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["figures"]
    assert found["frechet_distance"] == pytest.approx(report["frechet_distance"], rel=1e-3)
    assert found["frechet_distance"] < 2 * epoch_figures.real_distance()


def few(test_images=None, test_labels=None):
    """64 training digits with their labels, as a dataset."""
    with np.load(ROOT / "data/mnist.npz") as file:
        images, labels = file["x_train"][:64], file["y_train"][:64].astype(int)
    return Dataset(images, labels, test_images, test_labels, "few", "0" * 64)


def rows(folder):
    return list(csv.DictReader((folder / "training/history.csv").read_text(encoding="utf-8").splitlines()))


def train(dataset, folder, **given):
    return wgan.train(dataset, wgan.Options(models_dir=str(folder), **{"batch_size": 16, "epochs": 1, **given}))


def judged_again(dataset, folder, recipe):
    """The figures of the newest checkpoint of a run of `train`, with n_critic=1."""
    options = wgan.complete(wgan.Options(recipe=recipe, batch_size=16, epochs=1, n_critic=1), wgan.RECIPES)
    training = wgan.build_training(options)
    about = json.loads((folder / "training/run.json").read_text(encoding="utf-8"))["about"]
    checkpoints.resume(folder / "training/checkpoints", training.variables, about)
    length = len(dataset.train_images) // 16
    iterate = wgan.compile_iteration(training, dataset.train_images, options, length, dataset.train_labels)
    return epoch_figures.prepare(training, dataset, options.seed, iterate, length)()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_other_data_get_the_figure_that_needs_no_classifier(recipe, tmp_path, capsys):
    dataset = few(random_images(0, 50), np.arange(50) % 10)
    generator, _ = train(dataset, tmp_path, recipe=recipe, n_critic=1)
    row, line = rows(tmp_path)[-1], capsys.readouterr().err
    labels = dataset.train_labels[order(64)].tolist() if labels_of(generator) else None
    fake = next(draw_digits(generator, 64, 0, digits=labels))
    expected = figures.sliced_wasserstein(fake, dataset.test_images)
    assert float(row["sliced_wasserstein"]) == pytest.approx(expected, rel=1e-4)
    assert f"sliced Wasserstein distance {expected:.4f}" in line and "frechet_distance" not in row
    if "wasserstein_estimate" in row:
        assert f"Wasserstein estimate in pixels {float(row['wasserstein_in_pixels']):.3f}" in line
        again = judged_again(dataset, tmp_path, recipe)["wasserstein_in_pixels"]
        assert float(row["wasserstein_in_pixels"]) == pytest.approx(again, rel=1e-4)
    else:
        assert "wasserstein_in_pixels" not in row and "Wasserstein estimate" not in line


@pytest.mark.slow
def test_without_test_images_the_training_images_serve(tmp_path):
    dataset = few()
    generator, _ = train(dataset, tmp_path, n_critic=1)
    expected = figures.sliced_wasserstein(next(draw_digits(generator, 64, 0)), dataset.train_images)
    assert float(rows(tmp_path)[-1]["sliced_wasserstein"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_run_that_an_older_version_began_gets_the_new_columns(tmp_path):
    dataset = few()
    train(dataset, tmp_path)
    path = next((tmp_path / "training/checkpoints").glob("*.npz"))
    with np.load(path) as file:
        arrays = dict(file)
    record = json.loads(str(arrays["record"]))
    new = ("sliced_wasserstein", "wasserstein_in_pixels")
    for name in new:
        del record["history"][0][name]
    np.savez(path, **{**arrays, "record": np.array(json.dumps(record))})
    for epochs in (2, 3):
        train(dataset, tmp_path, epochs=epochs, resume=True)
    assert [[row["epoch"], *(bool(row[name]) for name in new)] for row in rows(tmp_path)] == [
        *(["1", False, False], ["2", True, True], ["3", True, True])
    ]


@pytest.mark.parametrize("damage", [None, b"not a model"])
def test_without_the_classifier_mnist_gets_the_other_figure(damage, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "CLASSIFIER", tmp_path / "classifier.keras")
    if damage:
        classifier.CLASSIFIER.write_bytes(damage)
    training = SimpleNamespace(average=wgan.build_generator(), critic=None, columns=("score_difference",))
    assert list(epoch_figures.prepare(training, load_dataset(), 0, None, 1)()) == ["sliced_wasserstein"]


@pytest.mark.parametrize("values", [[3.0, 0.1], [0.5, -0.01], [0.0, 0.0]])
def test_curves_show_any_estimate(values, tmp_path):
    history = [{"epoch": 1, "frechet_distance": 5.0}] + [
        {"epoch": number, "frechet_distance": 0.2, "wasserstein_in_pixels": value, "wasserstein_estimate": -1.0}
        for number, value in enumerate(values, 2)
    ]
    pictures.save_curves(tmp_path / "curves.png", history, {"frechet_distance": 0.1})
    with Image.open(tmp_path / "curves.png") as curves:
        assert curves.height > 3 * 200


def test_the_outlook_says_what_more_epochs_would_bring():
    floor = epoch_figures.real_distance()
    early, far, near = ([{"epoch": 1}, {"epoch": 2, "frechet_distance": some * floor}] for some in (9, 3, 1.4))
    line = epoch_figures.outlook(far, "wgan")
    assert f"{3 * floor:.3f}" in line and f"{floor:.3f}" in line and "--epochs 8" in line
    assert epoch_figures.outlook(near, "cwgan").endswith("would change little")
    assert epoch_figures.outlook(early, "cwgan").endswith("would come much closer")
    assert epoch_figures.outlook(far, "gan") == "" == epoch_figures.outlook([{"sliced_wasserstein": 1.0}], "wgan")


@pytest.mark.slow
def test_a_run_ends_with_the_outlook(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training_run, "outlook", lambda history, recipe: f"{len(history)} epochs of {recipe}")
    train(few(), tmp_path)
    assert capsys.readouterr().err.splitlines()[-1] == "1 epochs of wgan"


def test_the_checksum_of_mnist_is_the_one_of_the_file():
    assert load_dataset().sha256 == MNIST_SHA256
