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


def warn(words):
    """Prints a line on standard error that begins with the program's name."""
    say(f"wgan_handwritten_digits: {words}")


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
        self.last, self.first_done = time.monotonic(), None  # first_done: when the first step ended
        self.silent, self.terminal, self.said = silent, _on_terminal() and not silent, False

    def due(self):
        """To be called after each step: True if it is time for `show`.

        On a terminal at most twice a second, because more often slows a GPU down; elsewhere once, after ten seconds.
        """
        now = time.monotonic()
        self.first_done = self.first_done or now
        if self.terminal:
            return now - self.last > 0.5
        return not (self.silent or self.said) and now - self.first_done > 10

    def show(self, done, words):
        """Rewrites the terminal's line: a bar, `words`, the time left. Elsewhere it prints a line."""
        if not self.terminal:
            return self.say(done, words)
        self.last = time.monotonic()
        bar = ("#" * (24 * done // self.total)).ljust(24, ".")
        width = shutil.get_terminal_size().columns - 1
        _write("\r" + f"{words}{self.left(done)} [{bar}]"[:width].ljust(width))

    def say(self, done, words):
        """Prints a line that stays: `words`, the time left."""
        self.said = True
        if not self.silent:
            say(f"{words}{self.left(done)}")

    def speed(self, done):
        """Steps per second, without the first step, in which functions are compiled. None if not known yet."""
        seconds, steps = time.monotonic() - (self.first_done or time.monotonic()), done - self.done_before - 1
        return steps / seconds if steps > 0 and seconds > 0 else None

    def left(self, done):
        """The time that the rest of the job takes at this speed, as ", m:ss left"; "" until it means something."""
        speed = self.speed(done)
        if done < self.total and (not speed or time.monotonic() - self.first_done < 3):
            return ""
        return f", {clock((self.total - done) / speed if speed else 0)} left"


def clock(seconds):
    """`seconds` as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
