"""Digits on request: the recipe cwgan, the options --digits and --npz, the step `write`."""

import csv
import dataclasses
import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, TINY, run_script
from hostile import Row, check
from PIL import Image

import wgan_handwritten_digits as wgan
from support import drawing, labels
from support.datasets.loading import Dataset, load_dataset
from support.errors import DrawingError, InputError
from support.evaluation import classifier, sorting
from support.evaluation.sources import read_source
from support.machine.devices import import_tensorflow, keras, tf
from support.results import digit_files, files, image_folder
from support.results.models import load_generator, save_model

import_tensorflow("cpu")
PRETRAINED = ROOT / "saved_models/pretrained/wgan/generator.keras"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_data):
    """The folder of a tiny training run of cwgan, with its digits."""
    folder = tmp_path_factory.mktemp("cwgan")
    process = run_script("--recipe", "cwgan", "--data", small_data, *TINY, "--images", 30, cwd=folder)
    assert process.returncode == 0, process.stderr
    return folder


def save_generator(path, kinds=range(10)):
    """Saves an untrained generator with these labels whose choice shows: random weights ten times the usual."""
    generator = wgan.build_generator(64, 10, 1, labels=kinds)
    for variable in generator.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(variable * 10.0)
    save_model(generator, path)
    return path


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


# ---- labels as text, and in the name of a layer


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", (7,)), ("3,5", (3, 5)), ("5,3", (5, 3)), ("0-4", (0, 1, 2, 3, 4)), ("0-1,26", (0, 1, 26))],
)
def test_labels_are_read(text, expected):
    assert labels.read_labels(text) == expected


@pytest.mark.parametrize("text", ["", "x", "5-3", "-1", "3,", "1.5", "0-100000", "²", "9" * 5000])
def test_what_is_not_a_list_of_labels_is_refused(text):
    with pytest.raises(ValueError, match="is not a list of labels"):
        labels.read_labels(text)


@pytest.mark.parametrize("kinds", [tuple(range(10)), tuple(range(1, 27)), (3, 7), (0, 1, 2, 50, 98, 99)])
def test_the_labels_of_a_generator_are_in_its_file(tmp_path, kinds):
    generator = load_generator(save_generator(tmp_path / "generator.keras", kinds))
    assert labels.labels_of(generator) == kinds


def test_a_generator_without_labels_has_none():
    assert labels.labels_of(load_generator(PRETRAINED)) == ()


def dataset(train_labels):
    return Dataset(np.zeros([40, 28, 28], np.uint8), train_labels, None, None, "some data", "")


