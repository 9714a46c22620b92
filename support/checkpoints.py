"""The state of a run, saved and restored: all of its variables in one .npz file, whole or not at all."""

import contextlib
import json
import re
import zlib
from pathlib import Path

import numpy as np

from support.errors import InputError
from support.files import flush, write_whole

KEPT = 2
# What a resumed run may have different from the one that was interrupted.
MAY_CHANGE = {"steps", "epochs", "images", "images_dir", "models_dir", "model", "data", "resume", "device", "summary"}
MAY_CHANGE |= {"walk", "frames", "tensorboard", "worker_timeout", "shard"}


class CheckpointError(InputError):
    """There is nothing to go on from, or something else was trained."""


def save(folder, step, variables, record, mine):
    """Writes `variables` and the dictionary `record`, which JSON can hold, to folder/step_N.npz.

    One file for all of it, so that networks, optimizers and step never come from different moments. mine: the paths of
    this training's checkpoints, to which the new one is added; the last two of them are kept, all others removed. Those
    of a training before go when ours is on the disk and has but to get its name: a full disk leaves them, and no crash
    a later step of theirs beside an early one of ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"variable_{number}": np.asarray(variable) for number, variable in enumerate(variables)}
    path = folder / f"step_{step:09d}.npz"
    with write_whole(path) as temporary:
        np.savez(temporary, record=np.array(json.dumps(record)), **arrays)
        flush(temporary)
        _remove_all_but(mine, folder)
    mine[:] = [*mine, path][-KEPT:]
    _remove_all_but(mine, folder)


def newest(folder):
    """The path of the newest checkpoint in `folder`, or None."""
    return next(reversed(_all(folder)), None)


def given_up(folder):
    """A line that says so, where a training that starts anew takes the place of one that did not end; else None."""
    path = newest(folder)
    if path:
        with contextlib.suppress(Exception), np.load(path, allow_pickle=False) as file:
            record = json.loads(str(file["record"]))
            done, epochs = len(record["history"]), record["about"]["options"]["epochs"]
            if done < epochs:
                return f"starting anew; {folder} holds a training that ended after {done} of {epochs} epochs (--resume)"
    return None


def resume(folder, variables, about, warn):
    """Sets `variables` to the newest checkpoint of `folder` that is intact; returns its path and its record.

    about: must equal record["about"] but for what may change; `warn` is called with a line for each damaged file, and
    where versions or device are others, which may change the last digits. Raises CheckpointError.
    """
    for path in reversed(_all(folder)):
        try:
            with np.load(path, allow_pickle=False) as file:
                record = json.loads(str(file["record"]))
                arrays = [file[f"variable_{number}"] for number in range(len(file.files) - 1)]
        except Exception:  # what a damaged file leads to, nobody can list
            warn(f"{path} is damaged: going on from the one before")
            continue
        differences = [f"{name} was {then}, is {now}" for name, then, now in _differences(record["about"], about)]
        if differences:
            raise CheckpointError(f"--resume: {path} is of another training: {'; '.join(differences)}")
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise CheckpointError(f"--resume: {path} is of other networks than this program's")
        for group in ("versions", "device"):
            then, now = record["about"][group], about[group]
            if then != now:
                warn(f"{group} were {then}, are {now}: the weights may differ from those of a training without a break")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return path, record
    raise CheckpointError(f"--resume: {folder} holds no intact checkpoint; leave --resume out to start anew")


def fingerprint(about, variables):
    """A whole number of 32 bits, the same for trainings that do the same from here on, and hardly for any others."""
    groups = [about["options"], about["recipe"], about["data"]]
    told = [[group[name] for name in sorted(group.keys() - (MAY_CHANGE - {"epochs"}) - {"source"})] for group in groups]
    number = zlib.crc32(json.dumps(told).encode())
    for variable in variables:
        number = zlib.crc32(np.ascontiguousarray(variable.numpy()), number)
    return number


def _all(folder):
    """The checkpoints in `folder`, the oldest first."""
    paths = [path for path in Path(folder).glob("step_*.npz") if re.fullmatch(r"step_\d{9,}\.npz", path.name)]
    return sorted(paths, key=lambda path: int(path.stem.removeprefix("step_")))


def _remove_all_but(kept, folder):
    """Removes the checkpoints in `folder` whose paths are not among `kept`."""
    for path in set(_all(folder)) - set(kept):
        path.unlink()


def _differences(then, now):
    """(name, value then, value now) for each thing that two trainings were made of and that makes them two."""
    for group in ("options", "recipe", "data"):
        for name in now[group]:  # an older version had less to tell, and did as we do
            if name in then[group] and name not in MAY_CHANGE | {"source"} and then[group][name] != now[group][name]:
                option = "--" + name.replace("_", "-") if group == "options" else f"{group} {name}"
                yield option, then[group][name], now[group][name]
