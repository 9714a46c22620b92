"""What the tests of faults share: the file operations of a run, seen before they happen, and what whole files hold."""

import csv
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

WORKING = ".wgan_handwritten_digits"  # as in support/results/files.py, which tests/kill_at_random.py cannot import yet

_watched = {}


def watch_files(folder, before):
    """Calls before(operation) before each file below `folder` is created, renamed or removed by Python code.

    operation: what happens, in which folder of `folder`, and the suffix, as in "rename checkpoints/.npz".
    before: None ends the watch.
    """
    if not _watched:
        sys.addaudithook(_audit)  # there is no way to remove it
    _watched.update(folder=os.path.join(folder, ""), before=before)


def _audit(event, arguments):
    if not event.startswith(("open", "os.")) or not _watched["before"] or not arguments:
        return
    verb = event.removeprefix("os.")
    if event == "open":
        mode, flags = arguments[1:]
        verb = "create" if (set(mode) & set("wxa") if mode else flags & os.O_CREAT) else "read"
    elif arguments[-1] != -1:  # the name is one in a folder that is open, as while a whole tree is removed
        return
    if verb not in ("create", "rename", "remove", "mkdir", "rmdir") or isinstance(arguments[0], int):
        return
    path = os.path.abspath(os.fsdecode(arguments[0]))
    if path.startswith(_watched["folder"]):
        path = Path(path).relative_to(_watched["folder"])
        _watched["before"](f"{verb} {path.parent.name}/{path.suffix}")


def leftovers(folder):
    """What stands below `folder` for as long as something is being written."""
    return [path for path in folder.rglob(".*") if ".partial" in path.name or path.name == WORKING]


def read_whole(folder):
    """What every finished file below `folder` holds, by its path in it; raises where one is not whole.

    Of each file a checksum of what equal trainings have in common: not the seconds, not the date in a .keras file.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        unfinished = ".partial" in path.name or WORKING in name.parts
        if path.is_file() and path.name != ".lock" and not unfinished:
            try:
                assert path.read_bytes().endswith(ENDS.get(path.suffix, b"")), "the end is missing"
                found[name.as_posix()] = hashlib.sha256(READERS[path.suffix](path)).hexdigest()[:16]
            except Exception as error:  # what a damaged file leads to, nobody can list
                raise AssertionError(f"{path} is not whole: {error!r}") from error
    return found


def _model(path):
    from support.machine.devices import keras

    return b"".join(weight.tobytes() for weight in keras.models.load_model(path, compile=False).get_weights())


def _checkpoint(path):
    with np.load(path, allow_pickle=False) as file:
        json.loads(str(file["record"]))
        return b"".join(file[name].tobytes() for name in file.files if name != "record")


def _record(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    return repr([record.get("images"), record.get("final", {}).get("wasserstein_estimate")]).encode()


def _table(path):
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert rows, "empty"
    return repr([[float(value) for name, value in row.items() if name != "seconds"] for row in rows]).encode()


def _picture(path):
    with Image.open(path) as picture:
        return b"".join(frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(picture))


# Of these, readers do not miss the last bytes.
ENDS = {".json": b"\n", ".csv": b"\n", ".png": b"IEND\xaeB`\x82", ".gif": b";"}
READERS = {
    ".keras": _model,
    ".npz": _checkpoint,
    ".json": _record,
    ".csv": _table,
    ".png": _picture,
    ".gif": _picture,
}
