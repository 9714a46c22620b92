"""How a run begins and ends: options are read, a fault becomes one line and the exit status that a shell sees."""

import os
import shlex
import subprocess
import sys

from support.command_line import interrupts
from support.command_line.interrupts import Interrupted
from support.command_line.options import read_options
from support.command_line.progress import open_standard_error, say, warn
from support.errors import InputError, TrainingError
from support.machine import devices, replicas
from support.machine.devices import tf


def run_program(run, arguments, recipes, about, version):
    """Calls run(options) with the options of the command line; returns the exit status.

    0: done; 2: a bad option or input, found before anything is written; 1: something else; 130, 143: interrupted.
    arguments: the words of the command line, by default those of this process. about: the help begins with it.
    """
    open_standard_error()
    if hasattr(sys.stdout, "reconfigure"):  # not in a notebook
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows only ASCII gets question marks
    arguments = sys.argv[1:] if arguments is None else arguments
    versions = ", ".join(f"{name} {number}" for name, number in devices.package_versions().items())
    options = read_options(arguments, recipes, about, f"%(prog)s {version} ({versions})")
    try:
        with interrupts.at_once():
            run(options)
        return 0
    except (Exception, Interrupted) as error:
        return tell(error, warn, arguments, training="train" in options.steps)


def say_next_steps(options):
    """Prints a line on what a user may want to do with the results."""
    commands = []
    if "generate" in options.steps:
        commands.append(f"python evaluate_digits.py {shlex.quote(options.images_dir)}")
    if "train" in options.steps:
        folder = f" --models-dir {shlex.quote(options.models_dir)}" if options.models_dir != "saved_models" else ""
        steps = ("interpolate",) if commands else ("generate", "interpolate")
        commands += [f"python wgan_handwritten_digits.py {step}{folder}" for step in steps]
    if commands:
        say(f"next: {'  or  '.join(commands)}")


def tell(error, print_line, arguments, training):
    """Calls `print_line` with a line on `error`; returns the exit status. A fault of the program is raised again.

    arguments: the words of the command line. training: whether the step "train" was asked for.
    """
    line, status = str(error), 1
    if isinstance(error, InputError):
        status = 2
    elif isinstance(error, Interrupted):
        command = [sys.argv[0], *(word for word in arguments if word != "--resume"), "--resume"]
        again = subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)
        early = "; too early to save anything: what an earlier training left is as it was"
        more = {True: f"; go on with: python {again}", False: early, None: ""}[error.saved]
        line, status = f"ended by {error}{more}", error.status
    elif isinstance(error, OSError):  # a full disk, mostly
        resume = "; once that is fixed, --resume goes on from the last checkpoint, if there is one" if training else ""
        line = f"{error}; what was complete is kept{resume}"
    elif isinstance(error, (TrainingError, MemoryError)):
        line = line or "not enough memory"
    elif isinstance(error, tf.errors.OpError):  # memory of the device, mostly
        hint = "; a new run with a smaller --batch-size may help" if training else ""  # --resume refuses another one
        line = f"TensorFlow: {(error.message or type(error).__name__).splitlines()[0]}{hint}"
        if replicas.several_processes() and not isinstance(error, tf.errors.ResourceExhaustedError):
            lost = f"another worker was lost ({type(error).__name__})"
            line = f"{lost}: start all of them again, with --resume if there is a checkpoint"
    else:
        raise error
    print_line(line)
    return status