@pytest.mark.parametrize(
    ("given", "more", "words"),
    [
        (None, {}, "has no labels"),
        (np.zeros(40, np.int64), {}, "has 1 different labels"),
        (np.arange(40) % 10, {"latent_dim": 9}, "give 10 or more"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(given, more, words):
    options = wgan.complete(wgan.Options(recipe="cwgan", **more), wgan.RECIPES)
    with pytest.raises(InputError, match=words):
        labels.labels_to_learn(dataset(given), options, wgan.RECIPES)
    assert labels.labels_to_learn(dataset(given), wgan.Options(), wgan.RECIPES) == ()


# ---- the choice


def test_a_choice_is_set_by_an_exchange():
    latents = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
    numbers = np.arange(200) % 10
    changed = drawing.set_choice(tf.constant(latents), numbers, 10).numpy()
    assert (changed[:, :10].argmax(1) == numbers).all()
    np.testing.assert_allclose(np.sort(changed[:, :10]), np.sort(latents[:, :10]), atol=drawing.MARGIN)
    np.testing.assert_array_equal(changed[:, 10:], latents[:, 10:])
    assert ((abs(changed - latents) > drawing.MARGIN).sum(1) <= 2).all()


def test_equal_largest_numbers_make_one_choice():
    latents = np.zeros([2, 64], np.float32)
    latents[:, [4, 5, 9]] = 2.0
    changed = drawing.set_choice(tf.constant(latents), [4, 7], 10)
    generator = wgan.build_generator(64, 10, labels=range(10))
    one_hot = keras.Model(generator.inputs, generator.get_layer("labels_0-9").output)(changed).numpy()
    np.testing.assert_allclose(one_hot, np.eye(10)[[4, 7]], atol=1e-3)


def test_the_critic_compares_images_of_equal_labels():
    options = wgan.complete(wgan.Options(recipe="cwgan"), wgan.RECIPES)
    training, kinds = wgan.build_training(options), np.arange(500) % 10
    chosen, latents, _ = wgan.draw_numbers(training, options, 500, kinds)
    np.testing.assert_array_equal(latents.numpy()[..., :10].argmax(-1), kinds[chosen.numpy()])
    scores = tf.reshape(tf.range(320.0), [32, 10])
    picked = wgan.pick_scores(scores, latents).numpy()
    np.testing.assert_array_equal(picked[:, 0] % 10, kinds[chosen.numpy()].ravel())
    np.testing.assert_array_equal(picked[:, 0] // 10, np.arange(32))


def test_without_reuse_the_generator_gets_labels_of_its_own(monkeypatch):
    recipe = dataclasses.replace(wgan.RECIPES["cwgan"], reuse_images=False)
    monkeypatch.setitem(wgan.RECIPES, "cwgan", recipe)
    options = wgan.complete(wgan.Options(recipe="cwgan", batch_size=8), wgan.RECIPES)
    training, kinds = wgan.build_training(options), np.full(20, 3)
    _, latents, _ = wgan.draw_numbers(training, options, 20, kinds)
    labels = latents.numpy()[..., :10].argmax(-1)
    assert (labels[:-1] == 3).all() and len(set(labels[-1])) > 2
    wgan.compile_iteration(training, np.zeros((20, 28, 28), np.uint8), options, 5, kinds)()
    assert np.isfinite(training.sums.numpy()).all()


@pytest.mark.parametrize("penalty", [0.0, 10.0])
def test_only_the_score_of_the_label_trains_the_critic(monkeypatch, penalty):
    """Images of label 3 alone leave the weights of the other scores where they were, up to the rounding of centring."""
    monkeypatch.setitem(wgan.RECIPES, "cwgan", dataclasses.replace(wgan.RECIPES["cwgan"], penalty=penalty))
    options = wgan.complete(wgan.Options(recipe="cwgan", batch_size=8), wgan.RECIPES)
    training, images = wgan.build_training(options), np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    before = training.critic.get_layer("score").kernel.numpy()
    wgan.compile_iteration(training, images, options, 5, np.full(20, 3))()
    changed = (abs(before - training.critic.get_layer("score").kernel.numpy()) > 1e-5).any(0)
    assert changed.tolist() == [label == 3 for label in range(10)]


def test_digit_i_of_a_selection_depends_on_nothing_else(tmp_path):
    generator = load_generator(save_generator(tmp_path / "generator.keras"))
    every = np.concatenate(list(drawing.draw_digits(generator, 1200, 5, 0, (3, 5))))
    some = np.concatenate(list(drawing.draw_digits(generator, 1100, 5, 607, (3, 5))))
    np.testing.assert_array_equal(some, every[607:1100])
    latents = drawing.set_choice(drawing.draw_latents(5, 1, 64), np.where(np.arange(500) % 2, 5, 3), 10)
    alone = drawing.to_pixels(generator(latents, training=False)).numpy().astype(int)
    assert abs(every[500:1000].astype(int) - alone).max() <= 1
    plain = np.concatenate(list(drawing.draw_digits(generator, 20, 5)))
    np.testing.assert_array_equal(plain, np.concatenate(list(drawing.draw_digits(generator, 20, 5, 0, range(10)))))
    assert (plain[3] != every[3]).any()


# ---- files


@pytest.mark.slow
def test_a_run_of_cwgan_leaves_labelled_digits_and_resumes(trained, small_data, tmp_path):
    generator = load_generator(trained / "saved_models/generator.keras")
    assert labels.labels_of(generator) == tuple(range(10))
    critic = keras.models.load_model(trained / "saved_models/critic.keras")
    assert critic.output_shape == (None, 10)
    assert rows(trained / "generated_images/labels.csv") == [
        ["file", "digit"],
        *([f"digit_{i:05d}.png", str(i % 10)] for i in range(30)),
    ]
    shutil.copytree(trained / "saved_models", tmp_path / "saved_models")
    with np.load(small_data) as file:
        np.savez(tmp_path / "other.npz", x_train=file["x_train"], y_train=file["y_train"][::-1])
    more = ("train", "--recipe", "cwgan", *TINY, "--epochs", 7, "--resume")
    process = run_script(*more, "--data", tmp_path / "other.npz", cwd=tmp_path)
    assert process.returncode == 2 and "sha256_labels" in process.stderr
    process = run_script(*more, "--data", small_data, cwd=tmp_path)
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
def test_only_the_digits_that_are_asked_for(tmp_path):
    save_generator(tmp_path / "generator.keras")
    asked = ("generate", "--model", "generator.keras", "--digits", "3,5", "--images", 41)
    process = run_script(*asked, cwd=tmp_path)
    assert process.returncode == 0 and "asked for" in process.stderr, process.stderr
    assert [digit for _, digit in rows(tmp_path / "generated_images/labels.csv")[1:]] == (["3", "5"] * 21)[:41]
    for part in (1, 2, 3):
        process = run_script(*asked, "--shard", f"{part}/3", "--images-dir", "shards", cwd=tmp_path)
        assert process.returncode == 0, process.stderr
    for path in (tmp_path / "generated_images").glob("*.*"):
        assert path.read_bytes() == (tmp_path / "shards" / path.name).read_bytes(), path
    process = run_script(*asked, "--npz", "both.npz", "--images-dir", "shards", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert not read_source(tmp_path / "both.npz").chosen
    loaded = load_dataset(tmp_path / "both.npz")
    assert loaded.train_labels.tolist() == ([3, 5] * 21)[:41]
    for number, image in enumerate(loaded.train_images):
        np.testing.assert_array_equal(image, np.asarray(Image.open(tmp_path / f"shards/digit_{number:05d}.png")))


@pytest.mark.slow
def test_a_generator_without_labels_draws_until_the_classifier_is_sure(tmp_path):
    asked = ("generate", "--model", PRETRAINED, "--digits", "7,1", "--images", 120)
    process = run_script(*asked, "--npz", "digits.npz", "--images-dir", "generated_images", cwd=tmp_path)
    assert process.returncode == 0 and "classifier" in process.stderr, process.stderr
    images = np.stack([np.asarray(Image.open(path)) for path in sorted(tmp_path.glob("generated_images/*.png"))])
    found = classifier.classify(classifier.load(), images)
    assert (found.labels == np.tile([7, 1], 60)).all() and found.confidences.min() > 0.9
    assert len({image.tobytes() for image in images}) == 120
    manifest = json.loads((tmp_path / "generated_images/digits.json").read_text(encoding="utf-8"))
    assert manifest["labels"] == [7, 1] and manifest["labels_by"] == "classifier"
    # It would confirm all labels, because it chose the images by them.
    assert read_source(tmp_path / "digits.npz").chosen
    command = [sys.executable, str(ROOT / "evaluate_digits.py"), "generated_images", "--json", "--device", "cpu"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0 and json.loads(process.stdout)["figures"]["gan_test"] is None, process.stderr
    for part in (1, 2):
        process = run_script(*asked, "--shard", f"{part}/2", "--images-dir", "shards", cwd=tmp_path)
        assert process.returncode == 0, process.stderr
    for path in (tmp_path / "generated_images").glob("*.*"):
        assert path.read_bytes() == (tmp_path / "shards" / path.name).read_bytes(), path


def test_a_digit_that_never_comes_ends_the_search(monkeypatch):
    monkeypatch.setattr(sorting, "PATIENCE", 600)
    with pytest.raises(DrawingError, match="no clear 7"):
        list(sorting.keep(itertools.repeat(np.zeros([500, 28, 28], np.uint8)), (7,), range(3)))


def fill(folder, total, kinds=()):
    about = {"labels": kinds} if kinds else {}
    image_folder.check(folder, total, labelled=bool(kinds))
    with files.own_folder(folder):
        image_folder.finish(folder)
        image_folder.fill(folder, [[b"png"] * total], total, about)
        image_folder.finish(folder)


def test_labels_come_and_go_with_their_images(tmp_path):
    fill(tmp_path, 3, (7, 8))
    assert [row[1] for row in rows(tmp_path / "labels.csv")] == ["digit", "7", "8", "7"]
    fill(tmp_path, 4)
    assert not (tmp_path / "labels.csv").exists()


def test_a_file_of_labels_that_is_not_ours_stays(tmp_path):
    (tmp_path / "labels.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(files.FolderError, match=r"labels\.csv"):
        fill(tmp_path, 3, (7, 8))
    fill(tmp_path, 3)
    fill(tmp_path, 2)
    assert (tmp_path / "labels.csv").read_text(encoding="utf-8") == "mine"


def test_a_swap_that_was_killed_between_two_files_is_finished(tmp_path, monkeypatch):
    fill(tmp_path, 3, (7, 8))

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(image_folder, "_write_labels", fail)
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path, 2, (4, 5))
    with files.own_folder(tmp_path):
        image_folder.finish(tmp_path)
    assert [row[1] for row in rows(tmp_path / "labels.csv")] == ["digit", "4", "5"]


def test_an_array_is_in_the_form_of_keras_datasets_and_replaces_only_ours(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    path = tmp_path / "digits.npz"
    digit_files.check_array(path)
    digit_files.save_array(path, images, (7, 300))
    digit_files.check_array(path)
    loaded = load_dataset(path)
    np.testing.assert_array_equal(loaded.train_images, images)
    assert loaded.train_labels.tolist() == [7, 300, 7, 300, 7]
    digit_files.save_array(path, images)
    assert load_dataset(path).train_labels is None
    np.savez(path, x_train=images)
    with pytest.raises(files.FolderError, match="--npz"):
        digit_files.check_array(path)


# ---- write


@pytest.mark.slow
def test_a_number_is_written_in_several_hands(tmp_path):
    save_generator(tmp_path / "generator.keras")
    asked = ("write", "2026", "--model", "generator.keras", "--models-dir", "out")
    process = run_script(*asked, "--lines", 3, cwd=tmp_path)
    assert process.returncode == 0 and "number_2026.png" in process.stderr, process.stderr
    three = Image.open(tmp_path / "out/number_2026.png")
    lines = np.split(np.asarray(three), 3)
    assert three.mode == "L" and (lines[0] != lines[1]).any() and (lines[1] != lines[2]).any()
    # Another length, the same hands; and the picture of an earlier run is replaced.
    process = run_script(*asked, "--transparent", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    one = Image.open(tmp_path / "out/number_2026.png")
    assert one.mode == "LA" and not np.asarray(one)[..., 0].any()
    inside = slice(0, one.size[1] - 8)  # the enlargement blends neighbouring lines at their edge
    np.testing.assert_array_equal(np.asarray(one)[inside, :, 1], lines[0][inside])


def test_the_digits_of_a_line_share_their_style():
    options = wgan.Options(number="2026", lines=4)
    styles = drawing.draw_styles(options, 64).numpy()
    assert styles.shape == (4, 4, 64) and abs(styles.std() - 1) < 0.1
    unit = styles / np.linalg.norm(styles, axis=-1, keepdims=True)
    within = np.einsum("ljd,lkd->ljk", unit, unit)
    between = np.einsum("ljd,mjd->jlm", unit, unit)
    assert within.min() > 0.75 and np.sort(between.ravel())[:-16].max() < 0.6
    np.testing.assert_array_equal(drawing.draw_styles(wgan.Options(number="20", lines=2), 64), styles[:2, :2])


# ---- requests that cannot be met


def save_data(name, **arrays):
    return lambda folder: np.savez(folder / name, x_train=np.zeros([40, 28, 28], np.uint8), **arrays)


def save_letters(folder):
    save_generator(folder / "m.keras", range(1, 27))


def save_digits(folder):
    save_generator(folder / "m.keras", range(5))


WGAN = f"--model '{PRETRAINED}'"
ONE_KIND = {"y_train": np.zeros(40, np.int64)}
MANY_KINDS = {"y_train": np.arange(40)}
REFUSED = [
    Row("data without labels", save_data("d.npz"), "wgan --recipe cwgan --data d.npz", 2, "has no labels"),
    Row("one label", save_data("d.npz", **ONE_KIND), "wgan --recipe cwgan --data d.npz", 2, "1 different labels"),
    Row(
        "more labels than latent numbers",
        save_data("d.npz", **MANY_KINDS),
        "wgan --recipe cwgan --data d.npz --latent-dim 39",
        2,
        "give 40 or more",
    ),
    Row(
        "labels that the data lack",
        save_data("d.npz", **MANY_KINDS),
        "wgan --recipe cwgan --data d.npz --digits 40",
        2,
        "there is no 40",
    ),
    Row("a digit of two figures", None, f"wgan generate {WGAN} --digits 11", 2, "there is no 11"),
    Row("a digit that was not learned", save_digits, "wgan generate --model m.keras --digits 4,5", 2, "there is no 5"),
    Row("a number of a generator without labels", None, f"wgan write 2026 {WGAN}", 2, "has no labels"),
    Row("a number of letters", save_letters, "wgan write 12 --model m.keras", 2, "the labels 1-26"),
    Row("a digit to write that was not learned", save_digits, "wgan write 42 --model m.keras", 0, "number_42"),
    Row("a digit to write that was not learned", save_digits, "wgan write 45 --model m.keras", 2, "the labels 0-4"),
    Row("an array in no folder", None, f"wgan generate {WGAN} --npz a/b.npz", 2, "there is no folder"),
    Row("an array of somebody else", save_data("d.npz"), f"wgan generate {WGAN} --npz d.npz", 2, "--npz"),
    Row(
        "a picture of somebody else",
        lambda folder: (save_digits(folder), Image.new("L", (9, 9)).save(folder / "number_1.png")),
        "wgan write 1 --model m.keras --models-dir .",
        2,
        "number_1.png",
    ),
]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row.what} {row.words}")
def test_a_request_that_cannot_be_met_ends_in_one_line(row, tmp_path, monkeypatch, capfd):
    check(row, tmp_path, monkeypatch, capfd)
