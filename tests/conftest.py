"""What the tests share: a small dataset, a tiny run of the whole program, and runs in the process of the tests."""

import os
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from support.console import SIGNALS

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "wgan_handwritten_digits.py"
for number in SIGNALS:  # nohup and job schedulers ignore some of them
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
# A training run of six epochs with four iterations each.
TINY = ("--epochs", 6, "--batch-size", 32, "--n-critic", 2)


def pytest_collection_modifyitems(items):
    """Marks tests that need the whole run as slow."""
    for item in items:
        if "finished" in item.fixturenames:
            item.add_marker("slow")


def run_script(*arguments, cwd, **more):
    """Runs the program as a user does, in the folder `cwd`; returns the finished process with its output as text."""
    command = [sys.executable, str(SCRIPT), "--device", "cpu", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **more)


def write_small_data(path, images=256):
    """Writes an .npz file of real digits."""
    with np.load(ROOT / "data/mnist.npz") as file:
        np.savez(path, x_train=file["x_train"][:images], y_train=file["y_train"][:images])
    return path


def snapshot(folder):
    """The content of everything below `folder`, by path, without our mark and lock. Follows no links."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        mode = path.lstat().st_mode
        if not path.name.startswith(".wgan_handwritten_digits"):
            content = path.read_bytes() if stat.S_ISREG(mode) else None
            content = os.readlink(path) if stat.S_ISLNK(mode) else content
            found[path.relative_to(folder).as_posix()] = stat.S_IFMT(mode), content
    return found


@pytest.fixture
def program(monkeypatch, capfd, tmp_path):
    """A function that runs the program in this process, in tmp_path: its exit status, and the lines that it prints."""
    import wgan_handwritten_digits

    monkeypatch.chdir(tmp_path)

    def run(words, *more):
        capfd.readouterr()
        status = wgan_handwritten_digits.main(["--device", "cpu", *shlex.split(words), *map(str, more)])
        lines = capfd.readouterr().err.splitlines()
        return status, [line for line in lines if not line.startswith("WARNING:tensorflow")]  # about many runs

    return run


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """The path of a small dataset."""
    return write_small_data(tmp_path_factory.mktemp("data") / "small.npz")


@pytest.fixture(scope="session")
def tiny(small_data):
    """Options of a tiny training run."""
    return ("--data", small_data, *TINY, "--seed", 5)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny):
    """A whole run, train and generate: the folder it ran in, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    process = run_script(*tiny, "--images", 700, cwd=folder)
    assert process.returncode == 0, process.stderr
    return SimpleNamespace(folder=folder, process=process, models=folder / "saved_models")
