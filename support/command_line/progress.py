"""How far a long job is: a line that is rewritten on a terminal, a line an epoch elsewhere."""

import os
import shutil
import sys
import time


def open_standard_error():
    """Opens standard error if it is closed (`2>&-`). Otherwise the next file takes its number, and its messages."""
    if sys.stderr is None:
        try:
            os.fstat(2)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)  # the lowest free number, mostly 2
            if null != 2:
                os.dup2(null, 2)
        _give_up_standard_error()


def say(words):
    """Prints `words` to standard error as one line that stays, in place of a terminal's bar."""
    words = "".join(letter if letter.isprintable() else " " for letter in words)
    _write(f"{_blank()}{words}\n")


def watch(steps, words, total=None):
    """Yields each of `steps`. On a terminal, a bar with `words` and the time left shows how far the loop is.

    total: the number of steps, if `steps` has no length. The bar disappears when the loop ends.
    """
    progress = Progress(total or len(steps))
    try:
        for done, step in enumerate(steps, 1):
            yield step
            if progress.due():
                progress.show(done, words)
    finally:
        if progress.terminal:
            _write(_blank())


def _blank():
    """What removes the bar from a terminal; nothing elsewhere."""
    return "\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r" if _on_terminal() else ""


def _on_terminal():
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # of None, or of a file that is closed
        return False


def _write(text):
    """Writes to standard error. A full disk or a reader that has gone costs the text, not the run."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # of None, or of a file that is closed
        _give_up_standard_error()


def _give_up_standard_error():
    """From now on, Python prints errors nowhere. Text left in the buffer would end the process with status 120."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class Progress:
    """Prints to standard error. `total` is the number of steps of the whole job, `done` those of an earlier run."""

    def __init__(self, total, done=0, silent=False):
        self.total, self.done_before = total, done
        self.start = self.last = time.monotonic()
        self.first_done = None  # when the first step was
        self.silent, self.terminal = silent, _on_terminal() and not silent

    def due(self):
        """To be asked after each step. True at most twice a second, on a terminal: more often slows a GPU down."""
        now = time.monotonic()
        self.first_done = self.first_done or now
        return self.terminal and now - self.last > 0.5

    def show(self, done, words):
        """Rewrites the terminal's line: a bar, `words`, the time left."""
        self.last = time.monotonic()
        bar = ("#" * (24 * done // self.total)).ljust(24, ".")
        width = shutil.get_terminal_size().columns - 1
        _write("\r" + f"{words}, {self.left(done)} left [{bar}]"[:width].ljust(width))

    def say(self, done, words):
        """Prints a line that stays: `words`, the time left."""
        if not self.silent:
            say(f"{words}, {self.left(done)} left")

    def speed(self, done):
        """Steps a second. The first one counts only where it is alone: it is compiled, which takes long."""
        now, steps = time.monotonic(), done - self.done_before
        return (steps - 1) / (now - self.first_done) if steps > 1 else steps / (now - self.start)

    def left(self, done):
        """The time that the rest of the job takes at this speed, in words."""
        return clock((self.total - done) / self.speed(done))


def clock(seconds):
    """`seconds` as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
