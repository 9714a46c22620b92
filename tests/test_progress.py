"""The progress bar keeps to one line of the terminal."""

import io
import os
import shutil
import sys
import time

import pytest

from support.command_line.progress import Progress, clock, say, watch


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_the_bar_never_wraps(monkeypatch, columns):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((columns, 24)))
    progress = Progress(10)
    progress.due()
    progress.show(3, "epoch 1/12, 1234 images/s")
    lines = sys.stderr.getvalue().split("\r")
    assert max(map(len, lines)) <= columns - 1
    say("epoch 1/12")
    assert sys.stderr.getvalue().split("\r")[-1] == "epoch 1/12\n"


@pytest.mark.parametrize("total, steps", [(None, range(3)), (3, iter(range(3)))])
def test_a_watched_loop_shows_a_bar_and_removes_it(monkeypatch, total, steps):
    monkeypatch.setattr(sys, "stderr", Terminal())
    clock = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert list(watch(steps, "classifying", total)) == [0, 1, 2]
    *_, bar, blank, end = sys.stderr.getvalue().split("\r")
    assert bar.startswith("classifying, 0:00 left [###") and blank.isspace() and end == ""


def test_a_short_loop_does_not_remove_the_bar_of_another(monkeypatch):
    """The classifier looks at each part of the digits that are being written."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(watch(range(3), "classifying")) == [0, 1, 2]
    assert sys.stderr.getvalue() == ""


def test_a_watched_loop_says_nothing_without_a_terminal(capsys):
    assert list(watch(range(3), "classifying")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_elsewhere_a_line_is_a_line(capsys):
    assert not Progress(10).due()
    say("epoch 1/12")
    assert capsys.readouterr().err == "epoch 1/12\n"


def test_the_time_left_is_shown_once_it_means_something(monkeypatch):
    """The first step is compiled, so it does not count. After it, three seconds are enough."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress(total=20, done=10)  # ten steps before an interruption
    for step, seconds in enumerate([30, 2, 2], start=11):
        now += seconds
        progress.due()
        assert progress.left(step) == {11: "", 12: "", 13: ", 0:14 left"}[step]
    assert progress.left(20) == ", 0:00 left"


def test_without_a_terminal_too_something_is_seen_before_the_first_epoch_ends(monkeypatch, capsys):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress(total=1000)
    for step in range(1, 100):
        now += 1
        if progress.due():
            progress.show(step, "epoch 1/2")
    assert capsys.readouterr().err == "epoch 1/2, 16:28 left\n"


def test_clock():
    assert [clock(seconds) for seconds in (0, 59.6, 61, 3600)] == ["0:00", "1:00", "1:01", "1:00:00"]


class Broken(io.StringIO):
    def flush(self):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", [None, Broken()])
def test_no_failed_line_ends_a_run(monkeypatch, broken):
    monkeypatch.setattr(sys, "stderr", broken)
    progress = Progress(10)
    progress.due()
    progress.show(3, "epoch 1/12")
    progress.say(3, "epoch 1/12")
    sys.stderr.flush()


def test_a_line_feed_in_a_path_does_not_make_two_lines(capsys):
    say("digits in a\nb\udcff")
    assert capsys.readouterr().err == "digits in a b \n"
