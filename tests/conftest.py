"""What the tests share: a small dataset, and one tiny run of the whole program."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "wgan_handwritten_digits.py"
# A training run of six epochs with four iterations each. (From the fifth iteration, TensorFlow can warn of retracing.)
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


def write_small_data(path):
    """Writes an .npz file of 256 real digits."""
    with np.load(ROOT / "data/mnist.npz") as file:
        np.savez(path, x_train=file["x_train"][:256], y_train=file["y_train"][:256])
    return path


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
