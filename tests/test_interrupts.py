"""Signals: deferred ones are not lost, others end the work at once."""

import signal

import pytest

from support.command_line.endings import tell
from support.command_line.interrupts import Interrupted, Interrupts
from support.machine.devices import tf


def test_a_signal_ends_the_work_at_once():
    with pytest.raises(Interrupted) as end, Interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert end.value.status == 143


def test_a_deferred_signal_waits_and_is_not_lost():
    work = []
    with pytest.raises(Interrupted) as end, Interrupts() as interrupts:
        with interrupts.deferred():
            signal.raise_signal(signal.SIGINT)
            work.append(interrupts.asked)
        work.append("must not go on")
    assert end.value.status == 130
    assert work == [signal.SIGINT]


def test_a_second_signal_does_not_wait():
    with pytest.raises(Interrupted), Interrupts() as interrupts, interrupts.deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal was lost")


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize(
    ("saved", "words"), [(True, "go on with: python "), (False, "too early to save"), (None, "SIGTERM")]
)
def test_the_last_line_says_what_became_of_the_training(saved, words):
    lines = []
    assert tell(Interrupted(signal.SIGTERM, saved), lines.append, ["train"], training=True) == 143
    assert len(lines) == 1 and words in lines[0] and ("--resume" in lines[0]) is bool(saved)


def test_advice_is_not_one_that_resume_refuses():
    """--resume refuses another batch size."""
    lines = []
    for message in ("out of memory\nand more", ""):
        error = tf.errors.ResourceExhaustedError(None, None, message)
        assert tell(error, lines.append, ["train", "--resume"], training=True) == 1
    assert lines[0] == "TensorFlow: out of memory; a new run with a smaller --batch-size may help"
    assert lines[1].startswith("TensorFlow: ResourceExhaustedError; ")
    assert tell(OSError(28, "full"), lines.append, ["train"], training=True) == 1
    assert "once that is fixed, --resume" in lines[2]
