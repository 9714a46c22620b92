"""What a user sees of a run: the files it leaves, what it prints, what a Python shell makes of them."""

import csv
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, SCRIPT, run_script
from PIL import Image

from support.results import pictures

pytestmark = pytest.mark.slow


def digests(folder):
    """The images of a folder by name, as checksums."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.png")}


def contents(folder):
    """All files below a folder but the lock, by their paths."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_the_images_are_distinct_grey_28x28_png(finished):
    images = sorted((finished.folder / "generated_images").glob("*.png"))
    assert [path.name for path in images] == [f"digit_{number:05d}.png" for number in range(700)]
    for path in images:
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28))
    assert len(set(digests(finished.folder / "generated_images").values())) == 700


def test_the_training_leaves_all_of_its_files(finished):
    training = finished.models / "training"
    rows = list(csv.DictReader((training / "history.csv").read_text(encoding="utf-8").splitlines()))
    columns = ["epoch", "step", "wasserstein_estimate", "critic_loss", "generator_loss"]
    assert list(rows[0]) == [*columns, "wasserstein_in_pixels", "sliced_wasserstein", "seconds"]
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 7)]
    assert [row["step"] for row in rows] == [str(4 * epoch) for epoch in range(1, 7)]
    assert all(np.isfinite([float(value) for value in row.values()]).all() for row in rows)
    assert all(float(row["critic_loss"]) == pytest.approx(-float(row["wasserstein_estimate"])) for row in rows)
    assert [path.name for path in sorted((training / "samples").iterdir())] == [
        f"epoch_000{n}.png" for n in range(1, 7)
    ]
    with Image.open(training / "progress.gif") as animation:
        assert animation.n_frames == 6
    with Image.open(training / "curves.png") as curves:
        assert min(curves.size) > 500
    record = json.loads((training / "run.json").read_text(encoding="utf-8"))
    assert record["about"]["options"]["seed"] == 5
    assert record["about"]["data"]["images"] == 256
    assert record["final"]["epoch"] == 6
    assert not list(finished.folder.rglob("*partial*"))


def test_the_last_sample_picture_shows_the_first_hundred_digits(finished):
    with Image.open(finished.models / "training/samples/epoch_0006.png") as picture:
        grid = np.asarray(picture)[::2, ::2]
    for number in (0, 17, 99):
        row, column = divmod(number, 10)
        with Image.open(finished.folder / f"generated_images/digit_{number:05d}.png") as digit:
            np.testing.assert_array_equal(grid[row * 28 : row * 28 + 28, column * 28 : column * 28 + 28], digit)


def test_tensorflow_prints_nothing(finished):
    assert finished.process.stdout == ""
    lines = finished.process.stderr.splitlines()
    assert all(line.startswith(("wgan trains for ", "epoch ", "700 digits in ", "next: ")) for line in lines), lines


