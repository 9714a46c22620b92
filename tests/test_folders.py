"""What a run writes to its folders: whole files, none in the place of a user's, digits that are known as complete."""

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SCRIPT, snapshot
from kill_at_random import run_and_kill
from PIL import Image

import wgan_handwritten_digits as wgan
from support import models, pictures
from support.data import load_dataset
from support.errors import InputError
from support.lazy import keras
from support.options import read_options
from support.outputs import checkpoints, claims, digit_images, files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a right, there are no FIFOs and no limits")


# --------------------------------------------------------------------------------------------------------- whole files
def noise(seed, count=100):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def save_curves(folder, seed):
    pictures.save_curves(folder / "a.png", [{"epoch": 1, "frechet_distance": 1 + seed}], real={})


SAVERS = {
    "text": lambda folder, seed: files.write_text(folder / "a.csv", f"{seed}\n" * 9999),
    "model": lambda folder, seed: models.save_model(wgan.build_generator(seed), folder / "a.keras"),
    "picture": lambda folder, seed: pictures.save_grid(folder / "a.png", noise(seed)),
    "curves": save_curves,
    "checkpoint": lambda folder, seed: checkpoints.save(folder, 1, [noise(seed, 900)], {}),
    "array": lambda folder, seed: digit_images.write_array(folder / "a.npz", noise(seed), (7,)),
}


