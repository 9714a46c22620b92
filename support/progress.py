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
        self.first_done = None  # when the first step was
        self.silent, self.terminal = silent, sys.stderr.isatty() and not silent

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
        sys.stderr.write("\r" + f"{words}, {self.left(done)} left [{bar}]"[:width].ljust(width))
        sys.stderr.flush()

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
