"""Progress of a long job: a bar on a terminal, one line per epoch elsewhere."""

import os
import shutil
import sys
import time

from support.errors import one_line


def open_standard_error():
    """Opens standard error if it is closed (`2>&-`). Otherwise messages would go into the next file that is opened."""
    if sys.stderr is None:
        try:
            os.fstat(2)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)  # the lowest free number, usually 2
            if null != 2:
                os.dup2(null, 2)
        _give_up_standard_error()


def say(words):
    """Prints `words` to standard error as one line that stays. It replaces the bar of a terminal."""
    _write(f"{_blank()}{one_line(words)}\n")


def watch(steps, words, total=None):
    """Yields each of `steps`. On a terminal, a bar with `words` and the time left shows how far the loop is.

    total: the number of steps, if `steps` has no length. The bar disappears when the loop ends.
    """
    progress, shown = Progress(total or len(steps)), False
    try:
        for done, step in enumerate(steps, 1):
            yield step
            if progress.due():
                progress.show(done, words)
                shown = True
    finally:
        if shown:
            _write(_blank())


def _blank():
    """The text that removes the bar from a terminal; elsewhere ""."""
    return "\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r" if _on_terminal() else ""


def warn(words):
    """Prints a line on standard error that begins with the program's name."""
    say(f"wgan_handwritten_digits: {words}")


def _on_terminal():
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # standard error is None or closed
        return False


def _write(text):
    """Writes to standard error. If that fails (full disk, closed pipe), the run continues without messages."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # AttributeError: it is None; ValueError: it is closed
        _give_up_standard_error()


def _give_up_standard_error():
    """Discards standard error from now on. Text left in its buffer would change the exit status to 120."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class Progress:
    """Prints progress to standard error. total: steps of the whole job. done: steps that an earlier run did."""

    def __init__(self, total, done=0, silent=False):
        self.total, self.done_before = total, done
        self.last, self.first_done = time.monotonic(), None  # first_done: when the first step ended
        self.silent, self.terminal, self.said = silent, _on_terminal() and not silent, False

    def due(self):
        """True if it is time for `show`. Call it after each step.

        On a terminal at most twice a second, because more often slows a GPU down; elsewhere once, after ten seconds.
        """
        now = time.monotonic()
        self.first_done = self.first_done or now
        if self.terminal:
            return now - self.last > 0.5
        return not (self.silent or self.said) and now - self.first_done > 10

    def show(self, done, words):
        """Rewrites the line of the terminal: `words`, the time left, a bar. Elsewhere it prints a line."""
        if not self.terminal:
            return self.say(done, words)
        self.last = time.monotonic()
        bar = ("#" * (24 * done // self.total)).ljust(24, ".")
        width = shutil.get_terminal_size().columns - 1
        _write("\r" + f"{words}{self.left(done)} [{bar}]"[:width].ljust(width))

    def say(self, done, words):
        """Prints a line that stays: `words` and the time left."""
        self.said = True
        if not self.silent:
            say(f"{words}{self.left(done)}")

    def speed(self, done):
        """Steps per second; None if not known yet. The first step does not count: it compiles the functions."""
        seconds, steps = time.monotonic() - (self.first_done or time.monotonic()), done - self.done_before - 1
        return steps / seconds if steps > 0 and seconds > 0 else None

    def left(self, done):
        """The time left at this speed, as ", m:ss left"; "" while there is no good estimate."""
        speed = self.speed(done)
        if done < self.total and (not speed or time.monotonic() - self.first_done < 3):
            return ""
        return f", {clock((self.total - done) / speed if speed else 0)} left"


def clock(seconds):
    """`seconds` as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
