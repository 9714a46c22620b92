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
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SCRIPT, run_script, snapshot, write_small_data
from kill_at_random import run_and_kill
from PIL import Image

import wgan_handwritten_digits as wgan
from support import models, pictures
from support.errors import InputError
from support.lazy import tf
from support.outputs import checkpoints, training_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals and limits are of another kind on Windows"),
]


def saved_steps(folder="models"):
    """The iterations of the checkpoints in a folder of models."""
    return [int(path.stem[5:]) for path in checkpoints.paths(Path(folder, "training/checkpoints"))]


def assert_same_state(*folders):
    """The last checkpoints of two runs hold the same arrays."""
    one, other = (np.load(checkpoints.paths(Path(folder, "training/checkpoints"))[-1]) for folder in folders)
    with one, other:
        assert one.files == other.files
        for name in set(one.files) - {"record"}:
            np.testing.assert_array_equal(one[name], other[name])


# ----------------------------------------------------------------------------------------------------- whole processes
def test_a_run_leaves_its_files(finished):
    training = finished.models / "training"
    rows = list(csv.DictReader((training / "history.csv").read_text(encoding="utf-8").splitlines()))
    columns = "epoch step wasserstein_estimate critic_loss generator_loss sliced_wasserstein seconds"
    assert list(rows[0]) == columns.split()
    assert [(int(row["epoch"]), int(row["step"])) for row in rows] == [(epoch, 4 * epoch) for epoch in range(1, 7)]
    for row in rows:
        assert np.isfinite([float(value) for value in row.values()]).all()
        assert float(row["critic_loss"]) == pytest.approx(-float(row["wasserstein_estimate"]))
    with Image.open(training / "progress.gif") as animation, Image.open(training / "curves.png") as curves:
        assert animation.n_frames == 6 and min(curves.size) > 300
    about = json.loads((training / "run.json").read_text(encoding="utf-8"))["about"]
    assert (about["options"]["seed"], about["data"]["images"]) == (5, 256)
    assert len(saved_steps(finished.models)) == 2 and not list(finished.folder.rglob("*partial*"))
    samples = sorted((training / "samples").iterdir())
    assert [path.name for path in samples] == [f"epoch_000{number}.png" for number in range(1, 7)]
    for name in ("generator", "critic"):  # saved from layers that train quicker
        with zipfile.ZipFile(finished.models / f"{name}.keras") as file:
            modules = re.findall(r'"module": "([\w.]+)"', file.read("config.json").decode())
        assert len(modules) > 10 and all(module.startswith("keras") for module in modules)
    with Image.open(samples[-1]) as grid, Image.open(finished.folder / "generated_images/digit_00017.png") as digit:
        np.testing.assert_array_equal(np.asarray(grid)[56:112:2, 392:448:2], digit)  # in the second row


def test_a_run_prints_a_line_an_epoch_in_a_file(finished):
    lines = [line for line in finished.process.stderr.splitlines() if not re.match("WARNING: All log|I0000 ", line)]
    first, *epochs, digits, look, following = lines  # without those of TensorFlow 2.20 about XLA
    for words in ("wgan trains for 24 iterations, epochs: 6", "256 images of ", "CPU, ", "results go to saved_models"):
        assert words in first
    for number, line in enumerate(epochs, 1):
        assert re.match(rf"epoch {number}/6, sliced Wasserstein distance 0\.\d+, \d\d:\d\d so far", line)
    assert digits.startswith("700 digits in generated_images, drawn by saved_models/generator.keras")
    assert look.startswith("look at: ") and following.startswith("next: ")
    assert len(epochs) == 6 and finished.process.stdout == ""


def run_until(words, answer, *command, cwd, terminal=False):
    """Runs the program. When it prints `words`, calls answer(process, file). Returns its exit status and its output.

    terminal: a pseudo-terminal shows its output, not a pipe. file: what one types there is written to it.
    """
    ours, its = os.openpty() if terminal else os.pipe()
    command, streams = [str(SCRIPT), "--device", "cpu", *map(str, command)], {"stderr": its}
    if terminal:
        import termios

        termios.tcsetwinsize(its, (24, 120))
        code = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
        command, streams = ["-c", code, *command], {"stdin": its}
    # The bar moves at each iteration, however quick. The terminal says how wide it is.
    more = os.environ | {"TQDM_MININTERVAL": "0", "COLUMNS": ""}
    with subprocess.Popen([sys.executable, *command], cwd=cwd, env=more, **streams) as process:
        os.close(its)
        printed = b""
        while part := read_part(ours):
            if words in printed + part and words not in printed:
                answer(process, ours)
            printed += part
    os.close(ours)
    return process.returncode, printed.decode()


