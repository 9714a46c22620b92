"""Models folders, checkpoints and standard errors of any kind: one line, or a run that ends as it should."""

import functools
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, SCRIPT
from hostile import Row, check, snapshot
from PIL import Image

import wgan_handwritten_digits as wgan
from support.errors import InputError
from support.results import checkpoints, pictures, run_files
from support.results.ownership import is_ours

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no FIFOs")

OPTIONS = "--data small.npz --epochs 1 --batch-size 32 --n-critic 2"
TRAIN, RESUME = f"wgan train {OPTIONS}", f"wgan train {OPTIONS} --resume"
NEWEST = "saved_models/training/checkpoints/step_000000999.npz"


# ------------------------------------------------------------------------------- the wrong kind of thing in the way


def text(path):
    path.write_text("mine")


def dangling_link(path):
    path.symlink_to("nowhere")


def link(path):
    path.with_name("elsewhere").write_text("mine")
    path.symlink_to("elsewhere")


def put(kind, name, folder):
    """Puts something of that kind in place of saved_models/NAME in `folder`."""
    path = folder / "saved_models" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    kind(path)


def in_the_way(name, *kinds, command=TRAIN):
    """A row for each kind of thing in place of saved_models/NAME."""
    return [Row(kind.__name__, functools.partial(put, kind, name), command, 2, name) for kind in kinds]


REFUSED = [
    *in_the_way("training", text, dangling_link, os.mkfifo),
    *in_the_way("training/samples", text, dangling_link, os.mkfifo),
    *in_the_way("training/checkpoints", text, dangling_link, os.mkfifo),
    *in_the_way("generator.keras", text, Path.mkdir, dangling_link, link, os.mkfifo),
    *in_the_way("critic.keras", text, Path.mkdir, dangling_link, os.mkfifo),
    *in_the_way("training/history.csv", text, Path.mkdir, dangling_link, os.mkfifo),
    *in_the_way("training/run.json", text, Path.mkdir, dangling_link, os.mkfifo),
    *in_the_way("training/curves.png", text, Path.mkdir, dangling_link, os.mkfifo),
    *in_the_way("training/progress.gif", text, Path.mkdir, dangling_link, os.mkfifo),
    *in_the_way("training/samples/epoch_0001.png", text, Path.mkdir, dangling_link, os.mkfifo),
    *in_the_way("interpolation.gif", text, Path.mkdir, command=f"wgan train interpolate {OPTIONS}"),
    *in_the_way("interpolation.png", dangling_link, os.mkfifo, command=f"wgan train interpolate {OPTIONS}"),
    *in_the_way("training", text, command=RESUME),
]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row.what} {row.words}")
def test_what_is_in_the_way_is_found_before_the_training(row, small_data, tmp_path, monkeypatch, capfd):
    shutil.copy(small_data, tmp_path / "small.npz")
    check(row, tmp_path, monkeypatch, capfd)


def test_interpolate_replaces_no_picture_of_the_user(tmp_path, monkeypatch, capfd):
    model = shlex.quote(str(ROOT / "saved_models/pretrained/wgan/generator.keras"))
    command = f"wgan interpolate --model {model} --models-dir . --walk 1,2 --frames 2"
    row = Row("a picture", lambda folder: text(folder / "interpolation.png"), command, 2, "interpolation.png")
    check(row, tmp_path, monkeypatch, capfd)


# ------------------------------------------------------------------------------------------------------ checkpoints


