"""Digits on request: labels, the recipe cwgan, --digits, --npz, and the steps `write` and `interpolate`."""

import csv

import numpy as np
import pytest
from conftest import ROOT, snapshot
from PIL import Image

import wgan_handwritten_digits as wgan
from support import drawing, labels, pictures
from support.data import load_dataset
from support.lazy import keras
from support.models import load_generator, save_model

PRETRAINED = ROOT / "saved_models/pretrained/wgan/generator.keras"


def save_generator(path, kinds=range(10)):
    """Saves an untrained generator with these labels whose choice shows: random weights ten times the usual."""
    keras.utils.set_random_seed(1)
    generator = wgan.build_generator(64, labels=tuple(kinds))
    for variable in generator.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(variable * 10.0)
    save_model(generator, path)
    return path


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """The path of an untrained generator with the labels 0 to 9."""
    return save_generator(tmp_path_factory.mktemp("generator") / "generator.keras")


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def images_in(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("digit_*.png"))])


# ------------------------------------------------------------------------------ labels as text, and in a model's file
@pytest.mark.parametrize("text", ["", "x", "5-3", "-1", "3,", "1.5", "0-100000", "²", "9" * 5000])
def test_labels_are_read_and_what_is_not_a_list_of_labels_is_refused(text):
    assert labels.read_labels("5,3") == (5, 3) and labels.read_labels("0-2,26") == (0, 1, 2, 26)
    with pytest.raises(ValueError, match="is not a list of labels"):
        labels.read_labels(text)


@pytest.mark.parametrize("kinds", [tuple(range(10)), tuple(range(1, 27)), (0, 1, 2, 50, 98, 99)])
def test_the_labels_of_a_generator_are_in_its_file(tmp_path, kinds):
    assert labels.labels_of(load_generator(save_generator(tmp_path / "generator.keras", kinds))) == kinds
    generator = load_generator(PRETRAINED)
    assert labels.labels_of(generator) == () and labels.count_choices(generator) == 10
    stranger = keras.Sequential([keras.Input((4,)), keras.layers.Dense(784, name="choice")])
    assert labels.count_choices(stranger) == 0


# ------------------------------------------------------------------------------------------------------------- files
@pytest.mark.slow
def test_a_run_of_cwgan_leaves_labelled_digits_and_resumes_with_the_same_labels_alone(program, small_data):
    run = "--recipe cwgan --batch-size 64 --n-critic 1 --epochs"
    status, lines = program(f"{run} 1 --images 30 --data", small_data)
    assert status == 0, lines
    assert labels.labels_of(load_generator("saved_models/generator.keras")) == tuple(range(10))
    assert keras.models.load_model("saved_models/critic.keras").output_shape == (None, 10)
    expected = [[f"digit_{i:05d}.png", str(i % 10)] for i in range(30)]
    assert rows("generated_images/labels.csv") == [["file", "digit"], *expected]
    with np.load(small_data) as file:
        np.savez("other.npz", x_train=file["x_train"], y_train=file["y_train"][::-1])
    status, lines = program(f"train {run} 2 --resume --data other.npz")
    assert status == 2 and "sha256_labels" in lines[-1]


@pytest.mark.slow
def test_only_the_digits_that_are_asked_for(program, tmp_path, generator):
    asked = f"generate --model '{generator}' --digits 3,5 --images 41"
    assert program(asked)[0] == 0
    status, lines = program(asked + " --npz both.npz --images-dir both")
    assert status == 0 and any("41 digits in both.npz" in line for line in lines), lines
    expected = ([3, 5] * 21)[:41]
    assert [int(digit) for _, digit in rows("generated_images/labels.csv")[1:]] == expected
    loaded = load_dataset("both.npz")
    assert loaded.train_labels.tolist() == expected
    for folder in ("generated_images", "both"):
        np.testing.assert_array_equal(loaded.train_images, images_in(tmp_path / folder))
    assert program(asked + " --npz both.npz")[0] == 2  # nothing is replaced
    status, _ = program(f"generate --model '{generator}' --images 4 --npz all.npz")
    assert status == 0 and load_dataset("all.npz").train_labels.tolist() == [0, 1, 2, 3]