@pytest.mark.parametrize("name", SAVERS)
def test_a_full_disk_is_an_oserror_with_the_path_and_leaves_the_old_file(name, tmp_path):
    import resource

    for folder, seed in (("old", 1), ("new", 2)):
        (tmp_path / folder).mkdir()
        SAVERS[name](tmp_path / folder, seed)
    before, [new] = snapshot(tmp_path / "old"), (tmp_path / "new").iterdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, new.stat().st_size // 2, new.stat().st_size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(OSError) as error:
                SAVERS[name](tmp_path / "old", 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert new.name in str(error.value) or name == "model"
        assert snapshot(tmp_path / "old") == before


NO_JSON = [
    b"",
    b"[1]",
    b"{",
    b"[" * 100_000,
    b'{"a": 9%s}' % (b"9" * 5000),
    b'{"a": "\xff"}',
    b'{"a": "%s"}' % bytes(2**20),
]


@pytest.mark.parametrize("content", NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_no_small_json_file_of_a_dictionary_reads_as_nothing(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert files.read_json(tmp_path / "a.json") is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_json_as_windows_writes_it_is_read(tmp_path, encoding):
    (tmp_path / "a.json").write_text('{"a": 1}', encoding=encoding)
    assert files.read_json(tmp_path / "a.json") == {"a": 1}


# ------------------------------------------------------------------------------------- the user's files are not touched
def put(name, make=lambda path: path.write_text("mine")):
    """A function that makes a thing in a folder, by default a file."""

    def make_it(base):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        make(base / name)

    return make_it


def link(name, target):
    return put(name, lambda path: path.symlink_to(target))


def text(name, content):
    return put(name, lambda path: path.write_text(content))


def several(*makers):
    return lambda base: [make(base) for make in makers]


def without_right(path):
    path.mkdir()
    path.chmod(0o555)
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")


def claim(words, labelled=False):
    """A run's claim on the folders that its options name."""
    options = read_options(shlex.split(words), wgan.RECIPES)
    return claims.claimed(claims.of_run(options, labelled), lock=not options.shard)


DIGITS = "generate --images 20 --images-dir images"
TRAIN, WALK = "train --models-dir models", "interpolate --models-dir models"
OURS = several(text(f"images/{claims.MARK}", "digits\n"), put("images/digit_00003.png"))
OTHER_KIND = several(text(f"models/{claims.MARK}", "number\n"), put("models/critic.keras"))
IN_THE_WAY = {  # what is there, which run, what the run says
    "a digit": (put("images/digit_00003.png"), DIGITS, "images/digit_00003.png: is in the way"),
    "a folder for a digit": (put("images/digit_00003.png", Path.mkdir), DIGITS, "digit_00003.png: is in the way"),
    "a FIFO for a digit": (put("images/digit_00003.png", os.mkfifo), DIGITS, "digit_00003.png: is in the way"),
    "a link among ours": (several(OURS, link("images/digit_00004.png", "x")), DIGITS, "digit_00004.png: is in"),
    "a record": (text("images/digits.json", "{}"), DIGITS, "digits.json: is in the way"),
    "a generator": (put("models/generator.keras"), TRAIN, "generator.keras: is in the way"),
    "a file for the folder of a run": (put("models/training"), TRAIN, "models/training: is in the way"),
    "a link for the folder of a run": (link("models/training", ".."), TRAIN, "models/training: is in the way"),
    "an animation": (put("models/interpolation.gif"), WALK, "interpolation.gif: is in the way"),
    "a number": (put("models/number_7.png"), "write 7 --models-dir models", "number_7.png: is in the way"),
    "a file that its mark does not name": (OTHER_KIND, TRAIN, "critic.keras: is in the way"),
    "in the second of two folders": (put("models/critic.keras"), "--models-dir models --images-dir b/images", "critic"),
    "a file for a folder": (put("images"), DIGITS, "images: cannot be written to (Not a directory); choose another"),
    "a link in a circle": (link("images", "images"), DIGITS, "choose another --images-dir"),
    "a long name": (put("a"), f"train generate --images-dir {'a' * 300}", "File name too long; choose another folder"),
    "a folder that cannot be made": (put("a"), "page --models-dir /proc/none", "/proc/none: cannot be written to"),
    "a folder without the right": (put("images", without_right), DIGITS, "Permission denied"),
    "no run to resume": (put("models/notes.txt"), f"{TRAIN} --resume", "--resume: models holds no run; give its"),
    "an array": (put("a.npz"), "generate --npz a.npz", "--npz a.npz: exists already"),
    "an array in no folder": (put("a"), "generate --npz b/a.npz", "there is no folder b that can be written to"),
}


def test_a_worker_that_draws_a_shard_checks_as_well(tmp_path, monkeypatch):
    machines = {"worker": ["a:1", "b:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": machines, "task": {"type": "worker", "index": 1}}))
    monkeypatch.chdir(tmp_path)
    put("images/digit_00015.png")(tmp_path)
    with pytest.raises(InputError, match="digit_00015.png: is in the way"), claim(f"{DIGITS} --shard 2/2"):
        pytest.fail("it was not refused")


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_what_is_in_the_way_is_refused_and_nothing_is_changed(name, tmp_path, monkeypatch):
    make, words, line = IN_THE_WAY[name]
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    before = snapshot(tmp_path), sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as error, claim(words):
        pytest.fail("it was not refused")
    assert line in str(error.value)
    assert (snapshot(tmp_path), sorted(tmp_path.rglob("*"))) == before


OUR_RUN = several(text(f"models/{claims.MARK}", "training run\n"), put("models/generator.keras"))
NOT_IN_THE_WAY = {
    "files of other names": (several(put("images/notes.txt"), put("images/.lock")), DIGITS),
    "a digit beyond ours": (put("images/digit_00020.png"), DIGITS),
    "a digit of another script": (put("images/digit_0000٣.png"), DIGITS),
    "labels, beside digits without": (put("images/labels.csv"), DIGITS),
    "a link to a folder": (several(put("real/notes.txt"), link("images", "real")), DIGITS),
    "digits of ours": (OURS, DIGITS),
    "a run of ours": (OUR_RUN, TRAIN),
    "spaces, a line feed, another script": (put("a b\n数字/notes.txt"), "generate --images-dir 'a b\n数字'"),
    "what this step does not write": (put("models/generator.keras"), WALK),
}


@pytest.mark.parametrize("name", NOT_IN_THE_WAY)
def test_what_is_not_in_the_way_stays(name, tmp_path, monkeypatch):
    make, words = NOT_IN_THE_WAY[name]
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    before = snapshot(tmp_path)
    with claim(words):
        assert snapshot(tmp_path) == before
    with claim(words), claim("write 7 --models-dir models"):
        pass


def test_one_run_at_a_time_writes_to_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import sys; from support.outputs import claims\n"
    code += "with claims.claimed([claims.Claim(sys.argv[1], {})]): print('held', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "images")], **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="images: another run is writing there"), claim(DIGITS):
            pass
        with claim(DIGITS + " --shard 1/2"):  # shards write beside each other
            pass
        holder.kill()
    with claim(DIGITS), claim(DIGITS):  # a run with several steps claims a folder twice
        pass


# -------------------------------------------------------------------------------------------------------------- digits
@pytest.fixture(scope="module")
def generators(tmp_path_factory):
    """The paths of two quick generators by name: without labels, and with the labels 3 and 7."""
    folder, layers, latent = tmp_path_factory.mktemp("generators"), keras.layers, keras.Input((8,))
    keras.utils.set_random_seed(0)
    choice = layers.Dense(2, "softmax", name="labels_3_7")(latent)
    for name, values in {"plain": latent, "labelled": layers.Concatenate()([latent, choice])}.items():
        ink = layers.Reshape((28, 28, 1))(layers.Dense(784, "tanh")(values))
        models.save_model(keras.Model(latent, ink), folder / f"{name}.keras")
    return {name: folder / f"{name}.keras" for name in ("plain", "labelled")}


@pytest.fixture
def generate(program, generators):
    """A function that writes digits with one of them: the line about the digits, or the error."""

    def run(words, model="plain", status=0):
        ended, lines = program(f"generate {words}", "--model", generators[model])
        assert ended == status, lines
        return lines[-1] if status else lines[0]

    return run


def digits(folder="generated_images"):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.png")}


def test_the_digits_are_distinct_grey_28x28_png(generate, generators):
    assert generate("--images 700 --seed 5").startswith("700 digits in generated_images, drawn by ")
    found = digits()
    assert sorted(found) == [f"digit_{number:05d}.png" for number in range(700)]
    assert len(set(found.values())) == 700
    for name in found:
        with Image.open(Path("generated_images", name)) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28))
    about = json.loads(Path("generated_images/digits.json").read_text())
    checksum = hashlib.sha256(generators["plain"].read_bytes()).hexdigest()
    assert [about[key] for key in ("complete", "images", "seed", "sha256")] == [True, 700, 5, checksum]
    for count in ("3", "501"):  # an image does not depend on how many are drawn
        generate(f"--images {count} --seed 5 --images-dir {count}")
        assert digits(count).items() <= found.items()
    generate("--images 3 --seed 6 --images-dir other")
    assert not set(digits("other").values()) & set(found.values())