@pytest.fixture(scope="module")
def trained(small_data, tmp_path_factory):
    """A folder with small.npz and the models folder of a finished run of one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(small_data, folder / "small.npz")
    command = [sys.executable, str(SCRIPT), "--device", "cpu", *TRAIN.split()[1:]]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return folder


def newest(change):
    """A function that makes a newer checkpoint in its folder: what `change` makes of the arrays of the good one."""

    def make(folder):
        with np.load(folder / "saved_models/training/checkpoints/step_000000004.npz") as file:
            arrays = dict(file)
        np.savez(folder / NEWEST, **(change(arrays) or arrays))

    return make


def array(value):
    """A change of the first array of a checkpoint: value(array)."""
    return newest(lambda arrays: arrays.update(variable_0=value(arrays["variable_0"])))


def record(**values):
    """A change of some fields of the record; one that is None is left out."""

    def change(arrays):
        changed = json.loads(str(arrays["record"])) | values
        changed = {name: value for name, value in changed.items() if value is not None}
        arrays["record"] = np.array(json.dumps(changed))

    return newest(change)


def about(**groups):
    """A change of some groups of about."""

    def change(arrays):
        changed = json.loads(str(arrays["record"]))
        changed["about"] |= groups
        arrays["record"] = np.array(json.dumps(changed))

    return newest(change)


def raw(make):
    return lambda folder: make(folder / NEWEST)


def unlike(**values):
    return {"epoch": 1, "step": 4, "seconds": 1.0} | values


def nested(depth):
    return "[" * depth + "]" * depth


DAMAGED = [
    ("text of the right shape", array(lambda values: values.astype(str))),
    ("objects of the right shape", array(lambda values: values.astype(object))),
    ("bytes of the right shape", array(lambda values: values.astype("S8"))),
    ("another number type", array(lambda values: values.astype(np.float64))),
    ("complex numbers", array(lambda values: values.astype(complex))),
    ("truth values", array(lambda values: values.astype(bool))),
    ("no record", newest(lambda arrays: arrays.pop("record") and None)),
    ("a record of numbers", newest(lambda arrays: arrays.update(record=np.arange(3)))),
    ("a record of null", newest(lambda arrays: arrays.update(record=np.array("null")))),
    ("a record nested deeply", newest(lambda arrays: arrays.update(record=np.array(nested(100_000))))),
    ("a gap in the arrays", newest(lambda arrays: arrays.pop("variable_1") is None)),
    ("history a text", record(history="text")),
    ("history a number", record(history=7)),
    ("history a dictionary", record(history={"epoch": {}})),
    ("history of numbers", record(history=[1, 2])),
    ("history with text", record(history=[unlike(critic_loss="1")])),
    ("history with lists", record(history=[unlike(critic_loss=[1])])),
    ("history with NaN", record(history=[unlike(critic_loss=float("nan"))])),
    ("history with a huge number", record(history=[unlike(critic_loss=10**400)])),
    ("history without epochs", record(history=[{"loss": 1.0}])),
    ("history without seconds", record(history=[{"epoch": 1, "step": 4}])),
    ("no history", record(history=None)),
    ("seconds a text", record(seconds="1")),
    ("seconds a list", record(seconds=[1])),
    ("no seconds", record(seconds=None)),
    ("about a list", record(about=[])),
    ("about empty", record(about={})),
    ("no about", record(about=None)),
    ("options a list", about(options=[])),
    ("data null", about(data=None)),
    ("versions a number", about(versions=3)),
    ("an empty file", raw(lambda path: path.touch())),
    ("a text", raw(text)),
    ("a link to a text", raw(link)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "make"), DAMAGED, ids=[what for what, _ in DAMAGED])
def test_a_damaged_checkpoint_is_never_a_traceback(what, make, trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    make(tmp_path)
    folder = tmp_path / "saved_models/training/checkpoints"
    with np.load(folder / "step_000000004.npz") as file:
        saved = json.loads(str(file["record"]))
        arrays = [file[f"variable_{number}"] for number in range(len(file.files) - 1)]
    variables = [Variable(np.zeros_like(values)) for values in arrays]
    path, found = checkpoints.resume(folder, variables, saved["about"])
    lines = capsys.readouterr().err.splitlines()
    assert (path.name, found) == ("step_000000004.npz", saved)
    assert len(lines) == 1 and "step_000000999.npz is damaged" in lines[0]
    assert all(np.array_equal(variable, values) for variable, values in zip(variables, arrays, strict=True))


class Variable:
    """What checkpoints.py needs of a TensorFlow variable."""

    def __init__(self, value):
        self.value, self.shape = value, value.shape

    def assign(self, value):
        self.value = value

    def __array__(self, *_, **__):
        return self.value


def one_that_is_not_finite(folder):
    (folder / "saved_models/training/checkpoints/step_000000004.npz").rename(folder / NEWEST)
    with np.load(folder / NEWEST) as file:
        arrays = dict(file)
    arrays["variable_0"][:] = np.nan
    np.savez(folder / NEWEST, **arrays)


def no_pictures(folder):
    training = folder / "saved_models/training"
    for path in training.iterdir():
        if path.name != "checkpoints":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def picture(kind):
    def make(folder):
        path = folder / "saved_models/training/samples/epoch_0001.png"
        path.unlink()
        kind(path)

    return make


def half(path):
    pictures.save_grid(path, np.random.default_rng(0).integers(0, 256, (100, 28, 28), np.uint8))
    os.truncate(path, path.stat().st_size // 2)


def all_in_the_checkpoints_folder(folder):
    checkpoint = folder / NEWEST
    os.mkfifo(checkpoint)
    checkpoint.with_name("step_000000998.npz").mkdir()
    dangling_link(checkpoint.with_name("step_000000997.npz"))
    checkpoint.with_name("step_000000005.npz").symlink_to(checkpoint.with_name("step_000000004.npz").name)


DONE = "1 epochs of training are done already"
RESUMED = [
    Row("nothing wrong", None, RESUME, 0, DONE),
    Row("NaN, and a good one before", array(lambda values: values * np.nan), RESUME, 0, "not finite; the run resumes"),
    Row("NaN only", one_that_is_not_finite, RESUME, 2, "not finite); start a new run"),
    Row("FIFO, folder and links as checkpoints", all_in_the_checkpoints_folder, RESUME, 0, DONE),
    Row("smaller networks", array(lambda values: values[..., :-1]), RESUME, 2, "other networks; start a new run"),
    Row("only checkpoints/", no_pictures, RESUME, 0, "missing or damaged"),
    Row("a picture that is half", picture(half), RESUME, 0, "missing or damaged"),
    Row("a picture that is a text", picture(text), RESUME, 0, "missing or damaged"),
    Row("a picture that is a FIFO", picture(os.mkfifo), RESUME, 0, "missing or damaged"),
    Row("a picture that is a folder", picture(Path.mkdir), RESUME, 0, "missing or damaged"),
    Row("code that was edited", about(code={"wgan_handwritten_digits.py": "0" * 12}), RESUME, 0, "code: was {"),
]


@pytest.mark.slow
@pytest.mark.parametrize("row", RESUMED, ids=lambda row: row.what)
def test_a_resume_meets_it(row, trained, tmp_path, monkeypatch, capfd):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    check(row, tmp_path, monkeypatch, capfd)
    assert row.status or (tmp_path / "saved_models/generator.keras").exists()


@pytest.mark.slow
def test_a_new_run_leaves_all_that_is_not_ours(trained, tmp_path, monkeypatch, capfd):
    """Also where a checkpoint of ours is to be written: it gets another name."""
    folder = tmp_path / "saved_models/training/checkpoints"
    folder.mkdir(parents=True)
    shutil.copy(trained / "small.npz", tmp_path)
    os.mkfifo(folder / "step_000000999.npz")
    (folder / "step_000000004.npz").mkdir()
    text(folder / "step_000000777.npz")
    mine = snapshot(folder)
    check(Row("not ours", None, TRAIN, 0, ""), tmp_path, monkeypatch, capfd)
    assert mine.items() <= snapshot(folder).items()
    assert is_ours(folder / "step_0000000004.npz")


# -------------------------------------------------------------------------------------------------- standard error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "lines"), [("{} 2>&-", 0), ("{} 2>/dev/full", 0), ("set -o pipefail; {} 2>&1 | head -1", 1)]
)
def test_a_standard_error_that_takes_nothing_costs_nothing_else(shell, lines, small_data, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    shutil.copy(small_data, tmp_path / "small.npz")
    command = f"{sys.executable} {SCRIPT} --device cpu {OPTIONS.replace('epochs 1', 'epochs 2')} --images 20"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.run(["bash", "-c", shell.format(command)], cwd=tmp_path, timeout=300, text=True, **pipes)
    assert process.returncode == 0, process.stderr
    assert len(process.stdout.splitlines()) == lines
    assert len(list((tmp_path / "generated_images").glob("*.png"))) == 20
    assert sum(map(is_ours, (tmp_path / "saved_models").rglob("?*.*"))) == 2 + 4 + 2 + 2


# --------------------------------------------------------------------------------------------- files that are held


def a_run(folder):
    return run_files.RunFiles(folder, {"options": {"clip": None, "epochs": 3}}, [], resume=False)


def test_a_table_that_is_open_elsewhere_costs_one_line(tmp_path, monkeypatch, capsys):
    """As Windows does while Excel shows it."""
    replace = os.replace

    def refuse(source, target):
        if Path(target).suffix in (".csv", ".gif"):
            raise PermissionError(13, "Access is denied", str(source), None, str(target))
        replace(source, target)

    run = a_run(tmp_path)
    monkeypatch.setattr(os, "replace", refuse)
    for step in (1, 2):
        run.save_epoch(step, {"wasserstein_estimate": 1.0}, np.zeros((10, 28, 28), np.uint8))
        run.save_checkpoint(step)
    run.save_models()
    run.finish(real={})
    lines = capsys.readouterr().err.splitlines()
    assert [Path(line.split(" ")[1]).name for line in lines] == ["history.csv", "progress.gif"]
    assert sorted(path.name for path in (tmp_path / "training").iterdir()) == [
        *("checkpoints", "curves.png", "run.json", "samples")
    ]
    assert len(list((tmp_path / "training/checkpoints").iterdir())) == 2


def test_losing_tensorboard_costs_one_line(tmp_path, capsys):
    text(tmp_path / "logs")  # in place of the folder that was there at the start
    run = a_run(tmp_path)
    for step in (1, 2):
        run.save_epoch(step, {"loss": 1.0}, np.zeros((10, 28, 28), np.uint8), str(tmp_path / "logs"))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "logs" in lines[0] and "the run continues" in lines[0]


def test_a_checkpoint_that_cannot_be_written_is_not_passed_over(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Access is denied")

    run = a_run(tmp_path)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        run.save_checkpoint(1)


def test_a_checkpoint_that_cannot_be_deleted_stays(tmp_path, monkeypatch):
    """On Windows, another program reads it."""

    def refuse(path):
        if path.name == "step_000000001.npz":
            raise PermissionError(13, "Access is denied")
        os.remove(path)

    monkeypatch.setattr(Path, "unlink", refuse)
    run = a_run(tmp_path)
    for step in (1, 2, 3, 4):
        run.save_checkpoint(step)
    numbers = [int(path.stem[5:]) for path in sorted((tmp_path / "training/checkpoints").iterdir())]
    assert numbers == [1, 3, 4]


def test_the_animation_opens_one_file_at_a_time(tmp_path):
    paths = [tmp_path / f"epoch_{number:04d}.png" for number in range(120)]
    for number, path in enumerate(paths):
        pictures.save_grid(path, np.full((10, 28, 28), number, np.uint8))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, before[1]))
    try:
        assert pictures.save_animation(tmp_path / "progress.gif", paths) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with Image.open(tmp_path / "progress.gif") as animation:
        assert animation.n_frames == 100


# -------------------------------------------------------------------------------------------------------- notebooks


@pytest.mark.parametrize(
    "values",
    [{"epochs": 0}, {"batch_size": "x"}, {"learning_rate": -1.0}, {"recipe": "none"}, {"seed": -1}]
    + [{"clip": 0.1, "recipe": "wgan-gp"}],
)
def test_options_made_in_python_are_checked(values):
    with pytest.raises(InputError, match=next(iter(values))):
        wgan.train(None, wgan.Options(**values))


def test_a_path_among_the_options_is_text_in_the_record(tmp_path):
    options = wgan.complete(wgan.Options(models_dir=tmp_path, data=Path("x"), epochs=np.int64(2)), wgan.RECIPES)
    assert (options.models_dir, options.data, options.epochs) == (str(tmp_path), "x", 2)


def test_the_record_of_a_run_tells_code_that_was_edited(tmp_path):
    digits = SimpleNamespace(source=Path("x"), train_images=[], sha256="")
    recipe = wgan.RECIPES["wgan"]
    script = tmp_path / "script.py"
    found = []
    for leak in ("0.02", "0.02", "0.2"):
        script.write_text(f"LEAK = {leak}\n")
        found.append(run_files.describe_run(wgan.Options(), recipe, digits, "1", script)["code"])
    assert found[0] == found[1] != found[2]
    assert json.dumps(found)


def test_files_that_show_a_sign_of_ours_only_by_kind(tmp_path):
    """A link to a file of ours is the user's."""
    pictures.save_grid(tmp_path / "a.png", np.zeros((10, 28, 28), np.uint8))
    (tmp_path / "b.png").symlink_to("a.png")
    Image.new("L", (9, 9)).save(tmp_path / "c.png")
    assert [is_ours(tmp_path / name) for name in ("a.png", "b.png", "c.png", "d.png")] == [True, False, False, False]
