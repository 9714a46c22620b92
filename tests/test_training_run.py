"""What happens around the iterations: signals, the lock, the first line, the models of the run before."""

import hashlib
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import wgan_handwritten_digits as wgan
from support.command_line.interrupts import Interrupted
from support.datasets.loading import Dataset
from support.machine.devices import import_tensorflow
from support.results import files
from support.results.files import FolderError

import_tensorflow("cpu")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def few():
    """64 digits as a dataset."""
    with np.load(ROOT / "data/mnist.npz") as file:
        return Dataset(file["x_train"][:64], None, None, None, "64 digits", "0" * 64)


def train(few, folder, **given):
    """A run of two epochs of two iterations."""
    given = {"batch_size": 16, "n_critic": 2, "latent_dim": 16, "epochs": 2} | given
    return wgan.train(few, wgan.Options(models_dir=str(folder), **given))


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def stop_after(monkeypatch):
    """A function: after `count` iterations, the next run gets a SIGINT; critic_only: while the epoch is judged.

    It returns a list that will have the arguments of each iteration.
    """
    if sys.platform == "win32":
        pytest.skip("signals of this kind are not delivered on Windows")
    compile_iteration = wgan.compile_iteration

    def arrange(count, critic_only=False):
        calls = []

        def compile_and_stop(*arguments):
            iterate = compile_iteration(*arguments)

            def iterate_and_stop(**given):
                iterate(**given)
                calls.append(given)
                if calls.count({}) == count and bool(given) == critic_only:
                    monkeypatch.setattr(wgan, "compile_iteration", compile_iteration)
                    signal.raise_signal(signal.SIGINT)

            return iterate_and_stop

        monkeypatch.setattr(wgan, "compile_iteration", compile_and_stop)
        return calls

    return arrange


def seed_and_epochs(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    return record["about"]["options"]["seed"], record["final"].get("epoch")


def test_the_stop_button_of_a_notebook_saves_and_the_run_can_be_resumed(few, tmp_path, stop_after):
    calls = stop_after(3)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as end:
        train(few, tmp_path)
    assert end.value.saved and calls.count({}) == 3
    assert signal.getsignal(signal.SIGINT) == before
    generator, _ = train(few, tmp_path, resume=True)
    whole, _ = train(few, tmp_path / "whole")
    for one, other in zip(generator.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_epoch_that_has_just_ended_is_saved(few, tmp_path, stop_after):
    """Also if there are checkpoints of an earlier run. On a cluster, all workers must agree on that."""
    train(few, tmp_path, seed=1)
    stop_after(2)
    with pytest.raises(Interrupted) as end:
        train(few, tmp_path, seed=2)
    assert end.value.saved
    assert len((tmp_path / "training/history.csv").read_text(encoding="utf-8").splitlines()) == 2


def test_the_record_is_that_of_the_models_beside_it(few, tmp_path, stop_after):
    train(few, tmp_path, seed=1)
    stop_after(3)
    with pytest.raises(Interrupted):
        train(few, tmp_path, seed=2)
    assert seed_and_epochs(tmp_path / "training/run.json") == (2, 1)
    assert seed_and_epochs(tmp_path / "previous/run.json") == (1, 2)


def test_a_signal_after_the_last_iteration_says_how_to_go_on(few, tmp_path, stop_after):
    stop_after(4, critic_only=True)
    with pytest.raises(Interrupted) as end:
        train(few, tmp_path)
    assert end.value.saved


def test_a_run_in_a_notebook_holds_its_folder(few, tmp_path):
    with files.own_folder(tmp_path):  # by the same process, as in a command with several steps
        train(few, tmp_path, epochs=1)
    lines = ["import sys", "from support.results.files import own_folder"]
    code = "\n".join([*lines, "with own_folder(sys.argv[1]):", "    print('held', flush=True)", "    input()"])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, **pipes) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match="another run"):
            train(few, tmp_path, epochs=1)
        other.communicate("\n", timeout=60)


def test_the_models_of_the_run_before_are_kept(few, tmp_path, capsys):
    train(few, tmp_path, seed=1)
    first = {name: checksum(tmp_path / name) for name in ("generator.keras", "critic.keras")}
    assert not (tmp_path / "previous").exists()
    train(few, tmp_path, seed=1, resume=True, epochs=3)  # the same run goes on
    assert not (tmp_path / "previous").exists()
    longer = {name: checksum(tmp_path / name) for name in first}
    capsys.readouterr()
    train(few, tmp_path, seed=2)
    assert "previous" in capsys.readouterr().err
    assert {name: checksum(tmp_path / "previous" / name) for name in first} == longer != first
    assert {name: checksum(tmp_path / name) for name in first} != longer
    assert (tmp_path / "previous/run.json").exists()


def test_a_file_of_the_user_among_the_kept_models_stays(few, tmp_path):
    (tmp_path / "previous").mkdir()
    (tmp_path / "previous/critic.keras").write_text("mine", encoding="utf-8")
    train(few, tmp_path, seed=1)
    train(few, tmp_path, seed=2)
    assert (tmp_path / "previous/critic.keras").read_text(encoding="utf-8") == "mine"


def test_the_first_line_says_what_is_to_come(few, tmp_path, capsys):
    train(few, tmp_path)
    first, *_ = capsys.readouterr().err.splitlines()
    for words in ("wgan", "2 epochs", "4 iterations", "64 images of 64 digits", "CPU", str(tmp_path)):
        assert words in first
