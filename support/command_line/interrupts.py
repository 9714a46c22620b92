"""SIGINT (Ctrl-C) and SIGTERM: a training ends its iteration and saves, anything else ends at once."""

import contextlib
import signal


class Interrupted(BaseException):
    """The process was asked to end. `status` is the exit status that says so: 130 after SIGINT, 143 after SIGTERM.

    saved: of a training: whether there is a checkpoint to go on from.
    """

    def __init__(self, number, saved=None):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
        self.saved = saved


class Interrupts:
    """While its block runs, SIGINT and SIGTERM raise Interrupted; inside `deferred`, the first only sets `asked`."""

    def __init__(self):
        self.asked = None
        self.waits = False

    def __enter__(self):
        self.before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _handle(self, number, _):
        if not self.waits or self.asked is not None:
            raise Interrupted(number)
        self.asked = number

    @contextlib.contextmanager
    def deferred(self):
        """What runs inside looks at `asked` now and then, or is short; when it has ended, Interrupted is raised."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False
        if self.asked is not None:
            raise Interrupted(self.asked)
