"""Checkpoints: the whole state of a training run in one .npz file, saved whole or not at all."""

import json
import zlib
from pathlib import Path

from support.console import warn
from support.errors import InputError
from support.lazy import np
from support.options import USED_BY
from support.outputs.files import write_whole

KEPT = 2
DECIDE = ("options", "recipe", "data")  # the groups of a run's description in which two different runs differ
# What a resumed run may change, apart from the options of other steps.
MAY_CHANGE = {"epochs", "data", "resume", "summary", "worker_timeout", "source"}


def save(folder, step, variables, record):
    """Writes `variables` and the dictionary `record` to folder/step_N.npz, and keeps the last KEPT checkpoints.

    It is one file, so that networks, optimizers and step never come from different moments.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"variable_{number}": np.asarray(variable) for number, variable in enumerate(variables)}
    with write_whole(folder / f"step_{step:09d}.npz") as temporary:
        np.savez(temporary, record=np.array(json.dumps(record)), **arrays)
    for older in paths(folder)[:-KEPT]:
        older.unlink()


def paths(folder):
    """The paths of the checkpoints in `folder`, by step."""
    return sorted(path for path in Path(folder).glob(f"step_{'[0-9]' * 9}.npz") if path.is_file())


def read(path):
    """The record and the arrays of a checkpoint. Raises any exception if it is damaged."""
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:  # numpy leaves a damaged file open
        record = json.loads(str(file["record"][()]))
        record = {name: record[name] for name in ("about", "history", "seconds")}
        return record, [file[f"variable_{number}"] for number in range(len(file.files) - 1)]


def resume(folder, variables, about):
    """Sets `variables` to the newest intact checkpoint in `folder`; returns its record.

    about: the description of the run; must equal record["about"], except what may change. Warns of damaged files, and
    of other versions, devices or code, which may change the weights. Raises InputError.
    """
    for path in reversed(paths(folder)):
        try:
            record, arrays = read(path)
            differences = [f"{name} was {then}, is {now}" for name, then, now in differ(record["about"], about)]
        except Exception:  # a damaged file can raise anything
            warn(f"{path} is damaged; the run resumes from an older checkpoint, if there is one")
            continue
        if differences:
            raise InputError(f"--resume: {path} belongs to a different run: {'; '.join(differences)}")
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise InputError(f"--resume: {path} was saved with other networks; start a new run without --resume")
        for group in ("versions", "device", "code"):
            then, now = record["about"].get(group), about.get(group)
            if then != now:
                warn(f"{group}: was {then}, is {now}; the weights may differ from those of an uninterrupted run")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return record
    raise InputError(f"--resume: {folder} holds no intact checkpoint; start a new run without --resume")


def decides(group, name):
    """True if this option or setting decides what a run learns."""
    return name not in MAY_CHANGE and (group != "options" or "train" in USED_BY.get(name, ()))


def differ(then, now):
    """Yields (name, value then, value now) for each setting that makes two runs different."""
    for group in DECIDE:
        for name, value in now[group].items():
            if decides(group, name) and then[group].get(name, value) != value:
                option = "--" + name.replace("_", "-") if group == "options" else f"{group} {name}"
                yield option, then[group][name], value


def fingerprint(about, variables):
    """A 32-bit checksum that almost certainly differs if two runs would diverge from here."""
    settings = [about[group][name] for group in DECIDE for name in sorted(about[group]) if decides(group, name)]
    number = zlib.crc32(json.dumps([settings, about["options"]["epochs"]]).encode())
    for variable in variables:
        number = zlib.crc32(np.ascontiguousarray(variable.numpy()), number)
    return number
