"""SIGINT (Ctrl-C) and SIGTERM: a training run finishes its iteration and saves; anything else ends at once."""

import contextlib
import signal
import threading
from types import SimpleNamespace


class Interrupted(BaseException):
    """A signal asked the process to end. `status` is the exit status: 130 for SIGINT, 143 for SIGTERM.

    saved: in a training run, whether there is a checkpoint to resume from; None if this process does not know.
    """

    def __init__(self, number, saved=None):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
        self.saved = saved


@contextlib.contextmanager
def _handled_by(handler):
    """SIGINT and SIGTERM call `handler` while the block runs. Only the main thread of a process receives signals."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


def at_once():
    """A block in which SIGINT and SIGTERM raise Interrupted."""

    def interrupt(number, _):
        raise Interrupted(number)

    return _handled_by(interrupt)


@contextlib.contextmanager
def deferred():
    """A block in which the first SIGINT or SIGTERM is only noted. A second one raises Interrupted at once.

    Yields an object whose `asked` is the number of the signal, or None. If a signal came, raises Interrupted after the
    block.
    """
    note = SimpleNamespace(asked=None)

    def take_note(number, _):
        if note.asked:
            raise Interrupted(number)
        note.asked = number

    with _handled_by(take_note):
        yield note
    if note.asked:
        raise Interrupted(note.asked)
