"""How a run that fails or is interrupted ends: one line, and the exit status that a shell sees."""

import os
import shlex
import subprocess
import sys

from support.command_line.interrupts import Interrupted
from support.errors import InputError, TrainingError
from support.machine import replicas
from support.machine.devices import tf


def tell(error, say, arguments, training):
    """Calls `say` with a line on `error`; returns the exit status. What is a fault of the program is raised again.

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
    say(line)
    return status