def test_the_models_load_in_a_fresh_shell_outside_the_repository(finished, tmp_path):
    code = f"""
import keras, numpy as np
generator = keras.models.load_model({str(finished.models / "generator.keras")!r})
critic = keras.models.load_model({str(finished.models / "critic.keras")!r})
images = generator.predict(np.random.normal(size=(16, generator.input_shape[1])), verbose=0)
assert images.shape == (16, 28, 28, 1) and abs(images).max() <= 1, images.shape
assert critic.predict(images, verbose=0).shape == (16, 1)
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr


def test_an_image_does_not_depend_on_how_many_are_drawn(finished, tmp_path):
    model = finished.models / "generator.keras"
    for count in (3, 501):
        process = run_script(
            "generate",
            "--model",
            model,
            "--images",
            count,
            "--seed",
            5,
            "--images-dir",
            tmp_path / str(count),
            cwd=tmp_path,
        )
        assert process.returncode == 0, process.stderr
    whole = digests(finished.folder / "generated_images")
    for count in (3, 501):
        part = digests(tmp_path / str(count))
        assert len(part) == count
        assert part.items() <= whole.items()


def test_another_seed_draws_other_images(finished, tmp_path):
    model = finished.models / "generator.keras"
    run_script("generate", "--model", model, "--images", 3, "--seed", 6, cwd=tmp_path)
    other = digests(tmp_path / "generated_images")
    assert len(other) == 3
    assert not set(other.values()) & set(digests(finished.folder / "generated_images").values())


def test_a_second_run_leaves_no_stale_image_and_no_file_of_others_changed(finished, tmp_path):
    model = finished.models / "generator.keras"
    images = tmp_path / "generated_images"
    images.mkdir()
    (images / "notes.txt").write_text("mine")
    (images / "digit_99999.png").write_text("mine too")
    for count in (30, 20):
        process = run_script("generate", "--model", model, "--images", count, cwd=tmp_path)
        assert process.returncode == 0, process.stderr
    assert len(list(images.glob("digit_000*.png"))) == 20
    assert (images / "notes.txt").read_text() == "mine"
    assert (images / "digit_99999.png").read_text() == "mine too"


def test_a_picture_of_the_user_is_not_replaced(finished, tmp_path):
    images = tmp_path / "generated_images"
    images.mkdir()
    (images / "digit_00003.png").write_text("mine")
    process = run_script("generate", "--model", finished.models / "generator.keras", "--images", 20, cwd=tmp_path)
    assert process.returncode == 2
    assert "digit_00003.png" in process.stderr
    assert (images / "digit_00003.png").read_text() == "mine"
    assert len(list(images.glob("*.png"))) == 1


def variables_of(folder, step=24):
    """The complete state in the last checkpoint of a tiny run."""
    with np.load(folder / f"saved_models/training/checkpoints/step_{step:09d}.npz") as file:
        return {name: file[name] for name in file.files if name != "record"}


def test_the_same_seed_gives_the_same_weights(finished, tiny, tmp_path):
    run_script("train", *tiny, cwd=tmp_path)
    again, first = variables_of(tmp_path), variables_of(finished.folder)
    assert again.keys() == first.keys()
    assert all(np.array_equal(again[name], first[name]) for name in first)


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are not delivered on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_resumes_to_the_very_same_weights(finished, tiny, tmp_path, number):
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "train", *map(str, tiny)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    checkpoints = tmp_path / "saved_models/training/checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("step_*.npz")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 128 + number, printed
    assert "--resume" in printed.splitlines()[-1]
    assert (tmp_path / "saved_models/generator.keras").exists()
    assert not (checkpoints / "step_000000024.npz").exists()

    process = run_script("train", *tiny, "--resume", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    resumed, whole = variables_of(tmp_path), variables_of(finished.folder)
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)

    def history(folder):
        rows = csv.DictReader((folder / "saved_models/training/history.csv").read_text(encoding="utf-8").splitlines())
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]

    assert history(tmp_path) == history(finished.folder)


def truncated(content):
    return content[:5000]


def encrypted(content):
    """A zip file whose first member claims to be encrypted: Python raises a RuntimeError of it."""
    place = content.index(b"PK\1\2") + 8
    return content[:place] + bytes([content[place] | 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [truncated, encrypted])
def test_a_damaged_checkpoint_falls_back_on_the_one_before(finished, tiny, tmp_path, damage):
    shutil.copytree(finished.models, tmp_path / "saved_models")
    checkpoints = sorted((tmp_path / "saved_models/training/checkpoints").glob("step_*.npz"))
    assert len(checkpoints) == 2
    checkpoints[-1].write_bytes(damage(checkpoints[-1].read_bytes()))
    process = run_script("train", *tiny, "--resume", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "damaged" in process.stderr
    resumed, whole = variables_of(tmp_path), variables_of(finished.folder)
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are not delivered on Windows")
def test_a_run_that_is_stopped_at_once_leaves_what_an_earlier_one_made(finished, tiny, tmp_path):
    lock = tmp_path / "saved_models/.lock"
    shutil.copytree(finished.models, lock.parent, ignore=shutil.ignore_patterns(lock.name))
    before = contents(tmp_path)
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "train", *map(str, tiny), "--epochs", "1000"]
    command += ["--data", str(ROOT / "data/mnist.npz")]  # with epochs too long for the first to end
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not lock.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)  # it holds the folder and begins to train
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "--resume" not in printed  # it would go on with the earlier one
    assert contents(tmp_path) == before


def test_files_of_the_user_with_names_like_ours_stay(finished, tiny, tmp_path):
    training = tmp_path / "saved_models/training"
    others = [training / "checkpoints/step_000000100_keep.npz", training / "samples/epoch_0009 (copy).png"]
    for path in others:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    others[2:] = [training / "samples/epoch_0099.png"]
    others[2].write_text("mine")
    pictures.save_grid(training / "samples/epoch_0010.png", np.zeros((10, 28, 28), np.uint8))  # of a longer run before
    process = run_script("train", *tiny, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert [path.read_text() for path in others] == ["mine"] * 3
    assert not (training / "samples/epoch_0010.png").exists()


def test_images_and_models_may_share_a_folder_and_keras_json_does_not_matter(finished, tiny, tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float64", "image_data_format": "channels_first"}')
    folders = ("--images-dir", "out", "--models-dir", "./out", "--images", 700)
    process = run_script(*tiny, *folders, cwd=tmp_path, env=os.environ | {"KERAS_HOME": str(tmp_path)})
    assert process.returncode == 0, process.stderr
    assert digests(tmp_path / "out") == digests(finished.folder / "generated_images")


def test_resuming_with_other_options_is_refused_with_the_differences(finished, tiny):
    process = run_script("train", *tiny, "--clip", "0.5", "--resume", cwd=finished.folder)
    assert process.returncode == 2
    assert "--clip" in process.stderr and "0.5" in process.stderr
    assert len(process.stderr.splitlines()) == 1


def test_resuming_what_is_done_says_so(finished, tiny, tmp_path):
    shutil.copytree(finished.models, tmp_path / "saved_models")
    process = run_script("train", *tiny, "--epochs", 5, "--resume", cwd=tmp_path)
    assert process.returncode == 0
    assert process.stderr.startswith("wgan_handwritten_digits: 6 epochs of training are done already")
    resumed, whole = variables_of(tmp_path), variables_of(finished.folder)
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)


def test_resuming_nothing_is_refused(tiny, tmp_path):
    process = run_script("train", *tiny, "--resume", cwd=tmp_path)
    assert process.returncode == 2
    assert len(process.stderr.splitlines()) == 1


def test_losses_that_are_not_finite_stop_the_run(tiny, tmp_path):
    process = run_script("train", *tiny, "--learning-rate", "1e9", "--clip", "1e9", cwd=tmp_path)
    assert process.returncode == 1, process.stderr
    assert "no longer finite" in process.stderr.splitlines()[-1]
    assert not (tmp_path / "saved_models/generator.keras").exists()


def test_importing_the_script_has_no_side_effect(tmp_path):
    code = "import sys; import wgan_handwritten_digits; assert 'tensorflow' not in sys.modules"
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_interpolate_makes_an_animation_and_a_strip(finished, tmp_path):
    shutil.copy(finished.models / "generator.keras", tmp_path)
    command = ("interpolate", "--model", "generator.keras", "--models-dir", "out", "--walk", "3,4,5", "--frames", 30)
    process = run_script(*command, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    with Image.open(tmp_path / "out/interpolation.gif") as film:
        assert film.n_frames == 90 and film.size == (112, 112)
        assert film.info["loop"] == 0
    with Image.open(tmp_path / "out/interpolation.png") as strip:
        assert strip.size == (20 * 56, 3 * 56)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".lock",
        *("interpolation.gif", "interpolation.png"),
    ]


def test_tensorboard_gets_scalars_and_pictures(small_data, tmp_path):
    command = ("train", "--data", small_data, "--epochs", 2, "--batch-size", 64, "--tensorboard", "logs")
    process = run_script(*command, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    [events] = (tmp_path / "logs").iterdir()
    import tensorflow as tf

    found = [
        (value.tag, event.step)
        for record in tf.data.TFRecordDataset(str(events))
        for event in [tf.compat.v1.Event.FromString(record.numpy())]
        for value in event.summary.value
    ]
    names = ["wasserstein_estimate", "critic_loss", "generator_loss", "digits"]
    names += ["wasserstein_in_pixels", "sliced_wasserstein"]
    assert sorted(found) == sorted((name, epoch) for name in names for epoch in (1, 2))


def test_a_folder_for_tensorboard_that_cannot_be_written_is_refused_at_once(small_data, tmp_path):
    (tmp_path / "logs").write_text("a file")
    process = run_script("train", "--data", small_data, "--tensorboard", "logs", cwd=tmp_path)
    assert process.returncode == 2 and process.stderr.count("\n") == 1 and "logs" in process.stderr


def test_fashion_mnist_in_idx_form_trains_through_data_alone(tmp_path):
    """IDX files as Fashion-MNIST has them, gzipped, of a few hundred images."""
    pictures = np.random.default_rng(0).integers(0, 256, (300, 28, 28), np.uint8)
    labels = np.arange(300, dtype=np.uint8) % 10
    for name, array in {"train-images-idx3-ubyte.gz": pictures, "train-labels-idx1-ubyte.gz": labels}.items():
        header = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
        (tmp_path / name).write_bytes(gzip.compress(header + array.tobytes()))
    process = run_script("--data", ".", "--epochs", 1, "--images", 20, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    record = json.loads((tmp_path / "saved_models/training/run.json").read_text(encoding="utf-8"))
    assert record["about"]["data"]["images"] == 300
    assert len(list((tmp_path / "generated_images").glob("*.png"))) == 20
