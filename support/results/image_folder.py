"""A folder of images that changes from one whole set of them to the next.

New images are prepared in a working folder inside it, which holds nothing but

    writing-I-of-N/    the part I of N that a process is writing; one that writes all images writes part 1 of 1
    complete-of-N/I/   a part that is complete
    swapping/I/        the parts of a set of which all N are complete: "complete-of-N" under its new name

"swapping" exists exactly as long as the images above it may be a mixture of two sets: the next run finishes what a
killed one began, and `check_whole` tells readers. The images folder itself, which may be a mount point or hold files of
others, stays where it is. The manifest says how many images are ours, and how they came to be.
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
NOT_OURS = "was not written by this program; move it, or choose another --images-dir"


def image_name(number, total):
    """The file name of image `number` of `total`; all names of a folder have the same length, so they sort."""
    return f"digit_{number:0{max(5, len(str(total - 1)))}d}.png"


def _is_one_of(name, total):
    """Whether it is the name of an image of `total`."""
    number = re.fullmatch(r"digit_(\d+)\.png", name)
    return bool(number) and int(number[1]) < total and image_name(int(number[1]), total) == name


def _read_manifest(folder):
    """The manifest of the images in `folder`, a dictionary with their number as "images"; None if there is none."""
    manifest = read_json(Path(folder, MANIFEST))
    return manifest if manifest and type(manifest.get("images")) is int and manifest["images"] > 0 else None


def manifest_of(folder, names):
    """The manifest of the images `names` in `folder`; None if it does not cover all of them."""
    manifest = _read_manifest(folder)
    return manifest if manifest and all(_is_one_of(name, manifest["images"]) for name in names) else None


def _find_foreign(folder, total):
    """The path of something that is not ours and that `total` images would replace, or None."""
    manifest = _read_manifest(folder)
    if not manifest and kind(folder / MANIFEST, follow_links=False) != ABSENT:
        return folder / MANIFEST
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_one_of(entry.name, manifest["images"] if manifest else 0):
                foreign = not entry.is_file(follow_symlinks=False)
            else:  # some disks take names that differ only in case for the same
                foreign = _is_one_of(entry.name.lower(), total)
            if foreign:
                return folder / entry.name
    return None


def _is_part_of_ours(path):
    """Whether something in a working folder is ours. It may be gone: another shard's, which is complete now."""
    name = re.fullmatch(r"writing-\d{1,7}-of-[1-9]\d{0,6}|complete-of-[1-9]\d{0,6}|swapping", path.name, re.ASCII)
    return name and kind(path, follow_links=False) in ("folder", ABSENT)


def _unfinished(working, shard):
    """The parts that killed processes left unfinished: those that none can be writing while this shard runs."""
    own = part_of(files.LOCKED, shard)  # as own_folder locks them
    for path in working.glob("writing-*"):
        part, parts = map(int, re.findall(r"\d+", path.name))
        other = part_of(files.LOCKED, (part, parts))
        if other.start < own.stop and own.start < other.stop:
            yield path


def check(folder, total, shard=None):
    """Changes nothing. Raises FolderError if the images do not fit or would replace what no run of ours wrote."""
    folder, existing = Path(folder), files.check_folder(folder)
    working, left = folder / WORKING, 0
    try:
        if kind(working, follow_links=False) != ABSENT:
            if kind(working, follow_links=False) != "folder" or not all(map(_is_part_of_ours, working.iterdir())):
                raise FolderError(f"{working}: {NOT_OURS}")
            left = sum(len(names) for path in _unfinished(working, shard) for _, _, names in os.walk(path))
        if folder == existing and (foreign := _find_foreign(folder, total)):
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
            f"{folder}: a run is replacing these images, or was ended while it did; "
            "the next run with this --images-dir finishes that"
        )


def fill(folder, batches, total, about, shard=None):
    """Prepares PNG files in `folder`, `total` or the shard's part of them, from `batches` of encoded images (bytes).

    Nobody sees them before finish lets them take the place of what an earlier run wrote. `about` is a dictionary that
    is kept in the folder's manifest: how the images came to be.
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
            (complete / MANIFEST).unlink(missing_ok=True)  # first: what is half removed is not complete
            shutil.rmtree(complete, ignore_errors=True)
            complete.parent.mkdir(exist_ok=True)
            writing.rename(complete)
    finally:
        with alone(folder), contextlib.suppress(OSError):
            shutil.rmtree(writing, ignore_errors=True)
            working.rmdir()  # if it is empty


def finish(folder):
    """Lets each set of images that is complete take the place of the images in `folder`.

    Returns False if parts are left that wait for others of their set. Raises OSError if a file that is not ours is in
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
            if new and (whole or new == _read_manifest(folder)):  # or a repeated part of the images that are there
                if foreign := _find_foreign(folder, new["images"]):
                    raise FileExistsError(errno.EEXIST, NOT_OURS, str(foreign))
                path.rename(working / "swapping")
                _swap(folder)
                break
        with contextlib.suppress(OSError):
            working.rmdir()
        return not any(working.glob("complete-of-*"))


def write(folder, batches, total, about, shard=None):
    """Writes images, uint8 [n, 28, 28] in `batches`, as PNG files in place of those of an earlier run. See fill."""
    start, numbers = time.monotonic(), part_of(total, shard)
    fill(folder, _encode_ahead(batches), total, about, shard)
    with interrupts.deferred():  # one moment, in which the new images take the place of the old ones
        whole = finish(folder)
    waiting = "" if whole else "; they appear when all shards are done"
    model = about.get("model", "a generator")
    say(f"{len(numbers)} digits in {folder}, drawn by {model}, {clock(time.monotonic() - start)}{waiting}")


def _encode_ahead(parts):
    """Yields lists of PNG files (bytes) for uint8 [n, 28, 28] in `parts`, the next one made while this one is used."""

    def encode():
        images = next(parts, None)
        return None if images is None else list(tf.io.encode_png(images[..., None], compression=6).numpy())

    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(encode)
        while (encoded := coming.result()) is not None:
            coming = thread.submit(encode)
            yield encoded


def _swap(folder):
    """Moves the images in "swapping" to `folder` and removes those that they replace. May be cut off and repeated."""
    swapping = folder / WORKING / "swapping"
    parts = [part for part in swapping.iterdir() if _read_manifest(part)]
    if parts:  # else all is done but to remove the folder
        old, new = _read_manifest(folder), _read_manifest(parts[0])
        for name in os.listdir(folder) if old else ():
            if _is_one_of(name, old["images"]) and not _is_one_of(name, new["images"]):
                (folder / name).unlink()
        # Before the images: names in it that do not exist yet do no harm.
        files.write_text(folder / MANIFEST, (parts[0] / MANIFEST).read_text(encoding="utf-8"))
        for path in itertools.chain.from_iterable(part.iterdir() for part in parts):
            if path.name != MANIFEST:
                os.replace(path, folder / path.name)
    for path in folder.glob(f"{WORKING}/complete-of-*"):  # parts of older sets
        path.rename(swapping / path.name)
    shutil.rmtree(swapping)
