"""evaluate_digits.py: each figure sees what it is there to see, and what comes in and goes out is in order."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import evaluate_digits
from support.datasets import loading
from support.errors import InputError
from support.evaluation import classifier, classifier_training, definitions, figures, measuring, report, sources, steps
from support.evaluation.report import copy_digit
from support.evaluation.sources import Source, read_source
from support.labels import DIGITS, layer_name
from support.machine.devices import import_tensorflow, keras, tf
from support.results.ownership import is_ours

PROGRAM = Path(evaluate_digits.__file__)
SHIPPED = classifier.RECORD
N = 3000  # images a measurement in most tests here


@pytest.fixture(scope="module")
def dataset():
    return loading.load_dataset()


@pytest.fixture(scope="module")
def model():
    import_tensorflow("cpu")
    return classifier.load()


@pytest.fixture(scope="module")
def small(dataset):
    """A third of MNIST to compare with, so that a measurement takes two seconds.

    Test images are drawn: their first half and their second come from writers who differ a lot.
    """
    return replace(
        dataset,
        train_images=dataset.train_images[::3],
        train_labels=dataset.train_labels[::3],
        test_images=figures.drawn(dataset.test_images, N),
        test_labels=figures.drawn(dataset.test_labels, N),
    )


@pytest.fixture(scope="module")
def unseen(dataset):
    """Digits that are in neither part of `small`, as from a perfect generator: images, labels."""
    return tuple(figures.drawn(part[1::3], N) for part in (dataset.train_images, dataset.train_labels))


@pytest.fixture(scope="module")
def perfect(unseen, small, model):
    return measuring.measure(unseen[0], small, model)[0]


@pytest.fixture
def measured(small, model):
    return lambda images: measuring.measure(images, small, model)[0]


# ---- the figures move as they must -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_real_digits_get_is_what_the_record_says(dataset, model):
    """The shipped floor and ceiling are those of this classifier, these data and this code."""
    recorded = json.loads(classifier.RECORD.read_text(encoding="utf-8"))["real"]
    images = figures.drawn(dataset.train_images, definitions.COMPARED)
    labels = figures.drawn(dataset.train_labels, definitions.COMPARED)
    now, details = measuring.measure(images, dataset, model, unseen=dataset.test_images, labels=labels)
    now["gan_train"] = recorded["gan_train"]  # of 60,000 images; it takes minutes
    assert now.keys() == recorded.keys()
    for key, value in recorded.items():
        assert now[key] == pytest.approx(value, rel=0.02, abs=1e-4), key
    nearest_digits = dataset.train_labels[details.neighbours]
    for digit, limit in enumerate(definitions.COPY_DISTANCES):
        assert limit == pytest.approx(details.distances[nearest_digits == digit].min() / 2, abs=0.006), digit
    assert recorded["frechet_distance"] < 0.1 and recorded["copies"] == 0 and recorded["coverage"] > 0.9


def test_unseen_digits_score_near_the_floor(perfect):
    assert perfect["frechet_distance"] < 0.4  # of fewer images than the record's, hence above it
    for key in ("precision", "recall", "density", "coverage"):
        assert perfect[key] > 0.85, key
    assert perfect["classifier_score"] > 9.7 and perfect["confident"] > 0.98 and perfect["digit_divergence"] < 0.01
    assert perfect["duplicates"] == perfect["copies"] == 0 and perfect["sliced_wasserstein"] < 0.02


@pytest.mark.slow
def test_noise_is_far_from_digits(measured, perfect):
    noise = measured(np.random.default_rng(0).integers(0, 256, (N, 28, 28), np.uint8))
    assert noise["frechet_distance"] > 100 * perfect["frechet_distance"]
    assert noise["sliced_wasserstein"] > 5 * perfect["sliced_wasserstein"]
    assert max(noise["precision"], noise["recall"], noise["density"], noise["coverage"]) < 0.01
    assert noise["classifier_score"] < 5 and noise["digit_divergence"] > 0.1
    assert noise["nearest_distance"] > 2 * perfect["nearest_distance"] and noise["copies"] == 0


@pytest.mark.slow
def test_one_digit_over_and_over_is_precise_but_covers_nothing(measured, perfect, unseen):
    one = measured(np.repeat(unseen[0][:1], N, axis=0))
    assert one["duplicates"] == N - 1
    assert one["recall"] < 0.01 and one["coverage"] < 0.01
    assert one["classifier_score"] == pytest.approx(1, abs=0.01) and one["digit_divergence"] > 1.5
    assert one["frechet_distance"] > 50 * perfect["frechet_distance"] and one["confident"] in (0, 1)


@pytest.mark.slow
def test_missing_digits_cost_recall_not_precision(measured, perfect, dataset):
    half = measured(dataset.train_images[1::3][dataset.train_labels[1::3] < 5][-N:])
    assert half["precision"] > 0.85 and half["confident"] > 0.98
    assert half["recall"] < 0.6 and half["coverage"] < 0.6
    assert half["classifier_score"] < 5.1 and half["digit_divergence"] == pytest.approx(np.log(2), abs=0.1)
    assert sum(half["shares"][5:]) < 0.02 and half["frechet_distance"] > 20 * perfect["frechet_distance"]
    assert half["duplicates"] == half["copies"] == 0


def test_blur_shows_in_features_and_in_pixels(measured, perfect, unseen):
    blurred = measured(gaussian_filter(unseen[0].astype(np.float32), (0, 1.5, 1.5)).astype(np.uint8))
    assert blurred["frechet_distance"] > 5 * perfect["frechet_distance"]
    assert blurred["sliced_wasserstein"] > 1.5 * perfect["sliced_wasserstein"]
    assert blurred["precision"] < perfect["precision"] - 0.1 and blurred["coverage"] < perfect["coverage"] - 0.1
    assert blurred["copies"] == 0


@pytest.mark.slow
def test_memorised_training_images_are_found(measured, perfect, small):
    some = small.train_images[:N]
    copied = measured(some)
    assert copied["copies"] == N and copied["nearest_distance"] == 0 and copied["duplicates"] == 0
    noisy = some + np.random.default_rng(0).normal(0, 4, some.shape)
    noisy = measured(noisy.clip(0, 255).astype(np.uint8))
    assert noisy["copies"] > 0.99 * N and noisy["nearest_distance"] < 0.2 * perfect["nearest_distance"]


@pytest.fixture(scope="module")
def tiny_dataset(small):
    """For what does not depend on the data that it is compared with."""
    names = ("train_images", "train_labels", "test_images", "test_labels")
    return replace(small, **{name: getattr(small, name)[:100] for name in names})


def test_gan_test_is_the_share_of_labels_that_the_classifier_confirms(unseen, tiny_dataset, model):
    images, labels = unseen
    classified = classifier.classify(model, images)

    def gan_test(labels):
        return measuring.measure(images, tiny_dataset, model, classified, labels=labels)[0]["gan_test"]

    assert 0.99 < gan_test(labels) < 1
    assert 0.06 < gan_test(np.random.default_rng(0).permutation(labels)) < 0.14
    assert gan_test(classified.labels) == 1 and gan_test(None) is None


@pytest.fixture(scope="module")
def trained(small):
    """GAN-train of some images with labels, with a fortieth of the training, tested on 3,000 images."""
    return partial(classifier_training.gan_train, dataset=small, seen=15_000)


@pytest.mark.slow
def test_gan_train_needs_the_right_labels(unseen, trained):
    images, labels = unseen
    right, shuffled = trained(images, labels), trained(images, np.random.default_rng(0).permutation(labels))
    assert right > 0.8 and shuffled < 0.25


@pytest.mark.slow
def test_gan_train_sees_a_lack_of_variety_and_gan_test_does_not(unseen, tiny_dataset, model, trained):
    first = np.array([np.flatnonzero(unseen[1] == digit)[0] for digit in range(10)])
    images, labels = (np.repeat(part[first], 50, axis=0) for part in unseen)  # fifty times the same ten digits
    assert measuring.measure(images, tiny_dataset, model, labels=labels)[0]["gan_test"] == 1
    assert trained(images, labels) < 0.75


@pytest.mark.parametrize("number, used, epochs", [(128, 128, 4688), (59_000, 59_000, 10), (61_000, 60_000, 10)])
def test_gan_train_is_given_the_images_as_they_are(monkeypatch, dataset, number, used, epochs):
    """At most 60,000 of them, without distortions; the fewer they are, the more often."""
    images, labels = np.zeros((number, 28, 28), np.uint8), np.arange(number) % 10
    images[:, 0, 0] = labels
    monkeypatch.setattr(classifier_training, "_distort", lambda *_: pytest.fail("distorted"))
    trained = []

    def fit(images, labels, *arguments, **options):
        np.testing.assert_array_equal(images[:, 0, 0], labels)  # those that are drawn keep their labels
        trained.append((len(images), arguments, options))
        return real_fit(images, labels, 0, 10, **options) if number == 128 else classifier.build()

    real_fit = classifier_training.fit
    monkeypatch.setattr(classifier_training, "fit", fit)
    few = replace(dataset, test_images=dataset.test_images[:100], test_labels=dataset.test_labels[:100])
    assert 0 <= classifier_training.gan_train(images, labels, few) <= 1
    assert trained == [(used, (0, epochs), {"distort": False})]


def test_duplicates_are_counted_exactly(unseen):
    images = unseen[0]
    assert figures.duplicates(images) == 0
    assert figures.duplicates(np.concatenate([images, images[:7], images[:7]])) == 14


# ---- the figures agree with what they are in closed form, or slowly --------------------------------------------------


def test_frechet_distance_of_normal_distributions():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, (200_000, 3)) * [1, 2, 3]
    b = rng.normal(0, 1, (200_000, 3)) * [2, 2, 1] + [0, 0, 4]
    assert figures.frechet_distance(a, b) == pytest.approx(1 + 0 + 4 + 16, rel=0.01)
    assert figures.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    mean, covariance = figures.mean_and_covariance(a)
    np.testing.assert_allclose(covariance, np.cov(a, rowvar=False))
    np.testing.assert_allclose(mean, a.mean(axis=0))
    few = rng.normal(0, 1, (2, 3))  # fewer than features: a singular covariance
    assert np.isfinite(figures.frechet_distance(a, few))
    assert figures.frechet_distance(few[:1], few[1:]) == pytest.approx(np.square(few[0] - few[1]).sum())


def test_precision_recall_density_coverage_by_the_definition(monkeypatch):
    rng = np.random.default_rng(0)
    real, fake, k = rng.normal(0, 1, (60, 2)), rng.normal(0.5, 0.7, (40, 2)), 3

    def distance(a, b):
        return np.sqrt(np.square(a[:, None] - b[None]).sum(axis=2))

    real_radii, fake_radii = (np.sort(distance(own, own), axis=1)[:, k] for own in (real, fake))
    between = distance(fake, real)
    expected = (
        (between <= real_radii).any(axis=1).mean(),
        (between <= fake_radii[:, None]).any(axis=0).mean(),
        (between <= real_radii).sum() / (k * 40),
        (between <= real_radii).any(axis=0).mean(),
    )
    monkeypatch.setattr(figures, "WORKING_MEMORY_MIB", 0.002)  # several chunks
    assert figures.precision_recall_density_coverage(real, fake, k) == pytest.approx(expected)
    for few in (1, 2, k, k + 1):
        assert np.isfinite(figures.precision_recall_density_coverage(real, fake[:few], k)).all()


def test_nearest_is_the_nearest():
    rng = np.random.default_rng(0)
    images, reference = (rng.integers(0, 256, (n, 28, 28), np.uint8) for n in (11, 50))
    images[3] = reference[17]
    distances, positions = figures.nearest(images, reference, chunk=4)
    slow = np.sqrt(np.square(images[:, None] / 255 - reference[None] / 255).sum(axis=(2, 3)))
    np.testing.assert_array_equal(positions, slow.argmin(axis=1))
    np.testing.assert_allclose(distances, slow.min(axis=1), rtol=1e-5, atol=1e-6)
    assert positions[3] == 17 and distances[3] == 0


def test_score_divergence_and_sliced_distance():
    assert figures.classifier_score(np.eye(10)) == pytest.approx(10)
    assert figures.classifier_score(np.full((5, 10), 0.1)) == pytest.approx(1)
    black, white = np.zeros((5, 28, 28), np.uint8), np.full((9, 28, 28), 255, np.uint8)
    assert figures.sliced_wasserstein(black, black) == 0
    assert figures.sliced_wasserstein(black, white, directions=20_000) == pytest.approx(1, rel=0.03)


# ---- the classifier --------------------------------------------------------------------------------------------------


def test_classifier_is_the_one_of_its_record(dataset, model):
    record = json.loads(classifier.RECORD.read_text(encoding="utf-8"))
    file = classifier.CLASSIFIER
    assert hashlib.sha256(file.read_bytes()).hexdigest() == record["sha256"]
    assert file.stat().st_size < 1_000_000 and record["accuracy"] >= 0.993
    assert record["gan_train"] == {"seed": 0, "seen": definitions.SEEN} and 0.99 < record["real"]["gan_train"] < 1
    classified = classifier.classify(model, dataset.test_images)
    assert (classified.labels == dataset.test_labels).mean() == pytest.approx(record["accuracy"], abs=2e-4)
    assert classified.features.shape == (10_000, 64)
    np.testing.assert_allclose(classified.features.std(axis=0), 1, atol=0.2)


@pytest.mark.slow
def test_classifier_loads_in_a_fresh_process_elsewhere(tmp_path):
    code = (
        "import sys, keras\nimport numpy as np\n"
        "model = keras.models.load_model(sys.argv[1], safe_mode=True)\n"
        "assert model.get_layer('features').output.shape == (None, 64)\n"
        "assert model(np.zeros((2, 28, 28, 1), 'float32') - 1).shape == (2, 10)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(classifier.CLASSIFIER)], cwd=tmp_path, check=True, timeout=120)


@pytest.mark.slow
def test_training_the_classifier_is_a_function_of_the_seed(dataset, tmp_path, monkeypatch):
    few = replace(
        dataset,
        train_images=dataset.train_images[:2000],
        train_labels=dataset.train_labels[:2000],
        test_images=dataset.test_images[:1000],
        test_labels=dataset.test_labels[:1000],
    )
    monkeypatch.setattr(loading, "load_dataset", lambda: few)
    monkeypatch.setattr(classifier, "CLASSIFIER", tmp_path / "classifier.keras")
    monkeypatch.setattr(classifier, "RECORD", tmp_path / "classifier.json")
    weights = []
    for seed in (1, 1):
        classifier_training.train_classifier(seed, epochs=3, seen=4000)
        weights.append(keras.models.load_model(tmp_path / "classifier.keras").get_layer("digit").get_weights()[0])
    record = json.loads((tmp_path / "classifier.json").read_text(encoding="utf-8"))
    assert record["accuracy"] > 0.5 and record["seed"] == 1 and record["real"]["copies"] == 0
    assert record["gan_train"] == {"seed": 0, "seen": 4000} and 0 < record["real"]["gan_train"] < 1
    assert record["real"].keys() == json.loads(SHIPPED.read_text(encoding="utf-8"))["real"].keys()
    assert (weights[0] == weights[1]).all()


# ---- the program -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, unseen):
    """60 digits as PNG files."""
    name = "a $strange_{ name$" + ("\n\udcff" if sys.platform == "linux" else "")  # two lines, and not UTF-8
    path = tmp_path_factory.mktemp("digits") / name
    path.mkdir()
    for number, image in enumerate(unseen[0][:60]):
        Image.fromarray(image).save(path / f"digit_{number:05d}.png")
    return path


def run(*arguments, **options):
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300, **options)


@pytest.mark.slow
def test_everything_at_once(folder, unseen, tmp_path):
    before = sorted(folder.iterdir())
    done = run(
        folder,
        "--json",
        "--labels",
        "labels.csv",
        "--digit",
        "7",
        "--copy-to",
        "sevens",
        "--page",
        "page.png",
        "--device",
        "cpu",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == found["compared"] == 60 and found["figures"].keys() == found["real"].keys()
    assert len(found["warnings"]) == 1 and "only 60 images" in found["warnings"][0]
    assert found["figures"]["gan_test"] is found["figures"]["gan_train"] is found["trained_on"] is None
    first, labels, copies, warning = done.stderr.splitlines()  # nothing of TensorFlow's
    assert first.startswith("evaluating ") and labels == "labels.csv: 60 labels"
    assert copies.startswith("sevens: ") and warning == f"warning: {found['warnings'][0]}"
    rows = list(csv.DictReader((tmp_path / "labels.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["file"] for row in rows] == [path.name for path in before]
    labels = np.array([int(row["digit"]) for row in rows])
    assert (labels == unseen[1][:60]).mean() > 0.95 and all(0.1 <= float(row["confidence"]) <= 1 for row in rows)
    sevens = sorted((tmp_path / "sevens").iterdir())
    assert [path.name for path in sevens] == [row["file"] for row in rows if row["digit"] == "7"]
    assert sevens and all(path.read_bytes() == (folder / path.name).read_bytes() for path in sevens)
    with Image.open(tmp_path / "page.png") as page:
        assert page.width > 1000 and len(np.unique(page)) > 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "page.png", "sevens"]
    assert sorted(folder.iterdir()) == before
    assert is_ours(tmp_path / "labels.csv") and is_ours(tmp_path / "page.png")  # so the next evaluation replaces them


@pytest.mark.slow
def test_a_generator_is_judged_by_what_it_would_write(tmp_path, capsys):
    layers = keras.layers
    generator = keras.Sequential([keras.Input((16,)), layers.Dense(784, "tanh"), layers.Reshape((28, 28, 1))])
    generator.save(tmp_path / "generator.keras")
    assert (
        evaluate_digits.main(
            [
                str(tmp_path / "generator.keras"),
                "--images",
                "30",
                "--seed",
                "5",
                "--digit",
                "8",
                "--copy-to",
                str(tmp_path / "eights"),
                "--labels",
                str(tmp_path / "labels.csv"),
            ]
        )
        == 0
    )
    assert "30 images" in capsys.readouterr().out
    assert evaluate_digits.main([str(tmp_path / "generator.keras"), "--images", "30", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sha256"] == hashlib.sha256((tmp_path / "generator.keras").read_bytes()).hexdigest()
    rows = list(csv.DictReader((tmp_path / "labels.csv").read_text().splitlines()))
    assert [row["number"] for row in rows] == [str(number) for number in range(30)]  # there are no files to name
    from support.drawing import draw_digits

    source = read_source(tmp_path / "generator.keras", 30, 5)
    assert source.labels is None
    drawn = source.images
    np.testing.assert_array_equal(drawn, np.concatenate(list(draw_digits(generator, 30, 5))))
    np.testing.assert_array_equal(drawn[:10], read_source(tmp_path / "generator.keras", 10, 5).images)
    for path in (tmp_path / "eights").iterdir():
        np.testing.assert_array_equal(np.asarray(Image.open(path)), drawn[int(path.stem[-5:])])


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_few_images_do_not_crash(n, small, model, unseen):
    values, _ = measuring.measure(unseen[0][:n], small, model)
    assert values.pop("gan_test") is None
    assert all(np.isfinite(value).all() for value in values.values())
    assert "biased" in measuring.warnings_about(unseen[0][:n])[0]


def test_dark_ink_on_white_paper_is_pointed_out(unseen):
    assert measuring.warnings_about(unseen[0]) == []
    assert "invert" in measuring.warnings_about(255 - unseen[0])[0]


def test_arrays_under_their_names(unseen, tmp_path):
    images, file = unseen[0][:4], tmp_path / "images.npz"
    for arrays in ({"images": images, "other": images[:1]}, {"x_train": images[..., None]}, {"digits": images}):
        np.savez(file, **arrays)
        np.testing.assert_array_equal(read_source(file).images, images)
        assert read_source(file).labels is None
    np.savez(file, images)
    np.testing.assert_array_equal(read_source(file).images, images)


# ---- labels ----------------------------------------------------------------------------------------------------------


def save_labelled(folder, images, labels):
    """The images as PNG files in a new folder, with their labels beside them."""
    folder.mkdir()
    names = [f"digit_{number:05d}.png" for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / name)
    rows = [f"{name},{label}\n" for name, label in zip(names, labels, strict=True)]
    (folder / "labels.csv").write_text("file,digit\n" + "".join(rows), encoding="utf-8", newline="\n")
    return folder


def labelled_generator(path, labels=DIGITS):
    """A generator whose images have ten white rows, each for a label; the row of its label is black."""
    layers, latent = keras.layers, keras.Input((len(labels) + 2,))
    chosen = layers.Dense(len(labels), activation="softmax", use_bias=False, name=layer_name(labels))
    ink = layers.Dense(784, activation="tanh")
    generator = keras.Model(latent, layers.Reshape((28, 28, 1))(ink(chosen(latent))))
    chosen.set_weights([np.eye(len(labels) + 2, len(labels)) * 1000])
    rows = np.full((len(labels), 28, 28), 9.0)
    rows[np.arange(len(labels)), labels] = -9
    ink.set_weights([rows.reshape(-1, 784), np.zeros(784)])
    generator.save(path)
    return path


@pytest.mark.parametrize("labels", [DIGITS, (2, 3, 7)])
def test_labels_of_a_generator_are_those_that_it_draws(tmp_path, labels):
    path = labelled_generator(tmp_path / "generator.keras", labels)
    source = read_source(path, 520, seed=1, for_training=True)
    assert source.labels.dtype == np.int64
    as_in_mnist = loading.load_dataset().train_labels[:520]
    expected = as_in_mnist if len(labels) == 10 else [labels[number % len(labels)] for number in range(520)]
    np.testing.assert_array_equal(source.labels, expected)
    np.testing.assert_array_equal(source.images[:, :10, 0].argmin(axis=1), source.labels)


def test_labels_of_a_folder_and_of_an_array(tmp_path, unseen):
    images, labels = unseen[0][:130], unseen[1][:130]
    folder = save_labelled(tmp_path / "digits", images, labels)
    np.savez(tmp_path / "digits.npz", x_train=images, y_train=labels.astype(np.uint8))
    for path in (folder, tmp_path / "digits.npz"):
        source = read_source(path, for_training=True)
        np.testing.assert_array_equal(source.labels, labels)
        np.testing.assert_array_equal(source.images, images)
        assert source.labels.dtype == np.int64
    # Labels of other images are not read.
    np.savez(tmp_path / "digits.npz", images=images, x_train=images[:1], y_train=labels[:1])
    assert read_source(tmp_path / "digits.npz").labels is None


def test_labels_that_are_not_digits_are_not_used(tmp_path, unseen):
    images, labels = unseen[0][:130], unseen[1][:130] + 1
    labels[7] = 10
    folder = save_labelled(tmp_path / "letters", images, labels)
    np.savez(tmp_path / "letters.npz", x_train=images, y_train=labels)
    generator = labelled_generator(tmp_path / "letters.keras", tuple(range(1, 11)))
    for path in (folder, tmp_path / "letters.npz", generator):
        assert read_source(path, 20).labels is None
        with pytest.raises(InputError, match="a label from 0 to 9 .* its labels are 1 to 10"):
            read_source(path, 20, for_training=True)


def test_a_source_that_cannot_train_is_refused_before_its_images_are_read(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(sources, "read_images", lambda *_: pytest.fail("read"))
    with pytest.raises(InputError, match="it has none"):
        read_source(folder, for_training=True)
    monkeypatch.setattr(sources, "draw_digits", lambda *_, **__: pytest.fail("drawn"))
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(784), keras.layers.Reshape((28, 28, 1))]).save(
        tmp_path / "unlabelled.keras"
    )
    with pytest.raises(InputError, match="it has none"):
        read_source(tmp_path / "unlabelled.keras", 200, for_training=True)
    with pytest.raises(InputError, match="128 images or more, but there are 127"):
        read_source(labelled_generator(tmp_path / "a.keras"), 127, for_training=True)


def test_gan_train_draws_60000_images_unless_another_number_is_given():
    assert evaluate_digits.read_options(["."]).images == 25_000
    assert evaluate_digits.read_options([".", "--gan-train"]).images == 60_000
    assert evaluate_digits.read_options([".", "--gan-train", "--images", "500"]).images == 500


@pytest.mark.parametrize("form", ["text", "json"])
def test_figures_of_labels_are_reported(form, tmp_path, unseen, tiny_dataset, monkeypatch, capsys):
    monkeypatch.setattr(loading, "load_dataset", lambda: tiny_dataset)
    monkeypatch.setattr(steps, "gan_train", partial(classifier_training.gan_train, seen=2000))
    labels = unseen[1][:200].copy()
    labels[:100] = (labels[:100] + 1) % 10
    words = ["--gan-train", "--page", str(tmp_path / "page.png"), "--device", "cpu"]
    words += ["--json"] if form == "json" else []
    source = save_labelled(tmp_path / "digits", unseen[0][:200], labels)
    assert evaluate_digits.main([str(source), *words]) == 0
    said = capsys.readouterr()
    assert "training a classifier on them (about" in said.err.splitlines()[0] and (tmp_path / "page.png").exists()
    real = json.loads(SHIPPED.read_text(encoding="utf-8"))["real"]
    if form == "json":
        found = json.loads(said.out)
        assert found["figures"]["gan_test"] == pytest.approx(0.5, abs=0.03) and found["trained_on"] == 200
        assert 0 <= found["figures"]["gan_train"] <= 1 and found["figures"].keys() == found["real"].keys()
    else:
        assert "GAN-train: trained on 200 of them; real: on 60,000" in said.out
        rows = {line[2:20].strip(): line.split()[-1] for line in filter(None, said.out.splitlines())}
        assert rows["GAN-test"] == f"{real['gan_test']:.4f}" and rows["GAN-train"] == f"{real['gan_train']:.4f}"


def test_without_labels_the_report_has_no_row_of_them(perfect):
    real = json.loads(SHIPPED.read_text(encoding="utf-8"))["real"]
    for values in (perfect, perfect | {"gan_train": None}):  # the former in tour.ipynb
        text = report.table("title", values, real)
        assert "copies" in text and "GAN" not in text


# ---- more of the program ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "manifest, origin",
    [
        ({"model": "m.keras", "seed": 3, "sha256": "0123456789"}, "drawn by m.keras, seed 3, sha256 01234567"),
        ({"model": ["m.keras"], "seed": 0}, None),
        ({"model": "m.keras", "seed": "0", "sha256": 1}, "drawn by m.keras"),
        ({"model": "m.keras", "seed": 0, "images": 1}, None),  # the folder has a second image
        ({}, None),
    ],
)
def test_the_generator_that_drew_a_folder_is_named(tmp_path, unseen, manifest, origin):
    for number in range(2):
        Image.fromarray(unseen[0][number]).save(tmp_path / f"digit_{number:05d}.png")
    assert read_source(tmp_path).origin is None
    (tmp_path / "digits.json").write_text(json.dumps({"images": 2} | manifest))
    assert read_source(tmp_path).origin == origin


def test_labels_and_copies_do_not_wait_for_the_figures(folder, tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "measure", stop)
    labels, ones = tmp_path / "labels.csv", tmp_path / "ones"
    words = [folder, "--labels", labels, "--digit", 1, "--copy-to", ones, "--device", "cpu"]
    assert evaluate_digits.main(list(map(str, words))) == 130
    assert len(labels.read_text(encoding="utf-8").splitlines()) == 61
    assert any(ones.iterdir()) and capsys.readouterr().out == ""


def test_the_help_defines_each_figure_and_options_are_read_before_anything_large_is_imported():
    done = run("--help")
    assert done.returncode == 0
    for _, name, _, _, definition in definitions.FIGURES:
        assert name in done.stdout and definition in done.stdout
    code = (
        "import sys, evaluate_digits\nevaluate_digits.read_options(['.'])\n"
        "assert not {'numpy', 'tensorflow', 'keras', 'scipy', 'sklearn', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROGRAM.parent, check=True)


def bad_inputs(tmp_path):
    """Arguments that must not be accepted, and a word of the line that says why."""
    grey = np.zeros((3, 28, 28), np.uint8)
    arrays = {"float": grey / 255.0, "large": np.zeros((3, 32, 32), np.uint8), "none": grey[:0]}
    for name, array in arrays.items():
        np.savez(tmp_path / f"{name}.npz", images=array)
    np.savez(tmp_path / "two.npz", a=grey, b=grey)
    np.savez(tmp_path / "objects.npz", images=np.array([{}, None]))
    np.savez(tmp_path / "good.npz", images=grey)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:200])
    (tmp_path / "text.txt").write_text("no digits")
    for name, image in (("colour", Image.new("RGB", (28, 28), "red")), ("size", Image.new("L", (32, 32)))):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "a.png")
    (tmp_path / "empty").mkdir()
    good, colour = tmp_path / "good.npz", tmp_path / "colour"
    return [
        ([tmp_path / "absent"], "no such"),
        ([tmp_path / "empty"], "0 images"),
        ([colour], "colour"),
        ([tmp_path / "size"], "32x32"),
        ([tmp_path / "text.txt"], "text.txt"),
        ([tmp_path / "torn.npz"], "damaged"),
        ([tmp_path / "float.npz"], "float64"),
        ([tmp_path / "large.npz"], "32, 32"),
        ([tmp_path / "none.npz"], "[0, 28"),
        ([tmp_path / "two.npz"], "'a', 'b'"),
        ([tmp_path / "objects.npz"], "cannot be read"),
        ([good, "--digit", "7"], "--copy-to"),
        ([good, "--digit", "12", "--copy-to", "x"], "12"),
        ([good, "--digit", "7", "--copy-to", colour], "empty folder"),
        ([good, "--labels", "x.txt"], ".csv"),
        ([good, "--page", tmp_path / "no" / "page.png"], "no folder"),
        ([good, "--images", "0"], "0"),
        ([colour, "--page", colour / "page.png"], "inside the folder"),
        ([good, "--sead", "1"], "--sead"),
    ]


def test_bad_input_gets_one_line_and_status_2(tmp_path, capsys):
    for arguments, word in bad_inputs(tmp_path):
        try:
            status = evaluate_digits.main(list(map(str, arguments)))
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        *before, error = said.err.splitlines()  # the first line is there at once, if the options are good
        assert status == 2 and said.out == "" and word in error, (arguments, said)
        assert not before or len(before) == 1 and before[0].startswith("evaluating "), said


@pytest.mark.slow
def test_bad_generators_get_one_line_and_status_2(tmp_path):
    latent, layers = keras.Input((16,)), keras.layers
    small = layers.Reshape((14, 14, 1))(layers.Dense(196)(latent))
    sigmoid = layers.Reshape((28, 28, 1))(layers.Dense(784, "sigmoid")(latent))
    for name, output, word in (("small", small, "14"), ("sigmoid", sigmoid, "tanh")):
        keras.Model(latent, output).save(tmp_path / f"{name}.keras")
        done = run(tmp_path / f"{name}.keras", "--images", "20", "--device", "cpu")
        first, error = done.stderr.splitlines()
        assert done.returncode == 2 and done.stdout == "" and first.startswith("evaluating ") and word in error, done
    (tmp_path / "torn.keras").write_bytes((tmp_path / "small.keras").read_bytes()[:500])
    done = run(tmp_path / "torn.keras")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "torn.keras" in done.stderr


@pytest.mark.parametrize("error", [MemoryError, "tensorflow"])
def test_too_little_memory_gets_one_line_and_status_1(error, folder, monkeypatch, capsys):
    def fail(*_):
        if error == "tensorflow":
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\na tensor")
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr(classifier, "classify", fail)
    assert evaluate_digits.main([str(folder), "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    first, error = printed.err.splitlines()
    assert printed.out == "" and first.startswith("evaluating ") and "--images" in error


def test_a_classifier_without_its_record_measures_nothing(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(classifier, "CLASSIFIER", tmp_path / "other.keras")
    classifier.CLASSIFIER.write_bytes(b"another one")
    assert evaluate_digits.main([str(folder)]) == 2
    assert "--train-classifier" in capsys.readouterr().err


def test_what_a_killed_process_of_the_same_number_left_is_no_hindrance(tmp_path):
    (tmp_path / f".sevens.{os.getpid()}.partial").mkdir()  # in containers numbers come again
    source = Source(tmp_path / "digits.npz", ["a.png", "b.png", "c.png"], np.zeros((3, 28, 28), np.uint8))
    assert copy_digit(source, tmp_path / "sevens", 7, np.array([7, 1, 7])) == 2
    assert sorted(path.name for path in (tmp_path / "sevens").iterdir()) == ["a.png", "c.png"]