def test_a_smaller_set_leaves_nothing_of_a_larger_one_and_all_of_the_users(generate):
    mine = [Path("images", name) for name in ("notes.txt", "digit_99999.png")]
    for path in mine:
        put(path)(Path())
    generate("--images 30 --images-dir images", "labelled")
    lines = Path("images/labels.csv").read_text().splitlines()
    assert lines[:3] == ["file,digit", "digit_00000.png,3", "digit_00001.png,7"] and len(lines) == 31
    generate("--images 20 --images-dir images")
    assert sorted(digits("images")) == [*(f"digit_{number:05d}.png" for number in range(20)), "digit_99999.png"]
    assert not Path("images/labels.csv").exists() and all(path.read_text() == "mine" for path in mine)
    Path("images/labels.csv").write_text("mine")
    Path("images", claims.MARK).unlink()
    Path("images/digits.json").unlink()
    assert "is in the way" in generate("--images 1 --images-dir images", "labelled", status=2)


def check_and_complete(program):
    """Reads digits that are not complete, and runs the command in the error."""
    with pytest.raises(InputError, match="not all of its 30 images are there; complete them: python ") as error:
        load_dataset("generated_images")
    _, script, *command = shlex.split(str(error.value).partition("complete them: ")[2])
    assert script == str(SCRIPT)  # it works in any folder
    assert program(shlex.join(command))[0] == 0
    assert len(load_dataset("generated_images").train_images) == 30


@pytest.mark.parametrize("words", ["--seed 3", "--digits 7,7,3", "--shard 2/2"])
def test_digits_that_a_full_disk_cut_off_are_incomplete_and_can_be_completed(words, generate, program, monkeypatch):
    model = "labelled" if "--digits" in words else "plain"
    if words == "--shard 2/2":
        generate("--images 30 --shard 1/2")

    def open_until_the_disk_is_full(path, mode):
        if "digit_00020" in str(path):
            raise OSError(28, "No space left on device")
        return open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(digit_images, "open", open_until_the_disk_is_full, raising=False)
        line = generate(f"--images 30 {words}", model, status=1)
    assert "No space left on device: 'generated_images'; complete files are kept" in line
    check_and_complete(program)
    generate(f"--images 30 --images-dir whole {words.replace('--shard 2/2', '')}", model)
    assert digits() == digits("whole")


