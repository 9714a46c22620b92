"""A folder of images that changes from one complete set of images to the next.

New images are prepared in a working folder inside it, which holds only

    writing-I-of-N/    part I of N, which a process is writing; a process that writes all images writes part 1 of 1
    complete-of-N/I/   a part that is complete
    swapping/I/        the parts of a complete set: "complete-of-N", renamed when all N parts are there

While "swapping" exists, the images folder may hold a mixture of two sets. If a run is killed then, the next run
finishes the swap; `check_whole` keeps readers away. The images folder itself is never moved: it may be a mount point or
hold the user's files. The manifest says how many images are ours and how they were made.
"""

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.command_line import interrupts
from support.command_line.progress import clock, say, watch
from support.machine.devices import tf
from support.paths import ABSENT, kind, read_json
from support.results import files
from support.results.files import WORKING, FolderError, alone, part_of

MANIFEST = "digits.json"
LABELS, HEADING = "labels.csv", "file,digit"  # the file of labels, and its first line
NOT_OURS = "was not written by this program; move it, or choose another --images-dir"


def image_name(number, total):
    """The file name of image `number` of `total`. All names of a set have the same length, so that they sort."""
    return f"digit_{number:0{max(5, len(str(total - 1)))}d}.png"


def _is_one_of(name, total):
    """True if `name` is the name of an image in a set of `total`."""
    number = re.fullmatch(r"digit_(\d+)\.png", name)
    return bool(number) and int(number[1]) < total and image_name(int(number[1]), total) == name


def _read_manifest(folder):
    """The manifest of `folder`, a dictionary in which "images" is the number of images; None without one."""
    manifest = read_json(Path(folder, MANIFEST))
    return manifest if manifest and type(manifest.get("images")) is int and manifest["images"] > 0 else None


def manifest_of(folder, names):
    """The manifest of the images `names` in `folder`; None if it does not cover all of them."""
    manifest = _read_manifest(folder)
    return manifest if manifest and all(_is_one_of(name, manifest["images"]) for name in names) else None


def _find_foreign(folder, total, labelled):
    """The path of something that is not ours but that a set of `total` images would replace, or None."""
    manifest = _read_manifest(folder)
    for name, ours in ((MANIFEST, manifest), (LABELS, not labelled or (manifest and manifest.get("labels")))):
        if not ours and kind(folder / name, follow_links=False) != ABSENT:
            return folder / name
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_one_of(entry.name, manifest["images"] if manifest else 0):
                foreign = not entry.is_file(follow_symlinks=False)
            else:  # lower: some file systems ignore case
                foreign = _is_one_of(entry.name.lower(), total)
            if foreign:
                return folder / entry.name
    return None


def _is_part_of_ours(path):
    """True if something in a working folder is ours. It may be gone already: another shard has completed it."""
    name = re.fullmatch(r"writing-\d{1,7}-of-[1-9]\d{0,6}|complete-of-[1-9]\d{0,6}|swapping", path.name, re.ASCII)
    return name and kind(path, follow_links=False) in ("folder", ABSENT)


def _unfinished(working, shard):
    """Yields the parts that killed processes left unfinished: while this shard runs, no process can be writing them."""
    own = part_of(files.LOCKED, shard)  # the bytes that own_folder locks; a process with common bytes cannot run
    for path in working.glob("writing-*"):
        part, parts = map(int, re.findall(r"\d+", path.name))
        other = part_of(files.LOCKED, (part, parts))
        if other.start < own.stop and own.start < other.stop:
            yield path


def check(folder, total, shard=None, labelled=False):
    """Raises FolderError if the images need too much space or would replace others' files. Changes nothing."""
    folder, existing = Path(folder), files.check_folder(folder)
    working, left = folder / WORKING, 0
    try:
        if kind(working, follow_links=False) != ABSENT:
            if kind(working, follow_links=False) != "folder" or not all(map(_is_part_of_ours, working.iterdir())):
                raise FolderError(f"{working}: {NOT_OURS}")
            left = sum(len(names) for path in _unfinished(working, shard) for _, _, names in os.walk(path))
        if folder == existing and (foreign := _find_foreign(folder, total, labelled)):
            raise FolderError(f"{foreign}: {NOT_OURS}")
        free = shutil.disk_usage(existing).free + left * 4096
    except OSError as error:
        raise FolderError(f"{folder}: cannot be read ({error.strerror}); choose another --images-dir") from None
    needed = len(part_of(total, shard)) * 4096  # a small file takes a whole block
    if needed > free:
        raise FolderError(
            f"{folder}: {needed >> 12} images need {needed >> 20} MiB, the disk has {free >> 20} MiB left"
        )


def check_whole(folder):
    """Raises FolderError if the images in `folder` may be a mixture of two sets."""
    if kind(Path(folder, WORKING, "swapping"), follow_links=False) == "folder":
        raise FolderError(
            f"{folder}: a run is replacing these images, or was stopped while it did; "
            "the next run with this --images-dir finishes that"
        )


