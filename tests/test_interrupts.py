"""Signals: deferred ones are not lost, others end the work at once."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.command_line import endings, interrupts
from support.command_line.endings import report_error
from support.command_line.interrupts import Interrupted
from support.command_line.options import Options
from support.errors import DrawingError
from support.machine.devices import tf


def test_a_signal_ends_the_work_at_once():
    with pytest.raises(Interrupted) as end, interrupts.at_once():
        signal.raise_signal(signal.SIGTERM)
    assert end.value.status == 143


def test_a_deferred_signal_waits_and_is_not_lost():
    work = []
    with pytest.raises(Interrupted) as end, interrupts.at_once():
        with interrupts.deferred() as note:
            signal.raise_signal(signal.SIGINT)
            work.append(note.asked)
        work.append("must not go on")
    assert end.value.status == 130
    assert work == [signal.SIGINT]


def test_a_second_signal_does_not_wait():
    with pytest.raises(Interrupted), interrupts.deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal was lost")


@pytest.mark.parametrize("block", [interrupts.at_once, interrupts.deferred])
def test_the_handlers_of_before_come_back(block):
    before = signal.getsignal(signal.SIGINT)
    with block():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_another_thread_than_the_main_one_may_train():
    with ThreadPoolExecutor() as threads:
        threads.submit(lambda: interrupts.deferred().__enter__()).result()


@pytest.mark.parametrize(
    ("saved", "words"), [(True, "resume with: python "), (False, "too early to save"), (None, "SIGTERM")]
)
def test_the_last_line_says_what_became_of_the_training(saved, words):
    lines = []
    assert report_error(Interrupted(signal.SIGTERM, saved), lines.append, ["train"], training=True) == 143
    assert len(lines) == 1 and words in lines[0] and ("--resume" in lines[0]) is bool(saved)


def test_advice_is_not_one_that_resume_refuses():
    """--resume refuses another batch size."""
    lines = []
    for message in ("out of memory\nand more", ""):
        error = tf.errors.ResourceExhaustedError(None, None, message)
        assert report_error(error, lines.append, ["train", "--resume"], training=True) == 1
    assert lines[0] == "TensorFlow: out of memory; a new run with a smaller --batch-size may help"
    assert lines[1].startswith("TensorFlow: ResourceExhaustedError; ")
    assert report_error(OSError(28, "full"), lines.append, ["train"], training=True) == 1
    assert "once that is fixed, --resume" in lines[2]


def test_what_goes_wrong_after_minutes_has_status_one():
    lines = []
    assert report_error(DrawingError("no clear 7"), lines.append, ["generate"], training=False) == 1
    assert lines == ["no clear 7"]


def test_the_next_steps_are_commands_that_make_sense(monkeypatch, capsys):
    def said(**given):
        endings.say_next_steps(Options(**given))
        return capsys.readouterr().err

    assert "evaluate_digits.py 'my images'" in said(steps=("generate",), images_dir="my images")
    assert said(steps=("generate",), shard=(2, 8)) == said(steps=("generate",), digits=(7,)) == ""  # no whole set
    other = said(steps=("train", "generate"), data="fashion")  # the figures are about MNIST
    assert "evaluate" not in other and "interpolate" in other
    monkeypatch.setattr(os, "name", "nt")
    assert 'evaluate_digits.py "my images"' in said(steps=("generate",), images_dir="my images")
