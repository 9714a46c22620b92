"""Files and folders that appear whole or not at all, and the lock that keeps two runs apart."""

import contextlib
import itertools
import json
import os
import re
import shutil
import tempfile
from pathlib import Path


class FolderError(Exception):
    """A folder cannot be used; the message is the one line that a user sees."""


@contextlib.contextmanager
def write_whole(path):
    """Yields a temporary path beside `path`, with its suffix; when the block ends well, that file becomes `path`.

    The bytes are on the disk before the name is: a reader, a crash or a full disk never meets half a file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        with naming(path):
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # it must not hide why the block failed
            temporary.unlink()


@contextlib.contextmanager
def naming(path):
    """Gives an OSError of the block the path that was to be written: a full disk's has none."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def flush(path):
    """Returns when the bytes of the file `path` are on the disk; some disks tell only then that they are full."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_text(path, text):
    """Writes `text` to `path` in UTF-8, whole or not at all."""
    with write_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def make_folder(folder):
    """Makes `folder` where it is missing. Raises FolderError where no file can be made in it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise FolderError(f"{folder}: cannot be written to ({error.strerror}); choose another folder") from None


@contextlib.contextmanager
def own_folder(folder):
    """Makes `folder` where it is missing and holds it for this process alone. Raises FolderError.

    The operating system lets go of the lock when the process ends, however it ends.
    """
    folder = Path(folder)
    make_folder(folder)  # an earlier run's lock opens even where no file can be made
    lock = open(folder / ".lock", "a+b")  # noqa: SIM115 (held until the end of the block)
    with lock:
        try:
            if os.name == "nt":
                import msvcrt

                lock.seek(0)
                msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise FolderError(
                f"{folder}: another run is writing there; wait for its end or choose another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        _remove_leftovers(folder)
        yield folder


def _remove_leftovers(folder):
    """Removes what write_whole leaves where a run writes in `folder`, when its process is killed."""
    for place in ("", "training", "training/samples", "training/checkpoints"):
        for path in (folder / place).glob(".*.partial.*"):
            if re.fullmatch(r"\.\w+\.\d+\.partial\.\w+", path.name):
                path.unlink(missing_ok=True)


# A folder of images. The new ones are written to .partial inside it; its renaming to .complete is the moment at which
# they replace the old ones, and what is left of the move after a crash is done by the next run. So the images are never
# half of one model and half of another for longer than the move takes, and the folder itself, which may be a mount
# point or hold files of others, stays where it is.
MANIFEST = ".digits.json"


def image_name(number, total):
    """The file name of image `number` of `total`; all names of a folder have the same length, so they sort."""
    return f"digit_{number:0{max(5, len(str(total - 1)))}d}.png"


def _written_before(folder):
    """The names of the images that an earlier run left in `folder`, from its manifest."""
    try:
        total = int(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["images"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {image_name(number, total) for number in range(total)}


def check_image_folder(folder, total):
    """Raises FolderError if `total` images do not fit on the disk or would replace a file that no run of ours wrote."""
    folder = Path(folder)
    shutil.rmtree(folder / ".partial", ignore_errors=True)  # of a run that was killed, perhaps most of the space
    needed = total * 4096  # a small file takes a whole block
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FolderError(f"{folder}: {total} images need {needed >> 20} MiB, the disk has {free >> 20} MiB left")
    finish_images(folder)
    ours = _written_before(folder)
    for number in range(total) if any(folder.glob("digit_*.png")) else ():
        name = image_name(number, total)
        if name not in ours and (folder / name).exists():
            raise FolderError(
                f"{folder / name}: was not written by this program; move it, or choose another --images-dir"
            )


def fill_images(folder, batches, total, about):
    """Writes `total` PNG files to `folder`, from `batches` of encoded images (bytes), beside what is there.

    finish_images lets them take the place of what an earlier run wrote. `about` is a dictionary that is kept in the
    folder's manifest: how the images came to be.
    """
    partial = Path(folder, ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        for number, png in enumerate(itertools.chain.from_iterable(batches)):
            name = image_name(number, total)
            with naming(Path(folder, name)), open(partial / name, "wb") as file:
                file.write(png)
        write_text(partial / MANIFEST, json.dumps({"images": total, **about}, indent=2) + "\n")
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    os.rename(partial, Path(folder, ".complete"))


def finish_images(folder):
    """Moves a complete set of new images into place, if there is one, and removes the old ones that it replaces."""
    folder = Path(folder)
    complete = folder / ".complete"
    if not complete.is_dir():
        return
    if (complete / MANIFEST).exists():
        new = _written_before(complete)
        for name in _written_before(folder) - new:
            (folder / name).unlink(missing_ok=True)
        # The manifest first: names that it holds and that are not there yet do no harm, images that it lacks would.
        os.replace(complete / MANIFEST, folder / MANIFEST)
    for path in complete.iterdir():
        os.replace(path, folder / path.name)
    complete.rmdir()
