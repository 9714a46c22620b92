"""Training runs: the files they leave, signals, kills, full disks, resuming, and the run that was there before."""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, SCRIPT, run_script, snapshot, write_small_data
from PIL import Image

import wgan_handwritten_digits as wgan
from support import models, pictures
from support.errors import InputError
from support.lazy import tf
from support.outputs import checkpoints

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals and limits are of another kind on Windows"),
]


def arrays_of(models_dir, step):
    """The state of a training run in a checkpoint."""
    with np.load(Path(models_dir, f"training/checkpoints/step_{step:09d}.npz")) as file:
        return {name: file[name] for name in file.files if name != "record"}


def assert_same_state(one, other, step):
    one, other = arrays_of(one, step), arrays_of(other, step)
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


# ----------------------------------------------------------------------------------------------------- whole processes
def test_a_run_leaves_its_files(finished):
    training = finished.models / "training"
    rows = list(csv.DictReader((training / "history.csv").read_text(encoding="utf-8").splitlines()))
    columns = ["epoch", "step", "wasserstein_estimate", "critic_loss", "generator_loss", "sliced_wasserstein"]
    assert list(rows[0]) == [*columns, "seconds"]
    assert [(row["epoch"], row["step"]) for row in rows] == [(str(epoch), str(4 * epoch)) for epoch in range(1, 7)]
    for row in rows:
        assert np.isfinite([float(value) for value in row.values()]).all()
        assert float(row["critic_loss"]) == pytest.approx(-float(row["wasserstein_estimate"]))
    samples = [path.name for path in sorted((training / "samples").iterdir())]
    assert samples == [f"epoch_000{number}.png" for number in range(1, 7)]
    with Image.open(training / "progress.gif") as animation, Image.open(training / "curves.png") as curves:
        assert animation.n_frames == 6 and min(curves.size) > 300
    record = json.loads((training / "run.json").read_text(encoding="utf-8"))
    assert (record["about"]["options"]["seed"], record["about"]["data"]["images"], record["final"]["epoch"]) == (
        5,
        256,
        6,
    )
    assert len(list((training / "checkpoints").iterdir())) == 2
    assert len(list((finished.folder / "generated_images").glob("*.png"))) == 700
    assert not list(finished.folder.rglob("*partial*"))


def test_a_run_prints_one_line_an_epoch_in_a_file(finished):
    assert finished.process.stdout == ""
    first, *epochs, digits, look, following = finished.process.stderr.splitlines()
    for words in ("wgan trains for 24 iterations, epochs: 6", "256 images of ", "CPU, ", "results go to saved_models"):
        assert words in first
    assert len(epochs) == 6
    for number, line in enumerate(epochs, 1):
        assert re.match(rf"epoch {number}/6, sliced Wasserstein distance 0\.\d+, \d:\d\d so far", line)
    assert digits.startswith("700 digits in generated_images, drawn by saved_models/generator.keras")
    assert look.startswith("look at: ") and following.startswith("next: ")