@pytest.mark.slow
def test_digits_of_a_killed_run_are_incomplete_and_can_be_completed(generators, generate, program, tmp_path):
    command = ("generate", "--images", 30, "--model", generators["plain"])
    process = run_and_kill(tmp_path, *command, kill_before=("open .png", 21))
    assert process.returncode == -signal.SIGKILL and len(digits()) == 20, process.stderr
    check_and_complete(program)
    generate("--images 30 --images-dir whole")
    assert snapshot("generated_images") == snapshot("whole")


def test_a_copy_without_a_record_is_read_and_not_written_to(generate, tmp_path):
    generate("--images 20")
    shutil.copytree("generated_images", "copy", ignore=shutil.ignore_patterns("digits.json", ".*"))
    assert len(load_dataset("copy").train_images) == 20
    before = snapshot(tmp_path)
    line = generate("--images 20 --images-dir copy", status=2)
    assert "copy/digit_000" in line and "nothing in the folder says that this program wrote it; move it, or" in line
    assert snapshot(tmp_path) == before


def test_class_folders_are_read_as_labels_completed_and_not_replaced(generate, program):
    generate("--images 30 --digits 7,7,3 --images-dir images --folders", "labelled")
    found = sorted(Path("images").rglob("*.png"))
    assert len(found) == 30 and not Path("images/labels.csv").exists()
    read = load_dataset("images")
    assert [name[:2] for name in read.file_names] == ["3/"] * 10 + ["7/"] * 20
    assert read.train_labels.tolist() == [3] * 10 + [7] * 20
    generate("--images 30 --digits 7,7,3 --images-dir flat", "labelled")
    assert {path.name: path.read_bytes() for path in found} == digits("flat")
    record = Path("images/digits.json")
    record.write_text(record.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(InputError, match="not all of its 30 images are there; .* --folders"):
        load_dataset("images")
    generate("--images 30 --digits 7,7,3 --images-dir images --folders", "labelled")
    for words in (
        "--images 20 --folders --images-dir images",
        "--images 30 --images-dir images",
        "--folders --images-dir flat",
    ):
        assert "holds other digits, and class folders are not replaced" in generate(words, "labelled", status=2)
    for words in ("--images-dir images", "--folders --images-dir flat"):  # not after hours of training
        with pytest.raises(InputError, match="class folders are not replaced"), claim(f"train generate {words}"):
            pytest.fail("it was not refused")
    assert "--folders: this generator has no labels" in generate("--folders", status=2)
    put("mine/7/a.png")(Path())
    assert "mine/7: is in the way" in generate("--folders --images-dir mine", "labelled", status=2)


# -------------------------------------------------------------------------------------------------------------- shards
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1)])
def test_shards_write_the_images_of_one_process_and_are_complete_together(order, generate):
    images = "--images 1203 --seed 5 --images-dir"
    generate(f"{images} whole", "labelled")
    generate("--images 1300 --images-dir parts", "labelled")  # an earlier set
    for part in order:
        if part != order[0]:
            with pytest.raises(InputError, match="not all of its 1203 images are there; .* --shard [123]/3"):
                load_dataset("parts")
        assert generate(f"{images} parts --shard {part}/3", "labelled").startswith("401 digits in parts")
    assert len(load_dataset("parts").train_labels) == 1203
    whole, parts = snapshot("whole"), snapshot("parts")
    assert whole.keys() ^ parts.keys() == {"digits.json", *(f"digits-{part}-of-3.json" for part in order)}
    assert all(whole[name] == parts[name] for name in whole.keys() & parts.keys())


@pytest.mark.parametrize(
    "other", ["--images 10 --seed 1 --shard 2/2", "--images 12 --shard 2/2", "--images 10 --shard 2/3"]
)
def test_shards_of_another_set_do_not_pass_for_a_part_of_this_one(other, generate):
    generate("--images 10 --shard 1/2")
    generate(other)
    with pytest.raises(InputError, match="not all of its 1[02] images are there"):
        load_dataset("generated_images")
    generate("--images 10 --shard 1/2")
    generate("--images 10 --shard 2/2")
    generate("--images 10 --images-dir whole")
    assert digits() == digits("whole")
    assert len(load_dataset("generated_images").train_images) == 10
