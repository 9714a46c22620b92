"""Checkpoints: saves and restores the whole state of a training run, in one .npz file, whole or not at all."""

import contextlib
import json
import math
import os
import re
import zlib
from dataclasses import fields
from pathlib import Path

import numpy as np

from support.command_line.options import Options
from support.command_line.progress import warn
from support.errors import InputError
from support.results.files import flush, write_whole
from support.results.ownership import is_ours

KEPT = 2
# Options that a resumed run may change: those that are not marked as options of the step "train", and these.
MAY_CHANGE = {item.name for item in fields(Options) if "train" not in (item.metadata.get("step") or ())}
MAY_CHANGE |= {"epochs", "data", "resume", "summary", "tensorboard", "worker_timeout"}
DECIDE = ("options", "recipe", "data")  # the groups of a record in which two different runs differ


class CheckpointError(InputError):
    """There is no checkpoint to resume from, or it belongs to a different run."""


def save(folder, step, variables, record, mine):
    """Writes `variables` and the dictionary `record` (JSON) to folder/step_N.npz.

    It is one file, so that networks, optimizers and step never come from different moments. mine: a list of the paths
    of this run's checkpoints. The new path is added, and the list and the folder keep the last two. An earlier run's
    checkpoints are deleted when ours is safely on disk but not yet renamed: a full disk does not lose them, and a crash
    never leaves a late step of theirs beside an early one of ours. A file that this program did not write stays: then
    the new checkpoint gets another name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"variable_{number}": np.asarray(variable) for number, variable in enumerate(variables)}
    path = folder / f"step_{step:09d}.npz"
    while os.path.lexists(path) and not is_ours(path):
        path = path.with_name(path.name.replace("step_", "step_0"))
    with write_whole(path) as temporary:
        np.savez(temporary, record=np.array(json.dumps(record)), **arrays)
        flush(temporary)
        for earlier in filter(is_ours, [] if mine else _all(folder)):
            earlier.unlink()
    mine[:] = [*mine, path][-KEPT:]
    for older in filter(is_ours, set(_all(folder)) - set(mine)):
        with contextlib.suppress(PermissionError):  # on Windows, another program reads it; we try again next time
            older.unlink()


def newest(folder):
    """The path of the newest checkpoint in `folder`, or None."""
    return next(reversed(_all(folder)), None)


def given_up(folder):
    """A line of warning if `folder` holds an unfinished run, which a new run replaces; else None."""
    path = newest(folder)
    if path:
        with contextlib.suppress(Exception), np.load(path, allow_pickle=False) as file:
            record = json.loads(str(file["record"][()]))
            done, epochs = len(record["history"]), record["about"]["options"]["epochs"]
            if done < epochs:
                unfinished = f"an earlier run in {folder} stopped after {done} of {epochs} epochs"
                return f"starting a new run; {unfinished} (--resume continues it)"
    return None


def resume(folder, variables, about):
    """Sets `variables` to the newest intact checkpoint in `folder`; returns its path and its record.

    about: must equal record["about"], except what may change. Warns of each damaged file, and of different versions,
    devices or code, which may change the weights. Raises CheckpointError.
    """
    faults = []
    for path in reversed(_all(folder)):
        try:
            record, arrays = _read(path)
            differences = [f"{name} was {then}, is {now}" for name, then, now in _differences(record["about"], about)]
        except Exception:  # a damaged file can raise anything
            faults.append(f"{path} is damaged")
            continue
        if differences:
            raise CheckpointError(f"--resume: {path} belongs to a different run: {'; '.join(differences)}")
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise CheckpointError(f"--resume: {path} was saved with other networks; start a new run without --resume")
        if [array.dtype for array in arrays] != [np.asarray(variable).dtype for variable in variables]:
            faults.append(f"{path} is damaged")
            continue
        if not all(np.isfinite(array).all() for array in arrays):
            faults.append(f"{path} holds values that are not finite")
            continue
        for fault in faults:
            warn(f"{fault}; the run resumes from {path.name}")
        for group in ("versions", "device", "code"):
            then, now = record["about"].get(group), about.get(group)
            if then and then != now:  # an older version did not record the code
                warn(f"{group}: was {then}, is {now}; the weights may differ from those of an uninterrupted run")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return path, record
    found = f" ({'; '.join(faults)})" if faults else ""
    raise CheckpointError(f"--resume: {folder} holds no intact checkpoint{found}; start a new run without --resume")


def fingerprint(about, variables):
    """A 32-bit checksum that almost certainly differs if two runs would diverge from here."""
    decide, left_out = [about[group] for group in DECIDE], MAY_CHANGE - {"epochs"} | {"source"}
    values = [[group[name] for name in sorted(group.keys() - left_out)] for group in decide]
    number = zlib.crc32(json.dumps(values).encode())
    for variable in variables:
        number = zlib.crc32(np.ascontiguousarray(variable.numpy()), number)
    return number


def _all(folder):
    """The paths of the files in `folder` that have the name of a checkpoint, by step."""
    paths = [path for path in Path(folder).glob("step_*.npz") if re.fullmatch(r"step_\d{9,}\.npz", path.name)]
    return sorted(filter(os.path.isfile, paths), key=lambda path: int(path.stem.removeprefix("step_")))


def _read(path):
    """The record and the arrays of a checkpoint. Raises any exception if it is not as `save` writes it."""
    with np.load(path, allow_pickle=False) as file:
        record = json.loads(str(file["record"][()]))
        arrays = [file[f"variable_{number}"] for number in range(len(file.files) - 1)]
    rows = record["history"]
    numbers = [record["seconds"], *(value for row in rows for value in row.values())]
    if not (isinstance(rows, list) and all(map(math.isfinite, numbers))):
        raise ValueError("no history")
    if not all(row.keys() >= {"epoch", "step", "seconds"} for row in rows):
        raise ValueError("no columns")
    if not all(isinstance(record["about"][group], dict) for group in (*DECIDE, "versions", "device")):
        raise ValueError("no options")
    return record, arrays


def _differences(then, now):
    """Yields (name, value then, value now) for each setting that makes two runs different."""
    for group in DECIDE:
        for name in now[group]:  # a setting that an older version did not record had the value of today
            if name in then[group] and name not in MAY_CHANGE | {"source"} and then[group][name] != now[group][name]:
                option = "--" + name.replace("_", "-") if group == "options" else f"{group} {name}"
                yield option, then[group][name], now[group][name]
