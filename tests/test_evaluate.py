"""evaluate_digits.py: each figure sees what it is there to see; what the program reads, prints, writes and refuses."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from scipy.ndimage import gaussian_filter

import evaluate_digits
from support import device
from support.data import load_dataset
from support.evaluation import classifier, classifier_training, definitions, figures, measuring, report
from support.evaluation.sources import Source, read_source
from support.labels import DIGITS, layer_name
from support.lazy import keras

PROGRAM = ROOT / "evaluate_digits.py"
N = 1000  # images in a measurement of the table below


@pytest.fixture(scope="module")
def dataset():
    return load_dataset()


@pytest.fixture(scope="module")
def model():
    device.import_tensorflow("cpu")
    return classifier.load()


@pytest.fixture(scope="module")
def small(dataset):
    """A part of MNIST to compare with, so that a measurement takes one second. Test images come from many writers."""
    return replace(
        dataset,
        train_images=dataset.train_images[::12],
        train_labels=dataset.train_labels[::12],
        test_images=figures.drawn(dataset.test_images, N),
        test_labels=figures.drawn(dataset.test_labels, N),
    )


@pytest.fixture(scope="module")
def tiny_mnist(dataset):
    """A hundred images of each part, for what does not depend on the images to compare with."""
    names = ("train_images", "train_labels", "test_images", "test_labels")
    return replace(dataset, **{name: getattr(dataset, name)[:100] for name in names})


@pytest.fixture(scope="module")
def unseen(dataset):
    """Digits that are in neither part of `small`, as from a perfect generator: images, labels."""
    return tuple(figures.drawn(part[1::3], N) for part in (dataset.train_images, dataset.train_labels))


# ------------------------------------------------------------------------------------- the figures see what they must
def with_noise(images, most):
    """The images, each pixel changed by up to `most`."""
    noise = np.random.default_rng(0).integers(-most, most + 1, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


# What is measured: (images of N real digits, their labels, the dataset) -> images; the least and the most of figures.
DISTORTIONS = {
    "real digits": (lambda images, labels, small: images, {
        "frechet_distance": (0.1, 0.5), "precision": (0.88, 1), "recall": (0.88, 1), "density": (0.85, 1.1),
        "coverage": (0.9, 1), "sliced_wasserstein": (0, 0.03), "classifier_score": (9.7, 10), "confident": (0.98, 1),
        "digit_divergence": (0, 0.01), "duplicates": (0, 0), "nearest_distance": (4.8, 5.7), "copies": (0, 0)}),
    "noise alone": (lambda images, labels, small: np.random.default_rng(0).integers(0, 256, images.shape, np.uint8), {
        "frechet_distance": (200, 1000), "precision": (0, 0.01), "recall": (0, 0.01), "density": (0, 0.01),
        "coverage": (0, 0.01), "sliced_wasserstein": (0.3, 1), "classifier_score": (1, 5), "digit_divergence": (0.1, 9),
        "nearest_distance": (12, 20), "copies": (0, 0)}),
    "blur": (lambda images, labels, small: gaussian_filter(images.astype(float), (0, 1.5, 1.5)).astype(np.uint8), {
        "frechet_distance": (30, 150), "precision": (0, 0.3), "recall": (0, 0.1), "coverage": (0, 0.1),
        "sliced_wasserstein": (0.06, 1), "confident": (0, 0.9), "copies": (0, 0)}),
    "one digit over and over": (lambda images, labels, small: np.repeat(images[:1], N, axis=0), {
        "frechet_distance": (50, 500), "recall": (0, 0.01), "coverage": (0, 0.01), "duplicates": (N - 1, N - 1),
        "classifier_score": (1, 1.01), "digit_divergence": (1.5, 9), "confident": (1, 1)}),
    "twenty digits, varied": (lambda images, labels, small: with_noise(np.repeat(images[:20], 50, axis=0), 5), {
        "frechet_distance": (5, 50), "precision": (0.8, 1), "recall": (0, 0.05), "coverage": (0, 0.2),
        "duplicates": (0, 0), "copies": (0, 0)}),
    "half of the digits twice": (lambda images, labels, small: np.concatenate([images[: N // 2]] * 2), {
        "precision": (0.88, 1), "coverage": (0.75, 0.9), "duplicates": (N / 2, N / 2), "frechet_distance": (0.35, 1)}),
    "no sevens": (lambda images, labels, small: images[labels != 7], {
        "frechet_distance": (1.5, 5), "precision": (0.88, 1), "recall": (0.75, 0.9), "coverage": (0.75, 0.92),
        "classifier_score": (8.6, 9.2), "digit_divergence": (0.08, 0.15), "copies": (0, 0)}),
    "training images with some noise": (lambda images, labels, small: with_noise(small.train_images[:N], 5), {
        "copies": (0.99 * N, N), "nearest_distance": (0.1, 0.5), "precision": (0.85, 1), "duplicates": (0, 0)}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_figures_see_what_they_must(name, small, unseen, model):
    distort, expected = DISTORTIONS[name]
    values, _ = measuring.measure(distort(*unseen, small), small, model)
    found = {key: (least, values[key], most) for key, (least, most) in expected.items()}
    assert all(least <= value <= most for least, value, most in found.values()), found
    if name in ("real digits", "no sevens"):
        assert sum(values["shares"]) == pytest.approx(1) and (values["shares"][7] < 0.01) == (name == "no sevens")


def test_the_images_that_are_compared_are_drawn_at_random(tiny_mnist, unseen, model, monkeypatch):
    """Class folders are read digit by digit: the first images would be zeros."""
    monkeypatch.setattr(measuring, "COMPARED", 100)
    images, labels = (part[:1000][np.argsort(unseen[1][:1000])] for part in unseen)
    _, details = measuring.measure(images, tiny_mnist, model)
    assert len(details.compared) == 100 and set(labels[details.compared]) == set(range(10))


@pytest.mark.slow
def test_real_digits_get_what_the_record_says(dataset, model):
    """The floor and the ceiling that come with the program are those of this classifier, these data and this code."""
    record = classifier.read_record()
    recorded, parts = record["real"], (dataset.train_images, dataset.train_labels)
    images, labels = (figures.drawn(part, definitions.COMPARED) for part in parts)
    now, details = measuring.measure(images, dataset, model, unseen=dataset.test_images, labels=labels)
    for key, value in now.items():
        assert value == pytest.approx(recorded[key], rel=0.02, abs=1e-4), key
    nearest_digits = dataset.train_labels[details.neighbours]
    for digit, limit in enumerate(definitions.COPY_DISTANCES):
        assert limit == pytest.approx(details.distances[nearest_digits == digit].min() / 2, abs=0.006), digit
    found = classifier.classify(model, dataset.test_images)
    assert (found.labels == dataset.test_labels).mean() == pytest.approx(record["accuracy"], abs=2e-4)
    assert record["accuracy"] > 0.993 and 0.99 < recorded["gan_train"] < 1 and recorded["frechet_distance"] < 0.1


def warnings_about(images):
    source = Source(ROOT, images, None)
    return report.summary(source, {"gan_train": None}, {"real": {}, "sha256": ""})["warnings"]


def test_few_images_get_figures_and_a_warning_and_so_does_dark_ink_on_white_paper(tiny_mnist, dataset, unseen, model):
    for count in (1, 6):
        values, _ = measuring.measure(unseen[0][:count], tiny_mnist, model)
        assert values.pop("gan_test") is None and all(np.isfinite(value).all() for value in values.values())
        assert "biased" in warnings_about(unseen[0][:count])[0]
    assert warnings_about(dataset.test_images[:2000]) == []
    assert "invert" in warnings_about(255 - dataset.test_images[:2000])[0]


def test_the_mathematics_agrees_with_closed_forms_and_slow_definitions():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, (200_000, 3)) * [1, 2, 3]
    b = rng.normal(0, 1, (200_000, 3)) * [2, 2, 1] + [0, 0, 4]
    assert figures.frechet_distance(a, b) == pytest.approx(1 + 0 + 4 + 16, rel=0.01)
    assert figures.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert np.isfinite(figures.frechet_distance(a, a[:2]))  # a singular covariance
    assert figures.frechet_distance(a[:1], a[1:2]) == pytest.approx(np.square(a[0] - a[1]).sum())

    real, fake, k = rng.normal(0, 1, (60, 2)), rng.normal(0.5, 0.7, (40, 2)), 3

    def distance(a, b):
        return np.sqrt(np.square(a[:, None] - b[None]).sum(axis=2))

    real_radii, fake_radii = (np.sort(distance(own, own), axis=1)[:, k] for own in (real, fake))
    inside = distance(fake, real) <= real_radii
    recall = (distance(fake, real) <= fake_radii[:, None]).any(axis=0).mean()
    expected = inside.any(axis=1).mean(), recall, inside.sum() / (k * 40), inside.any(axis=0).mean()
    assert figures.precision_recall_density_coverage(real, fake, k) == pytest.approx(expected)

    images, reference = (rng.integers(0, 256, (n, 28, 28), np.uint8) for n in (11, 50))
    images[3] = reference[17]
    distances, positions = figures.nearest(images, reference)
    slow = np.sqrt(np.square(images[:, None] / 255 - reference[None] / 255).sum(axis=(2, 3)))
    assert positions.tolist() == slow.argmin(axis=1).tolist() and distances[3] < 1e-6
    np.testing.assert_allclose(distances, slow.min(axis=1), rtol=1e-5, atol=1e-6)

    assert figures.classifier_score(np.eye(10)) == pytest.approx(10)
    assert figures.classifier_score(np.full((5, 10), 0.1)) == pytest.approx(1)
    black, white = np.zeros((5, 28, 28), np.uint8), np.full((9, 28, 28), 255, np.uint8)
    assert figures.sliced_wasserstein(black, white, directions=20_000) == pytest.approx(1, rel=0.03)


# --------------------------------------------------------------------------------------------- labels and GAN-train
def test_gan_test_is_the_share_of_labels_that_the_classifier_confirms(unseen, tiny_mnist, model):
    def gan_test(labels):
        return measuring.measure(unseen[0], tiny_mnist, model, labels=labels)[0]["gan_test"]

    assert 0.98 < gan_test(unseen[1]) < 1
    assert 0.05 < gan_test(np.random.default_rng(0).permutation(unseen[1])) < 0.15


@pytest.mark.slow
def test_gan_train_needs_the_right_labels_and_variety(unseen, small, monkeypatch):
    monkeypatch.setattr(classifier_training, "SEEN", 2000)
    images, labels = unseen
    first = np.array([np.flatnonzero(labels == digit)[0] for digit in range(10)])
    right = classifier_training.gan_train(images, labels, small)
    shuffled = classifier_training.gan_train(images, np.random.default_rng(0).permutation(labels), small)
    ten_digits = classifier_training.gan_train(np.repeat(images[first], 50, 0), np.repeat(labels[first], 50), small)
    assert right > 0.5 > 0.4 > max(ten_digits, shuffled), (right, ten_digits, shuffled)


@pytest.mark.slow
def test_training_the_classifier_replaces_it_and_its_record(tiny_mnist, dataset, tmp_path, monkeypatch, capsys):
    few = replace(tiny_mnist, train_images=dataset.train_images[:256], train_labels=dataset.train_labels[:256])
    shipped = classifier.read_record()
    monkeypatch.setattr(classifier_training.data, "load_dataset", lambda: few)
    monkeypatch.setattr(classifier_training, "SEEN", 256)
    train = classifier_training.train_classifier
    monkeypatch.setattr(classifier_training, "train_classifier", lambda seed: train(seed, epochs=1))
    monkeypatch.setattr(classifier, "CLASSIFIER", tmp_path / "classifier.keras")
    monkeypatch.setattr(classifier, "RECORD", tmp_path / "classifier.json")
    assert evaluate_digits.main(["--train-classifier", "--seed", "1", "--device", "cpu"]) == 0
    assert "of the test images correctly" in capsys.readouterr().err
    record = classifier.read_record()
    assert record["seed"] == 1 and record["real"].keys() == shipped["real"].keys() and record["judged"] > 0
    trained = keras.models.load_model(classifier.CLASSIFIER)
    again = classifier_training.fit(few.train_images, few.train_labels, 1, 1)  # a function of the seed
    assert all(np.array_equal(a, b) for a, b in zip(trained.get_weights(), again.get_weights(), strict=True))


# ----------------------------------------------------------------------------------------------------- what it reads
def save_folder(folder, images, labels=None):
    """The images as PNG files in a new folder, with their labels beside them."""
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"digit_{number:05d}.png")
    if labels is not None:
        rows = [f"digit_{number:05d}.png,{label}\n" for number, label in enumerate(labels)]
        (folder / "labels.csv").write_text("file,digit\n" + "".join(rows), encoding="utf-8", newline="\n")
    return folder


def save_class_folders(folder, images, labels):
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{number:05d}.png")
    return folder


def save_generator(path, labels=DIGITS):
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


def read(path, *words):
    return read_source(evaluate_digits.read_options([str(path), "--device", "cpu", *words]))


@pytest.mark.parametrize("save", [save_folder, save_class_folders])
def test_it_reads_what_the_program_trains_on(save, tmp_path, unseen):
    images, labels = (part[np.argsort(unseen[1][:40], kind="stable")] for part in unseen)  # as class folders are read
    source = read(save(tmp_path / "digits", images, labels))
    np.testing.assert_array_equal(source.images, images)
    np.testing.assert_array_equal(source.labels, labels)


@pytest.mark.parametrize("labels", [DIGITS, (2, 3, 7)])
def test_a_generator_is_judged_by_what_it_draws_with_the_labels_that_it_is_asked_for(tmp_path, labels, dataset):
    save_generator(tmp_path / "generator.keras", labels)
    source = read(tmp_path / "generator.keras", "--images", "520", "--gan-train")
    expected = dataset.train_labels[:520] if labels == DIGITS else np.resize(labels, 520)
    np.testing.assert_array_equal(source.labels, expected)
    np.testing.assert_array_equal(source.images[:, :10, 0].argmin(axis=1), expected)


def test_pretrained_generators_have_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = read("cwgan", "--images", "5", "--seed", "3")
    assert source.path == ROOT / "saved_models/pretrained/cwgan/generator.keras" and len(source.images) == 5
    np.testing.assert_array_equal(source.images[:3], read("cwgan", "--images", "3", "--seed", "3").images)
    assert (source.images != read("cwgan", "--images", "5").images).any()
    (tmp_path / "cwgan").mkdir()
    assert evaluate_digits.read_options(["cwgan"]).source.name == "cwgan"  # a folder of this name comes first


def test_it_says_which_generator_drew_a_folder(tmp_path, unseen):
    folder = save_folder(tmp_path / "digits", unseen[0][:3], [7, 1, 7])
    record = {"images": 3, "complete": True, "model": "m.keras", "seed": 3, "sha256": "0123456789"}
    assert read(folder).origin is None
    (folder / "digits.json").write_text(json.dumps(record))
    assert read(folder).origin == "drawn by m.keras, seed 3, sha256 01234567"


# ----------------------------------------------------------------------------------------- what it prints and writes
@pytest.mark.slow
def test_all_results_at_once_in_a_process(unseen, tmp_path):
    name = "a $strange_{ name$" + ("\n\udcff" if sys.platform == "linux" else "")  # two lines, and not UTF-8
    folder = save_folder(tmp_path / name, unseen[0][:60])
    if sys.platform == "linux":
        (folder / "digit_00059.png").rename(folder / "\udcff.png")
    results = tmp_path / "results"
    results.mkdir()
    words = ["--json", "--labels", "l.csv", "--digit", "7", "--copy-to", "sevens", "--page", "p.png", "--device", "cpu"]
    command = [sys.executable, PROGRAM, folder, *words]
    done = subprocess.run(command, cwd=results, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == found["compared"] == 60 and found["figures"].keys() == found["real"].keys()
    assert found["figures"]["gan_test"] is found["figures"]["gan_train"] is found["trained_on"] is None
    (warning,) = found["warnings"]
    first, labels, copies, last = done.stderr.splitlines()  # nothing of TensorFlow's
    assert first.startswith("evaluating ") and labels == "l.csv: 60 labels" and last == f"warning: {warning}"
    with open(results / "l.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted(os.listdir(folder))
    digits = np.array([int(row["digit"]) for row in rows])
    assert (digits == unseen[1][:60]).mean() > 0.95 and all(0.1 <= float(row["confidence"]) <= 1 for row in rows)
    sevens = sorted(os.listdir(results / "sevens"))
    assert sevens == [row["file"] for row in rows if row["digit"] == "7"] and copies == f"sevens: {len(sevens)} images"
    assert all((results / "sevens" / name).read_bytes() == (folder / name).read_bytes() for name in sevens)
    assert sorted(os.listdir(results)) == ["l.csv", "p.png", "sevens"]


def run(capsys, *words):
    """Evaluates in this process; returns the status, what was printed to standard output, and the lines of an error."""
    status = evaluate_digits.main([*map(str, words), "--device", "cpu"])
    said = capsys.readouterr()
    return status, said.out, said.err.splitlines()


@pytest.mark.slow
def test_figures_of_labels_are_reported_and_a_page_shows_all_of_it(tmp_path, unseen, tiny_mnist, monkeypatch, capsys):
    monkeypatch.setattr(evaluate_digits, "load_dataset", lambda: tiny_mnist)
    monkeypatch.setattr(classifier_training, "SEEN", 400)
    labels = unseen[1][:200].copy()
    labels[:100] = (labels[:100] + 1) % 10
    folder = save_folder(tmp_path / "digits", unseen[0][:200], labels)
    record = {"images": 200, "complete": True, "model": "a/long/path/" * 8 + "g", "seed": 0, "sha256": "0123456789"}
    (folder / "digits.json").write_text(json.dumps(record))
    status, text, _ = run(capsys, folder, "--gan-train", "--page", tmp_path / "p.png")
    assert status == 0 and "GAN-train: trained on 200 of them; real: on 60,000" in text
    real = classifier.read_record()["real"]
    rows = {line[2:20].strip(): line.split()[-2:] for line in text.splitlines() if len(line.split()) > 2}
    assert float(rows["GAN-test"][0]) == pytest.approx(0.5, abs=0.03)
    assert rows["GAN-test"][1] == f"{real['gan_test']:.4f}" and rows["GAN-train"][1] == f"{real['gan_train']:.4f}"
    with Image.open(tmp_path / "p.png") as page:
        pixels = np.asarray(page.convert("L"))
    assert pixels.shape[1] > 1000 and len(np.unique(pixels)) > 50
    assert (pixels[:, -12:] == 255).all(), "no text is cut off at the right edge"


@pytest.mark.slow
def test_images_without_files_are_numbered(tmp_path, tiny_mnist, monkeypatch, capsys):
    monkeypatch.setattr(evaluate_digits, "load_dataset", lambda: tiny_mnist)
    path, labels, copies = tmp_path / "generator.keras", tmp_path / "l.csv", tmp_path / "eights"
    save_generator(path)
    status, text, _ = run(
        capsys, path, "--images", 30, "--json", "--labels", labels, "--digits", 8, "--copy-to", copies
    )
    assert status == 0 and json.loads(text)["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    rows = list(csv.DictReader(labels.read_text().splitlines()))
    assert [row["number"] for row in rows] == [str(number) for number in range(30)]
    images = read(path, "--images", "30").images
    assert sorted(os.listdir(copies)) == [f"digit_{int(row['number']):05d}.png" for row in rows if row["digit"] == "8"]
    for copy in copies.iterdir():
        np.testing.assert_array_equal(np.asarray(Image.open(copy)), images[int(copy.stem[-5:])])


def test_the_help_defines_each_figure_and_needs_the_standard_library_alone():
    command = [sys.executable, "-S", PROGRAM, "--help"]  # -S: no other packages
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    for _, name, _, _, definition in definitions.FIGURES:
        assert name in done.stdout and definition in done.stdout
    assert "can be given together" in done.stdout
    for words, images in ((["."], 25_000), ([".", "--gan-train"], 60_000), ([".", "--gan-train", "--images", "9"], 9)):
        assert evaluate_digits.read_options(words).images == images


# ---------------------------------------------------------------------------------------------------- what it refuses
REFUSED = [  # the words of the command line, and a part of the line that says why
    ("absent", "absent: no such file or folder"),
    ("fifo.npz", "FIFO"),
    ("''", "is not a path"),
    ("d.npz --sead 1", "did you mean --seed?"),
    ("d.npz --digit 7", "--copy-to"),
    ("d.npz --copy-to new", "--digit"),
    ("d.npz --digit 7 --copy-to empty", "exists already"),
    ("d.npz --labels mine.csv", "exists already"),
    ("d.npz --page mine.png", "exists already"),
    ("d.npz --page dangling.png", "exists already"),
    ("d.npz --labels l.txt", ".csv"),
    ("d.npz --page no/p.png", "there is no folder"),
    ("images --page link/p.png", "is inside the folder of images"),
    ("unfinished", "generate --images-dir unfinished --images 3"),
    ("d.npz --gan-train", "needs a label from 0 to 9 for each image, but it has none"),
    ("images --gan-train", "128 images or more, but there are 3"),
    ("letters.npz --gan-train", "its labels are 1 to 26"),
    ("sigmoid.keras --images 5", "have no black"),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, unseen):
    """A folder of files to evaluate and files of the user."""
    folder = tmp_path_factory.mktemp("inputs")
    save_folder(folder / "images", unseen[0][:3], [1, 2, 3])
    save_folder(folder / "unfinished", unseen[0][:2])
    (folder / "unfinished/digits.json").write_text('{"images": 3, "complete": false, "model": "m.keras", "seed": 0}')
    np.savez(folder / "d.npz", x_train=unseen[0][:3])
    np.savez(folder / "letters.npz", x_train=unseen[0][:3], y_train=[1, 9, 26])
    (folder / "empty").mkdir()
    os.mkfifo(folder / "fifo.npz")
    for name in ("mine.csv", "mine.png"):
        (folder / name).write_text("mine")
    (folder / "dangling.png").symlink_to("nothing")
    (folder / "link").symlink_to("images")
    layers = keras.Input((8,)), keras.layers.Dense(784, "sigmoid"), keras.layers.Reshape((28, 28, 1))
    keras.Sequential(layers).save(folder / "sigmoid.keras")
    return folder


@pytest.mark.parametrize(("words", "reason"), REFUSED)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(words, reason, inputs, monkeypatch, capsys):
    monkeypatch.chdir(inputs)
    before = sorted(map(str, inputs.rglob("*")))
    status, out, lines = run(capsys, *(word if word != "''" else "" for word in words.split()))
    *announced, line = lines
    assert status == 2 and out == "" and reason in line, lines
    assert len(announced) < 2 and all(words.startswith("evaluating ") for words in announced), lines
    assert sorted(map(str, inputs.rglob("*"))) == before and (inputs / "mine.csv").read_text() == "mine"


def test_a_classifier_without_its_record_measures_nothing(inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(classifier, "CLASSIFIER", tmp_path / "other.keras")
    classifier.CLASSIFIER.write_bytes(b"another one")
    status, _, lines = run(capsys, inputs / "d.npz")
    assert status == 2 and "--train-classifier" in lines[-1]
