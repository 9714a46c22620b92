"""How far a long job is: a line that is rewritten on a terminal, a line an epoch elsewhere."""

import shutil
import sys
import time


def say(words):
    """Prints `words` to standard error as a line that stays, in place of a terminal's bar."""
    blank = "\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{blank}{words}\n")
    sys.stderr.flush()


class Progress:
    """Prints to standard error. `total` is the number of steps of the whole job, `done` those of an earlier run."""

    def __init__(self, total, done=0, silent=False):
        self.total, self.done_before = total, done
        self.start = self.last = time.monotonic()
        self.silent, self.terminal = silent, sys.stderr.isatty() and not silent

    def due(self):
        """True at most twice a second, and on a terminal only: asking for a loss more often slows a GPU down."""
        return self.terminal and time.monotonic() - self.last > 0.5

    def show(self, done, words):
        """Rewrites the terminal's line: a bar, `words`, the time left."""
        self.last = time.monotonic()
        bar = ("#" * (24 * done // self.total)).ljust(24, ".")
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r" + f"{words}, {self.left(done)} left [{bar}]"[:width].ljust(width))
        sys.stderr.flush()

    def say(self, done, words):
        """Prints a line that stays: `words`, the time left."""
        if not self.silent:
            say(f"{words}, {self.left(done)} left")

    def speed(self, done):
        """Steps a second since the start."""
        return (done - self.done_before) / (time.monotonic() - self.start)

    def left(self, done):
        """The time that the rest of the job takes at this speed, in words."""
        return clock((self.total - done) / self.speed(done))


def clock(seconds):
    """`seconds` as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
