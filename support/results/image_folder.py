"""A folder of images that changes from one set of them to the next at one stroke.

The new ones are written to .partial inside it; its renaming to .complete is the moment at which they replace the old
ones, and what is left of the move after a crash is done by the next run. So the images are never half of one model and
half of another for longer than the move takes, and the folder itself, which may be a mount point or hold files of
others, stays where it is. A shard, one of several processes that each write a part of the images, does the same under
names with a suffix, and the one that ends last makes one manifest of all of theirs.
"""

import collections
import contextlib
import itertools
import json
import os
import re
import shutil
from pathlib import Path

from support.results.files import FolderError, naming, part_of, write_text

MANIFEST = ".digits.json"


def _own_name(name, shard):
    """`name` as the shard (I, N) writes it, with a suffix before the extension; as it is without one."""
    stem, extension = os.path.splitext(name)
    return f"{stem}-{shard[0]}-of-{shard[1]}{extension}" if shard else name


def image_name(number, total):
    """The file name of image `number` of `total`; all names of a folder have the same length, so they sort."""
    return f"digit_{number:0{max(5, len(str(total - 1)))}d}.png"


def _own_paths(folder, name):
    """The paths in `folder` of that name, and of that name as any shard writes it."""
    stem, extension = os.path.splitext(name)
    pattern = re.compile(re.escape(stem) + r"(-\d+-of-\d+)?" + re.escape(extension))
    return [path for path in Path(folder).glob(f"{stem}*{extension}") if pattern.fullmatch(path.name)]


def _manifests(folder):
    """The manifests of the images in `folder` as dictionaries, by their paths; those that cannot be read left out."""
    found = {}
    for path in _own_paths(folder, MANIFEST):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads(path.read_text(encoding="utf-8"))
            found[path] = manifest | {"images": int(manifest["images"]), "shard": manifest.get("shard")}
    return found


def _written(manifests):
    """The images that such manifests tell of: their numbers by their names."""
    return {
        image_name(number, manifest["images"]): number
        for manifest in manifests
        for number in part_of(manifest["images"], manifest["shard"])
    }


def check(folder, total, shard=None):
    """Raises FolderError if the images do not fit on the disk or would replace a file that no run of ours wrote."""
    folder, numbers = Path(folder), part_of(total, shard)
    for path in [folder / _own_name(".partial", shard)] if shard else _own_paths(folder, ".partial"):
        shutil.rmtree(path, ignore_errors=True)  # of a run that was killed, perhaps most of the space
    needed = len(numbers) * 4096  # a small file takes a whole block
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FolderError(
            f"{folder}: {len(numbers)} images need {needed >> 20} MiB, the disk has {free >> 20} MiB left"
        )
    finish(folder)
    ours = _written(_manifests(folder).values())
    for number in numbers if any(folder.glob("digit_*.png")) else ():
        name = image_name(number, total)
        if name not in ours and (folder / name).exists():
            raise FolderError(
                f"{folder / name}: was not written by this program; move it, or choose another --images-dir"
            )


def fill(folder, batches, total, about, shard=None):
    """Writes PNG files to `folder`, `total` or the shard's part of them, from `batches` of encoded images (bytes).

    They stand beside what is there until finish lets them take the place of what an earlier run wrote. `about`
    is a dictionary that is kept in the folder's manifest: how the images came to be.
    """
    partial = Path(folder, _own_name(".partial", shard))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    about = {"images": total, **({"shard": shard} if shard else {}), **about}
    try:
        for number, png in zip(part_of(total, shard), itertools.chain.from_iterable(batches), strict=True):
            name = image_name(number, total)
            with naming(Path(folder, name)), open(partial / name, "wb") as file:
                file.write(png)
        write_text(partial / _own_name(MANIFEST, shard), json.dumps(about, indent=2) + "\n")
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    os.rename(partial, Path(folder, _own_name(".complete", shard)))


def finish(folder):
    """Moves complete sets of new images into place, where there are any, and removes the old ones that they replace."""
    for complete in _own_paths(folder, ".complete"):
        # Another shard may be about to do the same, so nothing needs to be there any more.
        with contextlib.suppress(FileNotFoundError):
            _move_images(complete, Path(folder))


def _move_images(complete, folder):
    """Moves the images in the folder `complete` to `folder`."""
    for path, new in _manifests(complete).items():
        numbers, shard, names = part_of(new["images"], new["shard"]), new["shard"], _written([new])
        old = _manifests(folder)
        others = [manifest for place, manifest in old.items() if place != folder / path.name]
        # Of the images that the others do not tell of the new manifest takes the only record.
        stale = _written(old.values()).keys() - _written(others).keys()
        for name, number in _written(old.values()).items():
            replaced = number in numbers or (number >= numbers.stop and (not shard or shard[0] == shard[1]))
            if (replaced or name in stale) and name not in names:
                (folder / name).unlink(missing_ok=True)
        # The manifest first: names that it holds and that are not there yet do no harm, images that it lacks would.
        os.replace(path, folder / path.name)
        if not shard:
            _remove_manifests_of_shards(folder)
    for path in complete.iterdir():
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, folder / path.name)
    _join_manifests(folder)
    complete.rmdir()


def _join_manifests(folder):
    """Where all shards of a set of images have written theirs, makes one manifest of them, as one process writes it."""
    found = collections.Counter()
    for manifest in _manifests(folder).values():
        if shard := manifest.pop("shard"):
            found[json.dumps(manifest, indent=2), shard[1]] += 1
    for (text, parts), count in found.items():
        if count == parts:
            write_text(folder / MANIFEST, text + "\n")
            _remove_manifests_of_shards(folder)


def _remove_manifests_of_shards(folder):
    for path in _own_paths(folder, MANIFEST):
        if path.name != MANIFEST:
            path.unlink(missing_ok=True)
