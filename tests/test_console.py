"""What the programs print, what they do when a signal comes, and how an error ends them."""

import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from support import console
from support.console import Interrupted
from support.errors import InputError, TrainingError
from support.options import options_from
from wgan_handwritten_digits import RECIPES

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of this kind are not delivered on Windows")


def end_with(error, words=("train", "--data", "my data", "--resume"), steps=("train",)):
    """The exit status of a run that ends with this error."""

    def run(options):
        raise error

    return console.run_program(lambda _: SimpleNamespace(steps=steps), run, list(words), "program")


# --------------------------------------------------------------------------------------------------------- signals
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_program_at_once(name, capsys):
    number = getattr(signal, name)
    before = signal.getsignal(number)

    def run(options):
        signal.raise_signal(number)
        pytest.fail("it went on")

    assert console.run_program(list, run, ["generate"], "program") == 128 + number
    assert capsys.readouterr().err == f"program: stopped by {name}\n"
    assert signal.getsignal(number) == before


def test_nohup_protects_a_run():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert console.run_program(list, lambda _: signal.raise_signal(signal.SIGHUP), [], "program") == 0
        with console.signals_noted() as note:
            signal.raise_signal(signal.SIGHUP)
        assert note.asked is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_training_a_signal_waits_and_a_second_one_does_not():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as end, console.signals_noted() as note:
        assert note.asked is None
        signal.raise_signal(signal.SIGTERM)
        assert note.asked == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal was lost")
    assert end.value.status == 130 and not end.value.saved
    assert signal.getsignal(signal.SIGINT) == before


def test_a_thread_that_receives_no_signals_may_train():
    def work():
        with console.signals_noted() as note:
            return note.asked

    with ThreadPoolExecutor() as threads:
        assert threads.submit(work).result() is None


# ---------------------------------------------------------------------------------------------------------- errors
RESUME = "python script.py train --data 'my data' --resume"
ADVICE = "once that is fixed, --resume continues from the last checkpoint, if any"
FULL = OSError(28, "No space left on device", "a.npz")
ERRORS = [
    (InputError("a\nb"), 2, "a b"),
    (TrainingError("not finite"), 1, "not finite"),
    (MemoryError(), 1, "not enough memory"),
    (Interrupted(signal.SIGINT), 130, "stopped by SIGINT"),
    (Interrupted(signal.SIGTERM, saved=True), 143, f"stopped by SIGTERM; resume with: {RESUME}"),
    (FULL, 1, f"{FULL}; complete files are kept; {ADVICE}"),
]


@pytest.mark.parametrize(("error", "status", "line"), ERRORS, ids=repr)
def test_an_error_is_one_line_that_says_what_to_do(error, status, line, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    assert end_with(error) == status
    assert capsys.readouterr().err == f"program: {line}\n"


def test_the_arguments_of_a_notebook_are_not_ours_but_those_of_its_run_command_are(monkeypatch):
    read = []
    for words in (["python/ipykernel_launcher.py", "-f", "kernel.json"], ["script.py", "generate"]):
        monkeypatch.setattr(sys, "argv", words)
        assert console.run_program(read.append, lambda _: None, None, "program") == 0
    assert read == [[], ["generate"]]


@pytest.mark.parametrize("words", ["wgan_handwritten_digits.py", "evaluate_digits.py data/mnist.npz"])
def test_a_forgotten_virtual_environment_is_named(words, tmp_path):
    command = [sys.executable, "-ES", *(ROOT / word for word in words.split())]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    last = process.stderr.splitlines()[-1]
    assert process.returncode == 2 and last.endswith("install requirements.txt; is the virtual environment active?")


def test_a_bug_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        end_with(ZeroDivisionError())


# ----------------------------------------------------------------------------------------------------------- lines
def test_a_path_with_a_line_feed_does_not_make_two_lines(capsys):
    console.say("digits in a\nb\udcff")
    assert capsys.readouterr().err == "digits in a b \n"


def test_the_next_steps_are_commands_that_work(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["there/script.py"])

    def said(*steps, **settings):
        console.say_next_steps(options_from({"steps": steps, **settings}, RECIPES))
        return capsys.readouterr().err

    assert said("generate", images_dir="my images") == "next: python there/evaluate_digits.py 'my images'\n"
    assert said("generate", shard="2/8") == said("generate", digits=7) == ""  # not a whole set of digits
    both = said("train", "generate", models_dir="m")
    assert "look at: m/training/progress.gif" in both and both.endswith("script.py interpolate --models-dir m\n")
    assert "evaluate" not in said("train", "generate", data="fashion")  # the figures compare with MNIST
    monkeypatch.setattr(os, "name", "nt")
    assert 'evaluate_digits.py "my images"' in said("generate", images_dir="my images")


def test_a_terminal_that_can_shows_digits_as_text(monkeypatch, tmp_path):
    digits = np.zeros((100, 28, 28), np.uint8)
    digits[1, :2, :2], digits[1, 2:4, 2:4], digits[1, 24:, 26:] = 255, 255, 255
    shown = {}
    for encoding, terminal in (("utf-8", True), ("ascii", True), ("utf-8", False)):
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", "30")  # and no file number: in IDLE, standard error is not a file
        console.show_digits(digits, tmp_path / "none.png")
        stream.flush()
        shown[encoding, terminal] = stream.buffer.getvalue().decode(encoding).splitlines()
    assert shown.pop(("utf-8", True)) == [" " * 14 + "▀▄" + " " * 12, *[" " * 28] * 5, " " * 27 + "█"]
    assert list(shown.values()) == [[], []]
