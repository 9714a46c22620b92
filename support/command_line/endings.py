"""How a run begins and ends: reads the options, turns an error into one line and an exit status."""

import os
import shlex
import subprocess
import sys

from support.command_line import interrupts
from support.command_line.interrupts import Interrupted
from support.command_line.options import read_options
from support.command_line.progress import open_standard_error, say, warn
from support.errors import DrawingError, InputError, TrainingError
from support.machine import devices, replicas
from support.machine.devices import tf


def run_program(run, arguments, recipes, about, version):
    """Calls run(options) with the options of the command line; returns the exit status.

    0: done; 2: a bad option or input, found before anything is written; 1: any other error; 130, 143: interrupted.
    arguments: the words of the command line, by default those of this process. about: the first lines of the help.
    """
    open_standard_error()
    if hasattr(sys.stdout, "reconfigure"):  # not in a notebook
        sys.stdout.reconfigure(errors="replace")  # an ASCII-only terminal shows question marks
    arguments = sys.argv[1:] if arguments is None else arguments
    versions = ", ".join(f"{name} {number}" for name, number in devices.package_versions().items())
    options = read_options(arguments, recipes, about, f"%(prog)s {version} ({versions})")
    try:
        with interrupts.at_once():
            run(options)
        return 0
    except (Exception, Interrupted) as error:
        return report_error(error, warn, arguments, training="train" in options.steps)


def say_next_steps(options):
    """Prints a line that suggests what to do with the results."""
    commands = []
    whole = "generate" in options.steps and not (options.shard or options.digits or options.data)  # as MNIST is
    if whole:
        commands.append(["python", "evaluate_digits.py", options.images_dir or options.npz])
    if "train" in options.steps:
        folder = ["--models-dir", options.models_dir] if options.models_dir != "saved_models" else []
        steps = ("interpolate",) if "generate" in options.steps else ("generate", "interpolate")
        commands += [["python", "wgan_handwritten_digits.py", step, *folder] for step in steps]
    if commands:
        say(f"next: {'  or  '.join(map(_quoted, commands))}")


def _quoted(words):
    """A command as one types it into this system's shell."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def report_error(error, print_line, arguments, training):
    """Calls print_line(line) with one line about `error`; returns the exit status. A bug is raised again.

    arguments: the words of the command line. training: True if the run includes the step "train".
    """
    line, status = str(error), 1
    if isinstance(error, InputError):
        status = 2
    elif isinstance(error, Interrupted):
        again = _quoted([sys.argv[0], *(word for word in arguments if word != "--resume"), "--resume"])
        early = "; too early to save anything; the files of an earlier run are unchanged"
        more = {True: f"; resume with: python {again}", False: early, None: ""}[error.saved]
        line, status = f"stopped by {error}{more}", error.status
    elif isinstance(error, OSError):  # usually a full disk
        resume = "; once that is fixed, --resume continues from the last checkpoint, if any" if training else ""
        line = f"{error}; complete files are kept{resume}"
    elif isinstance(error, (DrawingError, TrainingError, MemoryError)):
        line = line or "not enough memory"
    elif isinstance(error, tf.errors.OpError):  # usually the device is out of memory
        hint = "; a new run with a smaller --batch-size may help" if training else ""  # --resume refuses a changed one
        line = f"TensorFlow: {(error.message or type(error).__name__).splitlines()[0]}{hint}"
        if replicas.several_processes() and not isinstance(error, tf.errors.ResourceExhaustedError):
            lost = f"another worker was lost ({type(error).__name__})"
            line = f"{lost}: start all workers again, with --resume if there is a checkpoint"
    else:
        raise error
    print_line(line)
    return status
