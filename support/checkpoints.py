"""The state of a run, saved and restored: all of its variables in one .npz file, whole or not at all."""

import contextlib
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from support.files import write_whole

KEPT = 2
UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
# What a resumed run may have different from the one that was interrupted.
MAY_CHANGE = {"steps", "epochs", "images", "images_dir", "models_dir", "model", "data", "resume", "device", "summary"}


class CheckpointError(Exception):
    """There is nothing to go on from, or something else was trained; the message is the one line that a user sees."""


def save(folder, step, variables, record):
    """Writes `variables` and the dictionary `record`, which JSON can hold, to folder/step_N.npz; keeps the last two.

    One file for all of it, so that networks, optimizers and step never come from different moments.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"variable_{number}": np.asarray(variable) for number, variable in enumerate(variables)}
    with write_whole(folder / f"step_{step:09d}.npz") as temporary:
        np.savez(temporary, record=np.array(json.dumps(record)), **arrays)
    for old in _all(folder)[:-KEPT]:
        old.unlink()


def newest(folder):
    """The path of the newest checkpoint in `folder`, or None."""
    return next(reversed(_all(folder)), None)


def start_anew(folder, warn):
    """Removes the checkpoints in `folder`; calls `warn` with a line where they are of a training that did not end."""
    path = newest(folder)
    if path:
        with contextlib.suppress(*UNREADABLE), np.load(path, allow_pickle=False) as file:
            record = json.loads(str(file["record"]))
            done, epochs = len(record["history"]), record["about"]["options"]["epochs"]
            if done < epochs:
                warn(f"starting anew; the training in {folder}, ended after {done} of {epochs} epochs, is given up")
    for path in _all(folder):
        path.unlink()


def resume(folder, variables, about, warn):
    """Sets `variables` to the newest checkpoint of `folder` that is intact, and returns its record.

    about: must equal record["about"] but for what may change; `warn` is called with a line for each damaged file.
    Raises CheckpointError.
    """
    for path in reversed(_all(folder)):
        try:
            with np.load(path, allow_pickle=False) as file:
                record = json.loads(str(file["record"]))
                arrays = [file[f"variable_{number}"] for number in range(len(file.files) - 1)]
        except UNREADABLE:
            warn(f"{path} is damaged: going on from the one before")
            continue
        differences = [f"{name} was {then}, is {now}" for name, then, now in _differences(record["about"], about)]
        if differences:
            raise CheckpointError(f"--resume: {path} is of another training: {'; '.join(differences)}")
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise CheckpointError(f"--resume: {path} is of other networks than this program's")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return record
    raise CheckpointError(f"--resume: {folder} holds no intact checkpoint; leave --resume out to start anew")


def _all(folder):
    """The checkpoints in `folder`, the oldest first."""
    return sorted(Path(folder).glob("step_*.npz"))


def _differences(then, now):
    """(name, value then, value now) for each thing that two trainings were made of and that makes them two."""
    for group in ("options", "recipe", "data"):
        for name in now[group]:
            if name not in MAY_CHANGE | {"source"} and then[group].get(name) != now[group][name]:
                option = "--" + name.replace("_", "-") if group == "options" else f"{group} {name}"
                yield option, then[group].get(name), now[group][name]
