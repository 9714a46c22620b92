"""What a run writes to its folders: whole files, none in the place of a user's, digits that are known as complete."""

import contextlib
import hashlib
import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, snapshot
from PIL import Image

import wgan_handwritten_digits as wgan
from support import models, pictures
from support.data import read_images
from support.errors import InputError
from support.lazy import keras
from support.options import read_options
from support.outputs import checkpoints, claims, digit_images, files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a right, there are no FIFOs and no limits")


# --------------------------------------------------------------------------------------------------------- whole files
@pytest.fixture
def limit():
    """A function: from now on, no file can have more than this number of bytes, as on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(seed, count=100):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def save_frames(folder, seed):
    pictures.save_walk(folder, [noise(seed, 5)])
    (folder / "interpolation.png").unlink()


SAVERS = {
    "text": lambda folder, seed: files.write_text(folder / "a.csv", f"{seed}\n" * 9999),
    "model": lambda folder, seed: models.save_model(wgan.build_generator(seed), folder / "a.keras"),
    "picture": lambda folder, seed: pictures.save_grid(folder / "a.png", noise(seed)),
    "animation": save_frames,
    "curves": lambda folder, seed: pictures.save_curves(
        folder / "a.png", [{"epoch": 1, "frechet_distance": 1 + seed}], real={}
    ),
    "checkpoint": lambda folder, seed: checkpoints.save(folder, 1, [noise(seed, 900)], {}),
    "array": lambda folder, seed: digit_images.write_array(folder / "a.npz", noise(seed), (7,)),
}


@pytest.mark.parametrize("name", SAVERS)
def test_a_full_disk_is_an_oserror_with_the_path_and_leaves_the_old_file(name, tmp_path, limit):
    for folder, seed in (("old", 1), ("new", 2)):
        (tmp_path / folder).mkdir()
        SAVERS[name](tmp_path / folder, seed)
    before, [new] = snapshot(tmp_path / "old"), (tmp_path / "new").iterdir()
    for size in (0, new.stat().st_size // 2, new.stat().st_size - 1):
        with pytest.raises(OSError) as error:
            limit(size)
            try:
                SAVERS[name](tmp_path / "old", 2)
            finally:
                limit(10**9)
        assert new.name in str(error.value) or name == "model"
        assert snapshot(tmp_path / "old") == before


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    with files.write_whole(path) as temporary:
        temporary.write_text("new")
        assert files.read_json(path) == {"a": 1}
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


NO_JSON = [
    b"",
    b"[1]",
    b"{",
    b"[" * 100_000,
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": "\xff"}',
    b'{"a": "%s"}' % bytes(2**20),
]


@pytest.mark.parametrize("content", NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_no_small_json_file_of_a_dictionary_reads_as_nothing(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert files.read_json(tmp_path / "a.json") is None


def test_the_kinds_of_things(tmp_path):
    (tmp_path / "file").write_text("")
    for name, target in {"link": "file", "dangling": "none", "circle": "circle"}.items():
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "fifo")
    found = [files.kind(tmp_path / name) for name in (".", "file", "link", "none", "file/below", "dangling")]
    assert found == ["folder", "file", "file", *[files.ABSENT] * 3]
    assert files.kind(tmp_path / "fifo") == "a device, FIFO or socket"
    for path, words in {
        tmp_path / "circle": "symbolic links",
        tmp_path / ("a" * 300): "too long",
        "a\0b": "null",
    }.items():
        assert words in files.kind(path)


# ------------------------------------------------------------------------------------- the user's files are not touched
def file(name, content="mine"):
    """A function that makes a file in a folder."""

    def make(base):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(content)

    return make


def put(name, make):
    """A function that calls make(path)."""

    def make_it(base):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        make(base / name)

    return make_it


def link(name, target):
    return put(name, lambda path: path.symlink_to(target))


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
OURS = several(file("images/digits.json", '{"images": 9}'), file("images/digit_00003.png"))
MARK = f"models/{claims.MARK}"
IN_THE_WAY = {  # what is there, which run, what is in its way
    "a digit": (file("images/digit_00003.png"), DIGITS, "images/digit_00003.png: is in the way"),
    "a digit in capitals": (file("images/DIGIT_00003.PNG"), DIGITS, "DIGIT_00003.PNG: is in the way"),
    "a folder for a digit": (put("images/digit_00003.png", Path.mkdir), DIGITS, "digit_00003.png: is in the way"),
    "a FIFO for a digit": (put("images/digit_00003.png", os.mkfifo), DIGITS, "digit_00003.png: is in the way"),
    "a dangling link for a digit": (link("images/digit_00003.png", "none"), DIGITS, "digit_00003.png: is in the way"),
    "a link among ours": (several(OURS, link("images/digit_00004.png", "x")), DIGITS, "digit_00004.png: is in"),
    "a record": (file("images/digits.json", "{}"), DIGITS, "digits.json: is in the way"),
    "a record of a shard": (file("images/digits-1-of-2.json"), DIGITS + " --shard 1/2", "digits-1-of-2.json: is in"),
    "a generator": (file("models/generator.keras"), TRAIN, "generator.keras: is in the way"),
    "a critic": (file("models/critic.keras"), TRAIN, "critic.keras: is in the way"),
    "a file for the folder of a run": (file("models/training"), TRAIN, "models/training: is in the way"),
    "a link for it": (link("models/training", ".."), TRAIN, "models/training: is in the way"),
    "an animation": (file("models/interpolation.gif"), WALK, "interpolation.gif: is in the way"),
    "a number": (file("models/number_7.png"), "write 7 --models-dir models", "number_7.png: is in the way"),
    "a page": (file("models/digits.html"), "page --models-dir models", "digits.html: is in the way"),
    "a mark of another kind": (several(file(MARK, "number\n"), file("models/critic.keras")), TRAIN, "critic.keras: is"),
    "in the second of two folders": (
        file("models/critic.keras"),
        "--models-dir models --images-dir b/images",
        "critic",
    ),
    "a file for a folder": (file("images"), DIGITS, "images: cannot be written to (Not a directory); choose another"),
    "a file above a folder": (file("models"), TRAIN + "/below", "models/below: cannot be written to"),
    "a dangling link for a folder": (link("images", "none"), DIGITS, "choose another --images-dir"),
    "a link in a circle": (link("images", "images"), DIGITS, "choose another --images-dir"),
    "a FIFO for a folder": (put("images", os.mkfifo), DIGITS, "choose another --images-dir"),
    "a long name": (file("a"), f"generate --images-dir {'a' * 300}", "File name too long; choose another folder"),
    "a folder that cannot be made": (file("a"), "page --models-dir /proc/none", "/proc/none: cannot be written to"),
    "a folder without the right": (put("images", without_right), DIGITS, "Permission denied"),
    "a file for TensorBoard": (file("logs"), "train --tensorboard logs", "choose another --tensorboard"),
    "an array": (file("a.npz"), "generate --npz a.npz", "--npz a.npz: exists already"),
    "an array in no folder": (file("a"), "generate --npz b/a.npz", "there is no folder b that can be written to"),
}


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


OLD_RUN = several(file("models/training/run.json", '{"about": {}}'), file("models/generator.keras"))
NOT_IN_THE_WAY = {
    "files of other names": (several(file("images/notes.txt"), file("images/.lock")), DIGITS),
    "a digit beyond ours": (file("images/digit_00020.png"), DIGITS),
    "a longer number": (file("images/digit_000003.png"), DIGITS),
    "a digit of another script": (file("images/digit_0000٣.png"), DIGITS),
    "labels, beside digits without": (file("images/labels.csv"), DIGITS),
    "a link to a folder": (several(file("real/notes.txt"), link("images", "real")), DIGITS),
    "digits of version 0.3": (OURS, DIGITS),
    "a run of version 0.3": (OLD_RUN, TRAIN),
    "what a killed run of version 0.3 left": (file("images/.wgan_handwritten_digits/writing/1.png"), DIGITS),
    "spaces, a line feed, another script": (file("a b\n数字/notes.txt"), "generate --images-dir 'a b\n数字'"),
    "what is not made by this step": (file("models/generator.keras"), WALK),
}


@pytest.mark.parametrize("name", NOT_IN_THE_WAY)
def test_what_is_not_in_the_way_stays(name, tmp_path, monkeypatch):
    make, words = NOT_IN_THE_WAY[name]
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    before = snapshot(tmp_path)
    with claim(words):
        assert snapshot(tmp_path) == before
    for path in tmp_path.rglob("*.json"):  # from now on, the mark alone says what is ours
        path.unlink()
    with claim(words):
        pass


def test_labels_of_the_user_are_in_the_way_of_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file("images/labels.csv")(tmp_path)
    with pytest.raises(InputError, match="labels.csv: is in the way"), claim(DIGITS, labelled=True):
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
    """The paths of two quick generators: without labels, and with the labels 3 and 7."""
    folder = tmp_path_factory.mktemp("generators")
    layers, latent = keras.layers, keras.Input((8,))
    keras.utils.set_random_seed(0)
    choice = layers.Dense(2, "softmax", name="labels_3_7")(latent)
    for name, values in {"plain": latent, "labelled": layers.Concatenate()([latent, choice])}.items():
        ink = layers.Reshape((28, 28, 1))(layers.Dense(784, "tanh")(values))
        models.save_model(keras.Model(latent, ink), folder / f"{name}.keras")
    return SimpleNamespace(plain=folder / "plain.keras", labelled=folder / "labelled.keras")


@pytest.fixture
def generate(program, generators):
    """A function that writes digits with one of them: the last line that is printed."""

    def run(words, model="plain", status=0):
        ended, lines = program(f"generate {words}", "--model", getattr(generators, model))
        assert ended == status, lines
        return lines[-1] if status else lines[0]

    return run


def digits(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.png")}


def record(folder):
    return json.loads((Path(folder) / "digits.json").read_text(encoding="utf-8"))


def test_the_digits_are_distinct_grey_28x28_png(generate, generators):
    line = generate("--images 700 --seed 5")
    assert line.startswith("700 digits in generated_images, drawn by ")
    found = digits("generated_images")
    assert sorted(found) == [f"digit_{number:05d}.png" for number in range(700)]
    assert len(set(found.values())) == 700
    for name in found:
        with Image.open(Path("generated_images", name)) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28))
    about = record("generated_images")
    assert about["complete"] and (about["images"], about["seed"]) == (700, 5)
    assert about["sha256"] == hashlib.sha256(generators.plain.read_bytes()).hexdigest()
    assert not Path("generated_images/labels.csv").exists()
    for words in ("--images 3", "--images 501"):  # an image does not depend on how many are drawn
        generate(f"{words} --seed 5 --images-dir {words[9:]}")
        assert digits(words[9:]).items() <= found.items()
    generate("--images 3 --seed 6 --images-dir other")
    assert not set(digits("other").values()) & set(found.values())


def test_a_smaller_set_leaves_nothing_of_a_larger_one_and_all_of_the_users(generate):
    mine = {Path("images", name): name for name in ("notes.txt", "digit_99999.png")}
    for path, text in mine.items():
        file(path, text)(Path())
    generate("--images 30 --images-dir images", "labelled")
    assert Path("images/labels.csv").read_text().splitlines()[:3] == [
        "file,digit",
        "digit_00000.png,3",
        "digit_00001.png,7",
    ]
    generate("--images 20 --images-dir images")
    assert sorted(digits("images")) == [*(f"digit_{number:05d}.png" for number in range(20)), "digit_99999.png"]
    assert not Path("images/labels.csv").exists() and record("images")["images"] == 20
    assert {path: path.read_text() for path in mine} == mine


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ("--images 30 --seed 3", "plain"),
        ("--images 30 --digits 7,7,3", "labelled"),
        ("--images 30 --shard 2/2", "plain"),
    ],
)
def test_digits_that_a_full_disk_cut_off_are_known_as_incomplete_and_can_be_completed(
    words, model, generate, program, monkeypatch
):
    if "--shard" in words:
        generate(words.replace("2/2", "1/2"))

    def open_until_the_disk_is_full(path, mode):
        if "digit_00020" in str(path):
            raise OSError(28, "No space left on device")
        return open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(digit_images, "open", open_until_the_disk_is_full, raising=False)
        line = generate(words, model, status=1)
    assert "No space left on device: 'generated_images'; complete files are kept" in line
    check_and_complete(program)
    generate(words.partition("--shard")[0] + " --images-dir whole", model)
    assert snapshot("generated_images/") == snapshot("whole") or "--shard" in words
    assert digits("generated_images") == digits("whole")


def check_and_complete(program):
    """Reads digits that are not complete, and runs the command in the error."""
    with pytest.raises(InputError, match="not all of its 30 images are there; complete them: python ") as error:
        read_images("generated_images")
    _, script, *command = shlex.split(str(error.value).partition("complete them: ")[2])
    assert script == "wgan_handwritten_digits.py"
    assert program(shlex.join(command))[0] == 0
    assert len(read_images("generated_images").images) == 30


@pytest.mark.slow
def test_digits_of_a_killed_run_are_known_as_incomplete_and_can_be_completed(generators, generate, program):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
import wgan_handwritten_digits
from support.outputs import digit_images
def open_or_die(path, mode):
    if "digit_00020" in str(path):
        os.kill(os.getpid(), signal.SIGKILL)
    return open(path, mode)
digit_images.open = open_or_die
wgan_handwritten_digits.main(["generate", "--images", "30", "--model", {str(generators.plain)!r}])
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert len(digits("generated_images")) == 20
    check_and_complete(program)
    generate("--images 30 --images-dir whole")
    assert snapshot("generated_images") == snapshot("whole")


def test_a_copy_without_a_record_is_read_and_not_written_to(generate, tmp_path):
    generate("--images 20")
    shutil.copytree("generated_images", "copy", ignore=shutil.ignore_patterns("digits.json", ".*"))
    assert len(read_images("copy").images) == 20
    before = snapshot(tmp_path)
    line = generate("--images 20 --images-dir copy", status=2)
    assert "copy/digit_000" in line and "nothing in the folder says that this program wrote it; move it, or" in line
    assert snapshot(tmp_path) == before


def test_digits_of_version_03_are_complete_and_are_replaced(generate):
    generate("--images 20")
    old = {key: value for key, value in record("generated_images").items() if key != "complete"}
    Path("generated_images/digits.json").write_text(json.dumps(old))
    Path("generated_images", claims.MARK).unlink()
    assert len(read_images("generated_images").images) == 20
    generate("--images 5")
    assert len(digits("generated_images")) == 5 and record("generated_images")["complete"] is True


def test_an_array_of_digits_and_labels(generate):
    line = generate("--images 5 --npz a.npz --images-dir images", "labelled")
    assert line.startswith("5 digits in a.npz, drawn by ")
    with np.load("a.npz") as found:
        assert found["y_train"].tolist() == [3, 7, 3, 7, 3] and found["x_train"].shape == (5, 28, 28)
        np.testing.assert_array_equal(found["x_train"], read_images("images").images)
    assert read_images("images").labels.tolist() == [3, 7, 3, 7, 3]
    assert "--npz a.npz: exists already" in generate("--images 5 --npz a.npz", status=2)
    assert not Path("generated_images").exists()  # with --npz, no PNG files by default


def test_a_disk_that_is_too_small_for_the_digits_is_found_before(generate, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4 * 2**20))
    line = generate("--images 1025", status=2)
    assert "generated_images: 1025 images need 4 MiB, the disk has 4 MiB left" in line
    generate("--images 1024")
    generate("--images 1025 --shard 1/2 --images-dir shards")  # its part


def test_the_names_of_more_than_a_hundred_thousand_digits_sort_by_number():
    names = [digit_images.image_name(number, 100_001) for number in (7, 99_999, 100_000)]
    assert digit_images.image_name(7, 100_000) == "digit_00007.png"
    assert names == sorted(names) == ["digit_000007.png", "digit_099999.png", "digit_100000.png"]


# -------------------------------------------------------------------------------------------------------------- shards
def test_the_parts_of_any_number_of_digits_are_all_of_them_once():
    for total, parts in itertools.product((1, 7, 500, 25_000), (1, 2, 3, 64)):
        found = [number for part in range(parts) for number in digit_images.part_of(total, (part + 1, parts))]
        assert found == list(range(total))


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1)])
def test_shards_write_the_images_of_one_process_and_are_complete_together(order, generate):
    images = "--images 1203 --seed 5"
    generate(images + " --images-dir whole", "labelled")
    generate("--images 1300 --images-dir parts", "labelled")  # an earlier set
    for part in order:
        if part != order[0]:
            with pytest.raises(InputError, match="not all of its 1203 images are there; .* --shard [123]/3"):
                read_images("parts")
        line = generate(f"{images} --images-dir parts --shard {part}/3", "labelled")
        assert line.startswith("401 digits in parts")
    assert len(read_images("parts").labels) == 1203
    records = {"digits.json", *(f"digits-{part}-of-3.json" for part in order)}
    whole, parts = snapshot("whole"), snapshot("parts")
    assert whole.keys() ^ parts.keys() == records
    assert all(whole[name] == parts[name] for name in whole.keys() & parts.keys())


@pytest.mark.parametrize("other", ["--images 10 --seed 1", "--images 12", "--images 10"])
def test_shards_of_another_set_do_not_pass_for_a_part_of_this_one(other, generate):
    generate("--images 10 --shard 1/2")
    generate(f"{other} --shard 2/{3 if other == '--images 10' else 2}")
    with contextlib.suppress(InputError):
        read_images("generated_images")
        pytest.fail("it passed for a whole set")
    generate("--images 10 --shard 1/2")
    generate("--images 10 --shard 2/2")
    generate("--images 10 --images-dir whole")
    assert digits("generated_images") == digits("whole")
    assert len(read_images("generated_images").images) == 10