def read_part(file):
    try:
        return os.read(file, 4096)
    except OSError:  # the end of a terminal
        return b""


def test_ctrl_c_on_a_terminal_saves_and_the_printed_command_resumes(finished, tiny, tmp_path):
    def press_ctrl_c(process, terminal):
        os.write(terminal, b"\x03")

    command = (*tiny, "--images", 700)
    # Not before the digits are shown: a terminal that gets Ctrl-C drops the output that it has not passed on yet.
    status, printed = run_until(b"epoch 2/6: ", press_ctrl_c, *command, cwd=tmp_path, terminal=True)
    assert status == 130, printed
    assert re.search(r"epoch 1/6: .*%.* images/s\]", printed), "no bar"
    lines = [line.rpartition("\x1b[A")[2] for line in re.split(r"[\r\n]+", printed)]
    assert len([line for line in lines if re.fullmatch("[ ▄▀█]{112}", line) and line.strip()]) > 2, printed
    [last] = [line for line in lines if "stopped by" in line]
    assert last.startswith("wgan_handwritten_digits: stopped by SIGINT; resume with: python ")
    assert models.load_generator(tmp_path / "saved_models/generator.keras")
    _, *command = shlex.split(last.partition("resume with: ")[2])
    process = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert re.match(r"wgan resumes after \d+ of 24 iterations", process.stderr)
    assert_same_state(tmp_path / "saved_models", finished.models)
    digits = [snapshot(folder / "generated_images") for folder in (tmp_path, finished.folder)]
    assert len(digits[0]) == 701
    assert all(digits[0][name] == digits[1][name] for name in digits[0] if name != "digits.json")


def test_sigterm_saves_and_the_earlier_run_is_moved_as_a_whole(finished, tiny, tmp_path):
    shutil.copytree(finished.models, tmp_path / "saved_models")
    command = ("train", *tiny, "--seed", 6, "--data", ROOT / "data/mnist.npz")  # the first epoch does not end
    status, printed = run_until(b"wgan trains", lambda process, _: process.terminate(), *command, cwd=tmp_path)
    moved, last = printed.splitlines()[-2:]
    assert status == 143 and last.startswith("wgan_handwritten_digits: stopped by SIGTERM; resume with: python ")
    assert moved == "the earlier run in saved_models is now in saved_models/previous"
    assert snapshot(tmp_path / "saved_models/previous") == snapshot(finished.models)
    assert len(saved_steps(tmp_path / "saved_models")) == 1
    assert models.load_generator(tmp_path / "saved_models/generator.keras")