def fill(folder, batches, total, about, shard=None):
    """Prepares `total` PNG files, or the shard's part of them, from `batches`: lists of encoded images (bytes).

    They stay in the working folder until `finish` replaces an earlier run's images by them. about: a dictionary for the
    manifest, on how the images were made.
    """
    (part, parts), working = shard or (1, 1), Path(folder, WORKING)
    writing, complete = working / f"writing-{part}-of-{parts}", working / f"complete-of-{parts}" / str(part)
    with alone(folder):
        for path in _unfinished(working, shard):
            shutil.rmtree(path)
        writing.mkdir(parents=True)
    try:
        numbers, images = part_of(total, shard), itertools.chain.from_iterable(batches)
        steps = watch(zip(numbers, images, strict=True), f"writing {len(numbers):,} digits", len(numbers))
        for number, png in steps:
            name = image_name(number, total)
            with files.naming(Path(folder, name)), open(writing / name, "wb") as file:
                file.write(png)
        files.write_text(writing / MANIFEST, json.dumps({"images": total, **about}, indent=2) + "\n")
        with alone(folder):
            (complete / MANIFEST).unlink(missing_ok=True)  # first, so that a half removed part is not taken as complete
            shutil.rmtree(complete, ignore_errors=True)
            complete.parent.mkdir(exist_ok=True)
            writing.rename(complete)
    finally:
        with alone(folder), contextlib.suppress(OSError):
            shutil.rmtree(writing, ignore_errors=True)
            working.rmdir()  # if it is empty


def finish(folder):
    """Replaces the images in `folder` by a complete set, if there is one.

    Returns False if parts are left that wait for the rest of their set. Raises OSError if a file that is not ours is in
    the way.
    """
    folder, working = Path(folder), Path(folder, WORKING)
    with alone(folder):
        if kind(working / "swapping", follow_links=False) == "folder":
            _swap(folder)
        for path in working.glob("complete-of-*"):
            parts = [_read_manifest(part) for part in path.iterdir()]
            new = parts[0] if parts and parts.count(parts[0]) == len(parts) else None
            whole = path.name == f"complete-of-{len(parts)}"
            if new and (whole or new == _read_manifest(folder)):  # the latter: a shard ran again for the same images
                if foreign := _find_foreign(folder, new["images"], bool(new.get("labels"))):
                    raise FileExistsError(errno.EEXIST, NOT_OURS, str(foreign))
                path.rename(working / "swapping")
                _swap(folder)
                break
        with contextlib.suppress(OSError):
            working.rmdir()
        return not any(working.glob("complete-of-*"))


def write(folder, batches, total, about, shard=None):
    """Writes `batches` of images, uint8 [n, 28, 28], as PNG files that replace those of an earlier run. See fill."""
    start, numbers = time.monotonic(), part_of(total, shard)
    fill(folder, _encode_ahead(batches), total, about, shard)
    with interrupts.deferred():  # short: only moves files
        whole = finish(folder)
    waiting = "" if whole else "; they appear when all shards are done"
    model = about.get("model", "a generator")
    say(f"{len(numbers)} digits in {folder}, drawn by {model}, {clock(time.monotonic() - start)}{waiting}")


def _encode_ahead(parts):
    """Yields a list of PNG files (bytes) for each uint8 [n, 28, 28] in `parts`; makes the next list meanwhile."""

    def encode():
        images = next(parts, None)
        return None if images is None else list(tf.io.encode_png(images[..., None], compression=6).numpy())

    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(encode)
        while (encoded := coming.result()) is not None:
            coming = thread.submit(encode)
            yield encoded


def _write_labels(path, total, labels):
    """Writes the file name and the label of each of `total` images. labels: in turn."""
    with files.write_whole(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{HEADING}\n")
        file.writelines(f"{image_name(i, total)},{labels[i % len(labels)]}\n" for i in range(total))


def _swap(folder):
    """Moves the images in "swapping" to `folder` and removes those of the old set. After a crash, it can run again."""
    swapping = folder / WORKING / "swapping"
    parts = [part for part in swapping.iterdir() if _read_manifest(part)]
    if parts:  # otherwise only the folder is left to remove
        old, new = _read_manifest(folder), _read_manifest(parts[0])
        for name in os.listdir(folder) if old else ():
            if _is_one_of(name, old["images"]) and not _is_one_of(name, new["images"]):
                (folder / name).unlink()
        if old and old.get("labels") and not new.get("labels"):
            (folder / LABELS).unlink(missing_ok=True)
        # The manifest comes before the images: it may name images that do not exist yet.
        files.write_text(folder / MANIFEST, (parts[0] / MANIFEST).read_text(encoding="utf-8"))
        if new.get("labels"):
            _write_labels(folder / LABELS, new["images"], new["labels"])
        for path in itertools.chain.from_iterable(part.iterdir() for part in parts):
            if path.name != MANIFEST:
                os.replace(path, folder / path.name)
    for path in folder.glob(f"{WORKING}/complete-of-*"):  # parts of older sets
        path.rename(swapping / path.name)
    shutil.rmtree(swapping)
