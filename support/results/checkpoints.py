"""The state of a run, saved and restored: all of its variables in one .npz file, whole or not at all."""

import contextlib
import json
import math
import os
import re
import zlib
from pathlib import Path

import numpy as np

from support.errors import InputError
from support.results.files import flush, write_whole
from support.results.ownership import is_ours

KEPT = 2
# What a resumed run may have different from the one that was interrupted.
MAY_CHANGE = {"steps", "epochs", "images", "images_dir", "models_dir", "model", "data", "resume", "device", "summary"}
MAY_CHANGE |= {"walk", "frames", "tensorboard", "worker_timeout", "shard"}
DECIDE = ("options", "recipe", "data")  # the groups of a record that make two runs different ones


class CheckpointError(InputError):
    """There is nothing to go on from, or something else was trained."""


def save(folder, step, variables, record, mine):
    """Writes `variables` and the dictionary `record`, which JSON can hold, to folder/step_N.npz.

    One file for all of it, so that networks, optimizers and step never come from different moments. mine: the paths of
    this training's checkpoints, to which the new one is added; the last two of them are kept, all others removed. Those
    of a training before go when ours is on the disk and has but to get its name: a full disk leaves them, and no crash
    a later step of theirs beside an early one of ours. A file of that name that is not ours stays, whatever it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"variable_{number}": np.asarray(variable) for number, variable in enumerate(variables)}
    path = folder / f"step_{step:09d}.npz"
    while os.path.lexists(path) and not is_ours(path):
        path = path.with_name(path.name.replace("step_", "step_0"))
    with write_whole(path) as temporary:
        np.savez(temporary, record=np.array(json.dumps(record)), **arrays)
        flush(temporary)
        _remove_all_but(mine, folder)
    mine[:] = [*mine, path][-KEPT:]
    with contextlib.suppress(PermissionError):  # on Windows, of a file that another program reads; the next time, then
        _remove_all_but(mine, folder)


def newest(folder):
    """The path of the newest checkpoint in `folder`, or None."""
    return next(reversed(_all(folder)), None)


def given_up(folder):
    """A line that says so, where a training that starts anew takes the place of one that did not end; else None."""
    path = newest(folder)
    if path:
        with contextlib.suppress(Exception), np.load(path, allow_pickle=False) as file:
            record = json.loads(str(file["record"][()]))
            done, epochs = len(record["history"]), record["about"]["options"]["epochs"]
            if done < epochs:
                return f"starting anew; {folder} holds a training that ended after {done} of {epochs} epochs (--resume)"
    return None


def resume(folder, variables, about, warn):
    """Sets `variables` to the newest checkpoint of `folder` that is intact; returns its path and its record.

    about: must equal record["about"] but for what may change; `warn` is called with a line for each damaged file, and
    if versions, device or code differ, which may change the weights. Raises CheckpointError.
    """
    faults = []
    for path in reversed(_all(folder)):
        try:
            record, arrays = _read(path)
            differences = [f"{name} was {then}, is {now}" for name, then, now in _differences(record["about"], about)]
        except Exception:  # what a damaged file leads to, nobody can list
            faults.append(f"{path} is damaged")
            continue
        if differences:
            raise CheckpointError(f"--resume: {path} is of another training: {'; '.join(differences)}")
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise CheckpointError(f"--resume: {path} is of other networks than this program's")
        if [array.dtype for array in arrays] != [np.asarray(variable).dtype for variable in variables]:
            faults.append(f"{path} is damaged")
            continue
        if not all(np.isfinite(array).all() for array in arrays):
            faults.append(f"{path} holds values that are not finite")
            continue
        for fault in faults:
            warn(f"{fault}; the run goes on from {path.name}")
        for group in ("versions", "device", "code"):
            then, now = record["about"].get(group), about.get(group)
            if then and then != now:  # an older version did not record the code
                warn(f"{group}: was {then}, is {now}; the weights may differ from those of an uninterrupted run")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return path, record
    found = f" ({'; '.join(faults)})" if faults else ""
    raise CheckpointError(f"--resume: {folder} holds no intact checkpoint{found}; leave --resume out to start anew")


def fingerprint(about, variables):
    """A whole number of 32 bits, the same for trainings that do the same from here on, and hardly for any others."""
    groups = [about[group] for group in DECIDE]
    told = [[group[name] for name in sorted(group.keys() - (MAY_CHANGE - {"epochs"}) - {"source"})] for group in groups]
    number = zlib.crc32(json.dumps(told).encode())
    for variable in variables:
        number = zlib.crc32(np.ascontiguousarray(variable.numpy()), number)
    return number


def _all(folder):
    """The files with the name of a checkpoint in `folder`, the oldest first."""
    paths = [path for path in Path(folder).glob("step_*.npz") if re.fullmatch(r"step_\d{9,}\.npz", path.name)]
    return sorted(filter(os.path.isfile, paths), key=lambda path: int(path.stem.removeprefix("step_")))


def _read(path):
    """The record and the arrays of a checkpoint. Raises some exception if it is not as `save` writes it."""
    with np.load(path, allow_pickle=False) as file:
        record = json.loads(str(file["record"][()]))
        arrays = [file[f"variable_{number}"] for number in range(len(file.files) - 1)]
    rows = record["history"]
    numbers = [record["seconds"], *(value for row in rows for value in row.values())]
    if not (isinstance(rows, list) and all(map(math.isfinite, numbers))):
        raise ValueError("no history")
    if not all(row.keys() == rows[0].keys() >= {"epoch", "step", "seconds"} for row in rows):
        raise ValueError("no columns")
    if not all(isinstance(record["about"][group], dict) for group in (*DECIDE, "versions", "device")):
        raise ValueError("no options")
    return record, arrays


def _remove_all_but(kept, folder):
    """Removes our checkpoints in `folder` whose paths are not among `kept`."""
    for path in filter(is_ours, set(_all(folder)) - set(kept)):
        path.unlink()


def _differences(then, now):
    """(name, value then, value now) for each thing that two trainings were made of and that makes them two."""
    for group in DECIDE:
        for name in now[group]:  # an older version had less to tell, and did as we do
            if name in then[group] and name not in MAY_CHANGE | {"source"} and then[group][name] != now[group][name]:
                option = "--" + name.replace("_", "-") if group == "options" else f"{group} {name}"
                yield option, then[group][name], now[group][name]
