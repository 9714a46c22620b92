"""What the programs print, how they react to signals, and how an error ends them. All text goes to standard error."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

from support.errors import InputError, TrainingError, one_line
from support.lazy import np, tqdm

# Signals that end a run. Windows has no SIGHUP, which a closed terminal sends.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def say(words):
    """Prints one line. On a terminal, it appears above a progress bar."""
    with contextlib.suppress(OSError, ValueError):  # a full disk or a closed pipe: the run continues
        write = sys.modules["tqdm"].tqdm.write if "tqdm" in sys.modules else print  # without tqdm, there is no bar
        write(one_line(words), file=sys.stderr)
        sys.stderr.flush()


def warn(words):
    """Prints one line that begins with the program's name."""
    say(f"wgan_handwritten_digits: {words}")


def watch(steps, words, total=None):
    """Yields each of `steps`. On a terminal, a bar shows `words`, the progress and the time left; elsewhere nothing.

    total: number of steps, if `steps` has no length.
    """
    # disable=None: no bar where standard error is not a terminal
    return tqdm.tqdm(steps, words, total, leave=False, disable=None, delay=1)


def show_digits(digits, picture):
    """On a terminal that can, shows digits, uint8 [n, 28, 28], as text. In a notebook, shows the PNG file `picture`."""
    if "ipykernel" in sys.modules:
        from IPython.display import Image, display

        display(Image(filename=picture))
    elif sys.stderr.isatty() and (sys.stderr.encoding or "").lower().startswith("utf"):
        columns = shutil.get_terminal_size().columns
        for line in half_blocks(digits[: max(1, columns // 14)]):
            say(line)


def half_blocks(images):
    """Seven lines of text that show images, uint8 [n, 28, 28], side by side, each 14 characters wide."""
    ink = images.reshape(-1, 14, 2, 14, 2).mean((2, 4)) > 80
    characters = np.array(list(" ▄▀█"))[2 * ink[:, ::2] + ink[:, 1::2]]  # the upper pixel, the lower pixel
    return ["".join(line) for line in characters.swapaxes(0, 1).reshape(7, -1)]


def quoted(words):
    """A command as one types it into this system's shell."""
    words = [str(word) for word in words]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


class TrainingProgress:
    """The progress of a training run: a bar on a terminal, and a line an epoch.

    folder: a TrainingFolder. total: iterations of the whole run. images: real images per iteration.
    """

    def __init__(self, folder, total, images):
        self.folder, self.total, self.images, self.first = folder, total, images, folder.iterations()
        self.epochs, self.start = folder.about["options"]["epochs"], None
        self.silent = not folder.writes or self.first >= total
        self.bar = tqdm.tqdm(
            total=total * images, initial=self.first * images, unit=" images", unit_scale=True, leave=False,
            disable=self.silent or None,
        )  # fmt: skip

    def update(self, epoch):
        """Call it after each iteration. epoch: the current one, from 1."""
        if self.start is None:  # the first iteration does not count: it compiles the functions
            self.start, self.first = time.monotonic(), self.first + 1
        self.bar.set_description(f"epoch {epoch}/{self.epochs}", refresh=False)
        self.bar.update(self.images)

    def end_epoch(self, epoch, figures, digits):
        """Prints the line of an epoch, and shows digits, uint8 [n, 28, 28]. figures: words."""
        done = self.folder.iterations()
        left = (time.monotonic() - self.start) * (self.total - done) / max(done - self.first, 1)
        more = f", about {self.bar.format_interval(left)} left" if done < self.total else ""
        if not self.silent:
            spent = self.bar.format_interval(self.folder.seconds())
            say(f"epoch {epoch}/{self.epochs}, {figures}, {spent} so far{more}")
            show_digits(digits, self.folder.sample_path(epoch))


# --------------------------------------------------------------------------------------------------------- signals
class Interrupted(BaseException):
    """A signal asked the process to end. number: of the signal. saved: True if a training run saved a checkpoint."""

    def __init__(self, number, saved=False):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number  # the exit status: 130 for Ctrl-C, 143 for SIGTERM
        self.saved = saved


@contextlib.contextmanager
def handling(handler):
    """A block in which signals that end a run call `handler`. Only the main thread of a process receives signals.

    A signal that is ignored stays ignored: nohup protects a run from a closed terminal in this way.
    """
    numbers = SIGNALS if threading.current_thread() is threading.main_thread() else ()
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


@contextlib.contextmanager
def signals_noted():
    """A block in which the first signal is only noted; a second one raises Interrupted at once.

    Yields an object whose `asked` is the number of the signal, or None. It is a training run's: if it reaches the end
    of the block, everything is saved.
    """
    note = SimpleNamespace(asked=None)

    def take_note(number, _):
        if note.asked:
            raise Interrupted(number)
        note.asked = number

    with handling(take_note):
        yield note
    if note.asked:  # too late for the block to see it
        raise Interrupted(note.asked, saved=True)


# ------------------------------------------------------------------------------------------- how a program ends
def run_program(read, run, arguments, script):
    """Calls run(read(arguments)); returns the exit status, after one line about an error.

    0: done; 2: a bad option or input, found before anything is written; 1: any other error; 130, 143: interrupted.
    arguments: the words of the command line; None: those of this process or of %run, but not those of a notebook.
    """
    if sys.stderr is None:  # closed, as by 2>&-
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in a notebook
            stream.reconfigure(errors="replace")  # an ASCII-only terminal shows question marks
    if arguments is None:
        arguments = [] if "kernel" in os.path.basename(sys.argv[0]) else sys.argv[1:]

    def interrupt(number, _):
        raise Interrupted(number)

    options = None
    try:
        with handling(interrupt):
            options = read(arguments)
            run(options)
        return 0
    except (Exception, Interrupted) as error:
        line, status = explain(error, arguments, training="train" in getattr(options, "steps", ()))
        say(f"{script}: {line}")
        return status


def explain(error, arguments, training):
    """One line about an error, and the exit status. A bug is raised again.

    arguments: the words of the command line. training: True if the run includes the step "train".
    """
    if isinstance(error, InputError):
        return str(error), 2
    if isinstance(error, ImportError):
        return f"{error}: install requirements.txt; is the virtual environment active?", 2
    if isinstance(error, Interrupted):
        again = quoted(["python", sys.argv[0], *(word for word in arguments if word != "--resume"), "--resume"])
        return f"stopped by {error}" + (f"; resume with: {again}" if error.saved else ""), error.status
    if isinstance(error, OSError):  # usually a full disk
        resume = "; once that is fixed, --resume continues from the last checkpoint, if any" if training else ""
        return f"{error}; complete files are kept{resume}", 1
    if isinstance(error, (TrainingError, MemoryError)):
        return str(error) or "not enough memory", 1
    if type(error).__module__.startswith("tensorflow.") and hasattr(error, "message"):
        hint = "; a new run with a smaller --batch-size may help" if training else ""  # --resume refuses a changed one
        lost = (
            "; if another worker was lost, start all workers again with --resume" if "TF_CONFIG" in os.environ else ""
        )
        return f"TensorFlow: {(error.message or type(error).__name__).splitlines()[0]}{hint}{lost}", 1
    raise error


def say_next_steps(options):
    """Prints which pictures to look at, and what to do with the results."""
    here, commands = os.path.dirname(sys.argv[0]), []
    if "train" in options.steps:
        say(f"look at: {os.path.join(options.models_dir, 'training', 'progress.gif')} and curves.png")
    # The figures compare with MNIST.
    if "generate" in options.steps and not (options.shard or options.digits or options.data):
        commands.append(["python", os.path.join(here, "evaluate_digits.py"), options.images_dir or options.npz])
    if "train" in options.steps:
        folder = ["--models-dir", options.models_dir] if options.models_dir != "saved_models" else []
        step = "interpolate" if "generate" in options.steps else "generate"
        commands.append(["python", sys.argv[0], step, *folder])
    if commands:
        say(f"next: {'  or  '.join(map(quoted, commands))}")