# ---------------------------------------------------------------------------------------------- write and interpolate
def test_a_number_is_written_in_several_hands(program, generator):
    asked = f"write 2026 --model '{generator}' --models-dir out"
    status, lines = program(asked + " --lines 3")
    assert status == 0 and "number_2026.png" in lines[-1], lines
    with Image.open("out/number_2026.png") as picture:
        hands = np.split(np.asarray(picture), 3)
        assert picture.mode == "L" and (hands[0] != hands[1]).any() and (hands[1] != hands[2]).any()
    # One line has the same hand as the first of three; and the picture of an earlier run is replaced.
    assert program(asked + " --transparent")[0] == 0
    with Image.open("out/number_2026.png") as picture:
        ink, alpha = np.moveaxis(np.asarray(picture), -1, 0)
        assert picture.mode == "LA" and not ink.any()
    inside = slice(0, len(alpha) - 8)  # the enlargement blends neighbouring lines at their edge
    np.testing.assert_array_equal(alpha[inside], hands[0][inside])


def test_the_digits_of_a_line_share_their_style():
    latents = drawing.draw_lines("2026", 4, 0, range(10), 64).numpy()
    assert latents.shape == (4, 4, 64) and abs(latents.std() - 1) < 0.1
    assert (latents[..., :10].argmax(-1) == [2, 0, 2, 6]).all()
    unit = latents[..., 10:] / np.linalg.norm(latents[..., 10:], axis=-1, keepdims=True)
    within, between = np.einsum("ljd,lkd->ljk", unit, unit), np.einsum("ljd,mjd->jlm", unit, unit)
    assert within.min() > 0.7 and np.sort(between.ravel())[:-16].max() < 0.6


def test_a_walk_is_smooth_and_starts_at_the_latent_vector_of_each_seed(program):
    status, lines = program("interpolate --model wgan --models-dir out --walk 3,4,5 --frames 30")
    assert status == 0 and "a walk between 3 latent vectors" in lines[-1], lines
    with Image.open("out/interpolation.gif") as animation, Image.open("out/interpolation.png") as picture:
        assert (animation.n_frames, animation.size, animation.info["loop"]) == (90, (112, 112), 0)
        assert picture.size == (20 * 56, 3 * 56)
        frames = np.asarray(picture, int)[::2, ::2]
    for way, seed in enumerate((3, 4, 5)):
        generator, latents = load_generator(PRETRAINED), drawing.draw_latents(seed, 0, 64)
        digit = drawing.to_pixels(generator(latents, training=False)).numpy()[0]
        assert abs(frames[28 * way :, :28][:28] - digit).max() <= 1, "up to the rounding of another batch size"
    points = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    ways = list(pictures.walk([*points, -points[2]], 10))
    lengths = np.linalg.norm(np.concatenate(ways[:2]), axis=-1)
    assert lengths.min() > 0.95 * np.linalg.norm(points, axis=1).min(), "no shorter in between"
    assert all((way[0] == point).all() for way, point in zip(ways, points, strict=False))
    assert np.isfinite(ways).all()  # the third leads through the origin


# ------------------------------------------------------------------------------------------ requests that cannot be met
REFUSED = [
    ("--recipe cwgan --data unlabelled.npz", "has no labels"),
    ("--recipe cwgan --data one.npz", "1 different labels"),
    ("--recipe cwgan --data many.npz --latent-dim 39", "give 40 or more"),
    ("--recipe cwgan --data many.npz --digits 40", "there is no 40"),
    ("generate --model wgan --digits 7", "use --model cwgan"),
    ("generate --model five.keras --digits 4,5", "there is no 5"),
    ("generate --model wgan --npz no/b.npz", "there is no folder"),
    ("write 2026 --model wgan", "has no labels"),
    ("write 12 --model letters.keras", "the labels 1-26"),
    ("write 45 --model five.keras", "the labels 0-4"),
    ("write 1 --model five.keras --models-dir .", "number_1.png: is in the way"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED)
def test_a_request_that_cannot_be_met_is_one_line_and_changes_nothing(words, reason, program, tmp_path):
    images = np.tile(np.arange(0, 56, 2, dtype=np.uint8), (40, 28, 1))
    np.savez("unlabelled.npz", x_train=images)
    np.savez("one.npz", x_train=images, y_train=np.zeros(40, int))
    np.savez("many.npz", x_train=images, y_train=np.arange(40))
    (tmp_path / "number_1.png").write_text("mine")
    if ".keras" in words:
        save_generator(tmp_path / "five.keras", range(5))
        save_generator(tmp_path / "letters.keras", range(1, 27))
    before = snapshot(tmp_path)
    status, lines = program(words)
    assert status == 2 and len(lines) == 1 and reason in lines[0], lines
    assert snapshot(tmp_path) == before