def test_the_last_picture_of_an_epoch_shows_the_first_hundred_digits(finished):
    with Image.open(finished.models / "training/samples/epoch_0006.png") as picture:
        grid = np.asarray(picture)[::2, ::2]
    for number in (0, 17, 99):
        y, x = 28 * (number // 10), 28 * (number % 10)
        with Image.open(finished.folder / f"generated_images/digit_{number:05d}.png") as digit:
            np.testing.assert_array_equal(grid[y : y + 28, x : x + 28], digit)


def test_the_models_load_in_a_fresh_shell_without_this_program(finished, tmp_path):
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


ON_A_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


def run_until(words, terminal, *command, cwd, answer):
    """Starts the program; when it prints `words`, calls answer(process). Returns its exit status and what it printed.

    terminal: a pseudo-terminal shows its standard error, not a pipe.
    """
    ours, its = os.openpty() if terminal else os.pipe()
    if terminal:
        termios.tcsetwinsize(its, (24, 120))
    command = [str(SCRIPT), "--device", "cpu", *map(str, command)]
    command = ["-c", ON_A_TERMINAL, *command] if terminal else command
    streams = {"stdin": its, "stderr": its} if terminal else {"stderr": its}
    more = os.environ | {"TQDM_MININTERVAL": "0"}  # the bar moves at each iteration, however quick
    with subprocess.Popen([sys.executable, *command], cwd=cwd, env=more, **streams) as process:
        os.close(its)
        printed, waiting = b"", True
        while part := read_part(ours):
            printed += part
            if waiting and words in printed:
                waiting = False
                answer(SimpleNamespace(process=process, terminal=ours))
    os.close(ours)
    return process.returncode, printed.decode()


def read_part(file):
    try:
        return os.read(file, 4096)
    except OSError:  # the end of a terminal
        return b""


def test_ctrl_c_on_a_terminal_saves_and_the_printed_command_resumes(finished, tiny, tmp_path):
    status, printed = run_until(
        b"epoch 1/6, ", True, *tiny, "--images", 700, cwd=tmp_path, answer=lambda run: os.write(run.terminal, b"\x03")
    )
    assert status == 130, printed
    assert re.search(r"epoch 1/6: .*%.* images/s\]", printed), "no bar"
    last = printed.splitlines()[-1].split("\r")[-1]
    assert "wgan_handwritten_digits: stopped by SIGINT; resume with: python " in last
    assert (tmp_path / "saved_models/generator.keras").exists() and not (
        tmp_path / "generated_images/digits.json"
    ).exists()
    _, *command = shlex.split(last.partition("resume with: ")[2])
    process = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert re.match(r"wgan resumes after \d+ of 24 iterations", process.stderr)
    assert_same_state(tmp_path / "saved_models", finished.models, 24)
    images = [snapshot(folder / "generated_images") for folder in (tmp_path, finished.folder)]
    assert images[0].keys() == images[1].keys()
    assert all(images[0][name] == images[1][name] for name in images[0] if name.endswith(".png"))


def test_sigterm_saves_and_the_earlier_run_is_moved_as_a_whole(finished, tiny, tmp_path):
    shutil.copytree(finished.models, tmp_path / "saved_models")
    before = snapshot(finished.models)
    more = (
        "--seed",
        6,
        "--epochs",
        1000,
        "--data",
        ROOT / "data/mnist.npz",
    )  # with epochs too long for the first to end
    status, printed = run_until(
        b"wgan trains", False, "train", *tiny, *more, cwd=tmp_path, answer=lambda run: run.process.terminate()
    )
    moved, last = printed.splitlines()[-2:]
    assert status == 143, printed
    assert moved == "the earlier run in saved_models is now in saved_models/previous"
    assert last.startswith("wgan_handwritten_digits: stopped by SIGTERM; resume with: python ")
    assert snapshot(tmp_path / "saved_models/previous") == before
    assert len(checkpoints.paths(tmp_path / "saved_models/training/checkpoints")) == 1
    assert models.load_generator(tmp_path / "saved_models/generator.keras")


def test_a_run_that_is_killed_while_it_saves_can_be_resumed(finished, tiny, tmp_path):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
import wgan_handwritten_digits
replace = os.replace
def replace_or_die(source, target):
    if str(target).endswith("step_000000012.npz"):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replace_or_die
wgan_handwritten_digits.main(sys.argv[1:])
"""
    command = [sys.executable, "-c", code, "--device", "cpu", "train", *map(str, tiny)]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    folder = tmp_path / "saved_models"
    assert [path.name for path in checkpoints.paths(folder / "training/checkpoints")] == [
        "step_000000004.npz",
        "step_000000008.npz",
    ]
    assert list(folder.rglob(".*.partial.npz")) and models.load_generator(folder / "generator.keras")
    process = run_script("train", *tiny, "--resume", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stderr.startswith("wgan resumes after 8 of 24 iterations")
    assert_same_state(folder, finished.models, 24)
    assert not list(folder.rglob(".*.partial.*"))


@pytest.mark.parametrize(
    ("shell", "words"),
    [("{} 2>&-", "generate --model wgan --images 20"), ("{} 2>/dev/full", "--epochs 1 --batch-size 64 --images 20")],
)
def test_a_standard_error_that_takes_nothing_does_not_matter(shell, words, small_data, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    data = f"--data {small_data}" if "epochs" in words else ""
    command = shell.format(f"{sys.executable} {SCRIPT} --device cpu {words} {data}")
    process = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert len(list((tmp_path / "generated_images").glob("*.png"))) == 20


# --------------------------------------------------------------------------- the files of a run, without its iterations
@pytest.fixture(scope="module")
def few_data(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "few.npz", 64)


@pytest.fixture
def train(program, few_data, monkeypatch):
    """A function that trains, two iterations an epoch, which only change the weights: exit status, printed lines.

    after(iteration) is called after each of them.
    """

    def run(words, after=lambda done: None):
        def compile_quickly(training, dataset, options):
            def iterate():
                training.iteration.assign_add(1)
                for variable in training.average.trainable_variables:
                    variable.assign(variable * 0.9)
                after(int(training.iteration.numpy()))

            return iterate

        monkeypatch.setattr(wgan, "compile_iteration", compile_quickly)
        folder = "" if "--models-dir" in words else "--models-dir models"
        return program(f"train --batch-size 16 --n-critic 2 --latent-dim 16 {folder} {words}", "--data", few_data)

    return run


def run_in(folder):
    """What a run left in a folder, without the runs before."""
    return {name: content for name, content in snapshot(folder).items() if not name.startswith("previous")}


def test_a_second_run_moves_the_first_when_it_saves_and_not_before(train):
    assert train("--epochs 1 --seed 1")[0] == 0
    first, found = run_in("models"), []

    def look(done):
        found.append(snapshot("models") == first)
        if done == 3:  # the models of the first epoch are there
            found.append(models.load_generator(Path("models/generator.keras")) is not None)

    status, lines = train("--epochs 2 --seed 2", after=look)
    assert status == 0 and "the earlier run in models is now in models/previous" in lines
    assert found == [True, True, False, True, False]
    assert run_in("models/previous") == first
    second = run_in("models")
    assert second.keys() - first.keys() == {
        "training/samples/epoch_0002.png",
        *(f"training/checkpoints/step_00000000{step}.npz" for step in (4,)),
    }

    # The run before that is deleted, except the files of the user.
    mine = [Path("models/previous", name) for name in ("notes.txt", "training/samples/epoch_0001 (copy).png")]
    mine += [Path("models/notes.txt"), Path("models/previous/training/checkpoints/step_1_keep.npz")]
    for path in mine:
        path.write_text("mine")
    status, lines = train("--epochs 1 --seed 3")
    assert status == 0 and "the earlier run in models is now in models/previous-2" in lines
    assert run_in("models/previous-2") == second
    assert {path for path in Path("models/previous").rglob("*") if path.is_file()} | {mine[2]} == set(mine)
    assert all(path.read_text() == "mine" for path in mine)


def test_the_first_run_stays_whole_if_the_second_cannot_be_moved_or_saved(train, monkeypatch):
    assert train("--epochs 1 --seed 1")[0] == 0
    first, rename = run_in("models"), Path.rename

    def refuse(path, target):
        if path.name == "training":
            raise PermissionError(13, "Access is denied", str(path))  # Windows, while Excel shows history.csv
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        status, lines = train("--epochs 1 --seed 2")
    assert status == 1 and "Access is denied: 'models/training'; complete files are kept" in lines[-1]

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fail)
        status, lines = train("--epochs 1 --seed 3")
    assert status == 1 and "No space left on device: 'models/training/checkpoints/step_000000002.npz'" in lines[-1]
    assert run_in("models/previous") == first
    assert train("--epochs 1 --seed 4")[0] == 0
    assert run_in("models/previous") == first
    assert json.loads(Path("models/training/run.json").read_text())["about"]["options"]["seed"] == 4


def test_a_run_that_a_full_disk_ended_can_be_resumed(train, monkeypatch):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        small = (2**20, before[1])  # less than a checkpoint
        status, lines = train(
            "--epochs 3", after=lambda done: done == 3 and resource.setrlimit(resource.RLIMIT_FSIZE, small)
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 1 and "step_000000004.npz" in lines[-1] and "--resume continues" in lines[-1]
    assert [path.name for path in checkpoints.paths("models/training/checkpoints")] == ["step_000000002.npz"]
    assert not list(Path("models").rglob(".*.partial.*"))
    assert models.load_generator(Path("models/generator.keras"))
    status, lines = train("--epochs 3 --resume")
    assert status == 0 and lines[0].startswith("wgan resumes after 2 of 6 iterations")
    assert train("--epochs 3 --models-dir whole")[0] == 0
    assert_same_state("models", "whole", 6)
    with Image.open("models/training/progress.gif") as animation:
        assert animation.n_frames == 3


def test_a_resumed_run_goes_on_in_its_folder(train):
    status, lines = train("--epochs 2", after=lambda done: done == 3 and signal.raise_signal(signal.SIGHUP))
    assert status == 129 and "stopped by SIGHUP; resume with: " in lines[-1]
    assert [path.stem[-1] for path in checkpoints.paths("models/training/checkpoints")] == ["2", "3"]
    assert train("--epochs 2 --resume")[0] == 0
    before = run_in("models")
    status, lines = train("--epochs 2 --resume")
    assert status == 0 and lines[0].startswith(
        "wgan_handwritten_digits: 2 epochs of training are done already; --resume"
    )
    assert not any("epoch " in line for line in lines[1:])
    assert before.keys() == run_in("models").keys()
    status, lines = train("--epochs 3 --resume")
    assert status == 0 and lines[0].startswith("wgan resumes after 4 of 6 iterations")
    assert len(Path("models/training/history.csv").read_text().splitlines()) == 1 + 3
    assert not Path("models/previous").exists()
    for words, line in {
        "--resume --learning-rate 0.5": "belongs to a different run: --learning-rate was 0.00",
        "--resume --recipe gan": "belongs to a different run: ",
        "--resume --models-dir empty": "empty/training/checkpoints holds no intact checkpoint; start a new run",
    }.items():
        status, lines = train(words)
        assert status == 2 and len(lines) == 1 and line in lines[0]


def test_a_signal_while_the_last_pictures_are_made_is_not_lost(train, monkeypatch):
    monkeypatch.setattr(pictures, "save_curves", lambda *_: signal.raise_signal(signal.SIGINT))
    status, lines = train("--epochs 1")
    assert status == 130 and lines[-1].endswith("--resume")


def test_values_that_are_not_finite_end_a_run_and_are_not_saved(train, monkeypatch):
    build = wgan.build_training

    def keep(*arguments):
        keep.training = build(*arguments)
        return keep.training

    def spoil(done):
        if done == 3:
            weights = keep.training.critic.trainable_variables[0]
            weights.assign(weights * np.nan)

    monkeypatch.setattr(wgan, "build_training", keep)
    status, lines = train("--epochs 2", after=spoil)
    assert (
        status == 1 and "values are no longer finite at iteration 4: the last good checkpoint is models/" in lines[-1]
    )
    assert "smaller --learning-rate or --clip" in lines[-1]
    assert [path.stem[-1] for path in checkpoints.paths("models/training/checkpoints")] == ["2"]


def test_a_failure_of_tensorflow_is_one_line(train):
    def fail(done):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory\nand more")

    status, lines = train("--epochs 1", after=fail)
    line = "wgan_handwritten_digits: TensorFlow: out of memory; a new run with a smaller --batch-size may help"
    assert (status, lines[-1]) == (1, line)


def test_a_table_that_another_program_holds_costs_one_line(train, monkeypatch):
    replace = os.replace

    def refuse(source, target):
        if Path(target).suffix in (".csv", ".gif"):  # as Windows does while Excel shows it
            raise PermissionError(13, "Access is denied", str(source), None, str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    status, lines = train("--epochs 1")
    assert status == 0
    for name in ("history.csv", "progress.gif"):
        [line] = [line for line in lines if name in line and "cannot be written" in line]
        assert line.endswith("the run continues without it")
    assert Path("models/training/curves.png").exists() and Path("models/generator.keras").exists()


def test_tensorboard_gets_curves_and_pictures(train):
    assert train("--epochs 2 --tensorboard logs")[0] == 0
    [events] = Path("logs").glob("events*")
    found = [
        (value.tag, event.step)
        for record in tf.data.TFRecordDataset(str(events))
        for event in [tf.compat.v1.Event.FromString(record.numpy())]
        for value in event.summary.value
    ]
    names = ["wasserstein_estimate", "critic_loss", "generator_loss", "sliced_wasserstein", "digits"]
    assert sorted(found) == sorted((name, epoch) for name in names for epoch in (1, 2))


def test_summary_prints_both_networks_and_writes_nothing(program, tmp_path, capfd):
    assert wgan.main(["--summary"]) == 0
    printed = capfd.readouterr().out
    assert "critic" in printed and "Conv2DTranspose" in printed
    assert not list(tmp_path.iterdir())


def test_interpolate_writes_an_animation_and_a_strip(program):
    status, [line, *_] = program("interpolate --model wgan --models-dir out --walk 3,4,5 --frames 30")
    assert status == 0 and line == "a walk between 3 latent vectors in out/interpolation.gif and .png"
    with Image.open("out/interpolation.gif") as film, Image.open("out/interpolation.png") as strip:
        assert (film.n_frames, film.size, film.info["loop"]) == (90, (112, 112), 0)
        assert strip.size == (20 * 56, 3 * 56)
    assert run_in("out").keys() == {"interpolation.gif", "interpolation.png"}


# --------------------------------------------------------------------------------------------------------- checkpoints
VARIABLES = [np.arange(6.0).reshape(2, 3).astype(np.float32), np.array(4)]
ABOUT = {"options": {"seed": 1}, "recipe": {}, "data": {}, "versions": {}, "device": {}, "code": {}}


def saved(folder, step, change=lambda arrays, record: None):
    """Writes a checkpoint in which change(arrays, record) has changed something."""
    record = {"about": ABOUT, "history": [{"epoch": 1, "step": 4, "seconds": 1.0}], "seconds": 1.0}
    arrays = {f"variable_{number}": array for number, array in enumerate(VARIABLES)}
    change(arrays, record)
    arrays = {"record": np.array(json.dumps(record)), **arrays}
    np.savez(folder / f"step_{step:09d}.npz", **arrays)


def array(make):
    return lambda path: saved(path.parent, 999, lambda arrays, _: arrays.update(variable_0=make(VARIABLES[0])))


def record(**values):
    return lambda path: saved(path.parent, 999, lambda _, record: record.update(values))


DAMAGED = {
    "an empty file": lambda path: path.touch(),
    "a text": lambda path: path.write_text("mine"),
    "half a file": lambda path: array(lambda values: values)(path) or os.truncate(path, path.stat().st_size // 2),
    "objects": array(lambda values: np.array([[{}] * 3] * 2)),
    "texts": array(lambda values: values.astype(str)),
    "NaN": array(lambda values: values * np.nan),
    "no array": lambda path: saved(path.parent, 999, lambda arrays, _: arrays.pop("variable_0")),
    "no record": lambda path: np.savez(path, variable_0=VARIABLES[0], variable_1=VARIABLES[1]),
    "a deep record": lambda path: np.savez(path, record=np.array("[" * 100_000), variable_0=VARIABLES[0]),
    "a history of numbers": record(history=[1]),
    "a history with NaN": record(history=[{"epoch": 1, "step": 4, "seconds": float("nan")}]),
    "a history without epochs": record(history=[{"seconds": 1.0}]),
    "no description": record(about={}),
    "seconds in words": record(seconds="1"),
}


def variables():
    return [tf.Variable(np.zeros_like(value)) for value in VARIABLES]


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_checkpoint_is_passed_over_with_one_line(name, tmp_path, capsys):
    saved(tmp_path, 4)
    DAMAGED[name](tmp_path / "step_000000999.npz")
    found = variables()
    assert checkpoints.resume(tmp_path, found, ABOUT)["history"][0]["step"] == 4
    [line] = capsys.readouterr().err.splitlines()
    assert "step_000000999.npz" in line and line.endswith("the run resumes from step_000000004.npz")
    for variable, value in zip(found, VARIABLES, strict=True):
        np.testing.assert_array_equal(variable, value)
    (tmp_path / "step_000000004.npz").unlink()
    with pytest.raises(InputError, match=r"holds no intact checkpoint \(.*step_000000999.npz .*start a new run"):
        checkpoints.resume(tmp_path, found, ABOUT)


def test_what_is_no_checkpoint_is_not_opened(tmp_path, capsys):
    saved(tmp_path, 4)
    os.mkfifo(tmp_path / "step_000000999.npz")
    (tmp_path / "step_000000998.npz").mkdir()
    (tmp_path / "step_000000997.npz").symlink_to("nowhere")
    (tmp_path / "step_000000100_keep.npz").write_text("mine")
    assert checkpoints.resume(tmp_path, variables(), ABOUT)
    for step in (5, 6):
        checkpoints.save(tmp_path, step, VARIABLES, {})
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {*(f"step_{step:09d}.npz" for step in (5, 6, 997, 998, 999)), "step_000000100_keep.npz"}
    assert capsys.readouterr().err == ""


def test_a_checkpoint_of_other_networks_or_another_run_is_refused_and_of_other_code_is_not(tmp_path, capsys):
    saved(tmp_path, 4)
    with pytest.raises(InputError, match="step_000000004.npz was saved with other networks; start a new run without"):
        checkpoints.resume(tmp_path, variables()[:1], ABOUT)
    with pytest.raises(InputError, match="belongs to a different run: --seed was 1, is 2$"):
        checkpoints.resume(tmp_path, variables(), ABOUT | {"options": {"seed": 2}})
    assert checkpoints.resume(tmp_path, variables(), ABOUT | {"code": {"other_gans.py": "0"}})
    assert "code: was {}, is {'other_gans.py': '0'}; the weights may differ" in capsys.readouterr().err