# The third checkpoint is not whole; of the sixth and last save, the critic is not.
@pytest.mark.parametrize(("what", "number", "saved"), [("os.rename .npz", 3, 8), ("os.rename .keras", 12, 20)])
def test_a_run_that_is_killed_while_it_saves_can_be_resumed(what, number, saved, finished, tiny, tmp_path):
    process = run_and_kill(tmp_path, "train", *tiny, kill_before=(what, number))
    assert process.returncode == -signal.SIGKILL, process.stderr
    folder = tmp_path / "saved_models"
    assert saved_steps(folder) == [saved - 4, saved] and models.load_generator(folder / "generator.keras")
    process = run_script("train", *tiny, "--resume", cwd=tmp_path)
    assert process.returncode == 0 and process.stderr.startswith(f"wgan resumes after {saved} of 24 iterations")
    assert_same_state(folder, finished.models)
    one, other = (models.load_generator(place / "generator.keras") for place in (folder, finished.models))
    assert all(map(np.array_equal, one.get_weights(), other.get_weights()))
    assert len((folder / "training/history.csv").read_text().splitlines()) == 1 + 6
    assert not list(folder.rglob(".*.partial.*"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize(
    ("words", "stream"), [("generate --model wgan", "2>&-"), ("--epochs 1 --batch-size 64", "2>/dev/full")]
)
def test_a_standard_error_that_takes_nothing_does_not_matter(words, stream, small_data, tmp_path):
    data = f"--data {small_data}" if "epochs" in words else ""
    command = f"{sys.executable} {SCRIPT} --device cpu {words} {data} --images 20 {stream}"
    process = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert len(list((tmp_path / "generated_images").glob("*.png"))) == 20


# --------------------------------------------------------------------------- the files of a run, without its iterations
@pytest.fixture
def train(program, tmp_path, monkeypatch):
    """A function that trains, two iterations an epoch, which only change the weights: exit status, printed lines.

    after(iteration, training) is called after each of them.
    """
    data = write_small_data(tmp_path / "few.npz", 64)

    def run(words, after=lambda done, training: None):
        def compile_quickly(training, dataset, options):
            def iterate():
                training.iteration.assign_add(1)
                training.sums.assign_add([1.0, 2.0, 3.0])
                for variable in training.average.trainable_variables:
                    variable.assign(variable * 0.9)
                after(int(training.iteration.numpy()), training)

            return iterate

        monkeypatch.setattr(wgan, "compile_iteration", compile_quickly)
        return program(f"train --batch-size 16 --n-critic 2 --models-dir models {words}", "--data", data)

    return run


def run_in(folder):
    """What a run left in a folder, without the runs before."""
    return {name: content for name, content in snapshot(folder).items() if not name.startswith("previous")}


def test_the_history_has_the_means_of_each_epoch(train):
    assert train("--epochs 3")[0] == 0
    rows = list(csv.DictReader(Path("models/training/history.csv").read_text().splitlines()))
    names = "step", "wasserstein_estimate", "critic_loss", "generator_loss"
    assert [[float(row[name]) for name in names] for row in rows] == [[step, 1, 2, 3] for step in (2, 4, 6)]


def test_a_run_saves_from_time_to_time(train, monkeypatch):
    monkeypatch.setattr(training_folder, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    seen = []
    assert train("--epochs 1", after=lambda done, _: seen.append(saved_steps()))[0] == 0
    assert seen == [[], [1]]  # in the middle of the epoch


def test_a_second_run_moves_the_first_when_it_saves_and_not_before(train):
    assert train("--epochs 1 --seed 1")[0] == 0
    first, untouched = run_in("models"), []

    def look(done, training):
        untouched.append(snapshot("models") == first)
        assert done < 3 or models.load_generator(Path("models/generator.keras"))  # that of the first epoch

    status, lines = train("--epochs 2 --seed 2", after=look)
    assert status == 0 and "the earlier run in models is now in models/previous" in lines
    assert untouched == [True, True, False, False]
    assert run_in("models/previous") == first
    second = run_in("models")
    Path("models/previous/.DS_Store").touch()  # Finder has been there
    assert train("--epochs 1 --seed 4")[0] == 0 and run_in("models/previous") == second
    second = run_in("models")
    names = "notes.txt", "training/checkpoints/step_1_keep.npz", "training/samples/epoch_1 b.png"
    mine = [Path("models/notes.txt"), *(Path("models/previous", name) for name in names)]
    for path in mine:  # the run before that is deleted, except these
        path.write_text("mine")
    status, lines = train("--epochs 1 --seed 3")
    assert status == 0 and "the earlier run in models is now in models/previous-2" in lines
    assert run_in("models/previous-2") == second
    assert {path for path in Path("models/previous").rglob("*") if path.is_file()} == set(mine[1:])
    assert all(path.read_text() == "mine" for path in mine)


def test_the_first_run_stays_whole_if_a_second_one_cannot_move_it_or_save(train, monkeypatch):
    assert train("--epochs 1 --seed 1")[0] == 0
    first, rename = run_in("models"), Path.rename

    def refuse(path, target):
        if path.name == "training":
            raise PermissionError(13, "Access is denied", str(path))  # Windows, while Excel shows history.csv
        return rename(path, target)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    for place, name, fault, line in (
        (Path, "rename", refuse, "Access is denied: 'models/training'; complete files are kept"),
        (np, "savez", fail, "No space left on device: 'models/training/checkpoints/step_000000002.npz'"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, fault)
            status, lines = train("--epochs 1 --seed 2")
        assert status == 1 and line in lines[-1]
    assert train("--epochs 1 --seed 3")[0] == 0
    assert run_in("models/previous") == first and "training/run.json" in run_in("models")


def test_a_run_that_a_full_disk_and_a_signal_ended_can_be_resumed(train):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk(done, training):
        if done == 3:  # files have less room than a model needs
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))

    try:
        status, lines = train("--epochs 3", after=fill_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 1 and "models/generator.keras" in lines[-1] and "--resume continues" in lines[-1]
    assert saved_steps() == [2] and not list(Path("models").rglob(".*.partial.*"))
    assert models.load_generator(Path("models/generator.keras"))
    status, lines = train("--epochs 3 --resume", after=lambda done, _: done == 5 and signal.raise_signal(signal.SIGHUP))
    assert status == 129 and "stopped by SIGHUP; resume with: " in lines[-1] and saved_steps() == [4, 5]
    assert lines[0].startswith("wgan resumes after 2 of 6 iterations")
    assert train("--epochs 3 --resume")[0] == train("--epochs 3 --models-dir whole")[0] == 0
    assert_same_state("models", "whole")
    with Image.open("models/training/progress.gif") as animation:
        assert animation.n_frames == 3
    status, lines = train("--epochs 3 --resume")
    assert status == 0 and "3 epochs of training are done already; --resume with a larger" in lines[0]
    status, lines = train("--epochs 4 --resume")
    assert status == 0 and lines[0].startswith("wgan resumes after 6 of 8 iterations")
    assert len(Path("models/training/history.csv").read_text().splitlines()) == 1 + 4
    assert not Path("models/previous").exists()
    status, [line] = train("--resume --learning-rate 0.5")
    assert status == 2 and "belongs to a different run: --learning-rate was 0.00" in line


def test_a_signal_while_the_last_pictures_are_made_is_not_lost(train, monkeypatch):
    monkeypatch.setattr(pictures, "save_curves", lambda *_: signal.raise_signal(signal.SIGINT))
    status, lines = train("--epochs 1")
    assert status == 130 and lines[-1].endswith("--resume")


def test_a_failure_of_tensorflow_is_one_line(train):
    def fail(done, training):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory\nand more")

    status, lines = train("--epochs 1", after=fail)
    advice = "a new run with a smaller --batch-size may help"
    assert (status, lines[-1]) == (1, f"wgan_handwritten_digits: TensorFlow: out of memory; {advice}")


# --------------------------------------------------------------------------------------------------------- checkpoints
VARIABLES = [np.arange(6.0).reshape(2, 3).astype(np.float32), np.array(4)]
ABOUT = {"options": {"seed": 1}, "recipe": {}, "data": {}, "versions": {}, "device": {}, "code": {}}
RECORD = {"about": ABOUT, "history": [{"epoch": 1, "step": 4, "seconds": 1.0}], "seconds": 1.0}


def write(path, first=VARIABLES[0], **record):
    """Writes a checkpoint that a run of other arrays or with other fields in its record would write."""
    np.savez(path, record=np.array(json.dumps(RECORD | record)), variable_0=first, variable_1=VARIABLES[1])


DAMAGED = {
    "a text": lambda path: path.write_text("mine"),
    "half a file": lambda path: write(path) or os.truncate(path, path.stat().st_size // 2),
    "objects": lambda path: write(path, np.array([[{}] * 3] * 2)),
    "no record": lambda path: np.savez(path, variable_0=VARIABLES[0], variable_1=VARIABLES[1]),
    "a deep record": lambda path: np.savez(path, record=np.array("[" * 100_000), variable_0=VARIABLES[0]),
    "no history": lambda path: np.savez(path, record=np.array(json.dumps({"about": ABOUT, "seconds": 1.0}))),
    "no description": lambda path: write(path, about={}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_checkpoint_is_passed_over_with_one_line(name, tmp_path, capsys):
    found = [tf.Variable(np.zeros_like(value)) for value in VARIABLES]
    write(tmp_path / "step_000000004.npz")
    DAMAGED[name](tmp_path / "step_000000999.npz")
    assert checkpoints.resume(tmp_path, found, ABOUT) == RECORD
    [line] = capsys.readouterr().err.splitlines()
    assert "step_000000999.npz is damaged; the run resumes from an older checkpoint" in line
    assert all((variable.numpy() == value).all() for variable, value in zip(found, VARIABLES, strict=True))
    (tmp_path / "step_000000004.npz").unlink()
    with pytest.raises(InputError, match="holds no intact checkpoint; start a new run"):
        checkpoints.resume(tmp_path, found, ABOUT)


def test_another_run_is_refused_and_what_is_no_checkpoint_is_not_opened(tmp_path, capsys):
    found, others = [tf.Variable(value) for value in VARIABLES], {"step_000000100_keep.npz"}
    write(tmp_path / "step_000000004.npz")
    for step, make in {999: os.mkfifo, 998: Path.mkdir, 997: lambda path: path.symlink_to("nowhere")}.items():
        others.add(f"step_{step:09d}.npz")
        make(tmp_path / f"step_{step:09d}.npz")
    (tmp_path / "step_000000100_keep.npz").write_text("mine")
    assert checkpoints.resume(tmp_path, found, ABOUT) == RECORD and capsys.readouterr().err == ""
    assert checkpoints.resume(tmp_path, found, ABOUT | {"code": {"other_gans.py": "0"}})
    assert "code: was {}, is {'other_gans.py': '0'}; the weights may differ" in capsys.readouterr().err
    with pytest.raises(InputError, match="step_000000004.npz was saved with other networks; start a new run without"):
        checkpoints.resume(tmp_path, found[:1], ABOUT)
    with pytest.raises(InputError, match="belongs to a different run: --seed was 1, is 2$"):
        checkpoints.resume(tmp_path, found, ABOUT | {"options": {"seed": 2}})
    for step in (5, 6):
        checkpoints.save(tmp_path, step, VARIABLES, {})
    assert {path.name for path in tmp_path.iterdir()} == others | {"step_000000005.npz", "step_000000006.npz"}
