"""Files and folders that appear whole or not at all, and the lock that keeps two runs apart."""

import contextlib
import os
import re
import secrets
import tempfile
from pathlib import Path

from support.errors import InputError


class FolderError(InputError):
    """A folder cannot be used."""


@contextlib.contextmanager
def write_whole(path):
    """Yields a temporary path beside `path`, with its suffix; when the block ends well, that file becomes `path`.

    The bytes are on the disk before the name is: a reader, a crash or a full disk never meets half a file.
    """
    path = Path(path)
    # Not the process's number, which is no one's own among containers that share a disk.
    temporary = path.with_name(f".{path.stem}.{secrets.randbits(64)}.partial{path.suffix}")
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
def own_folder(folder, shard=None):
    """Makes `folder` where it is missing and holds it for this process alone. Raises FolderError.

    shard: (I, N), one of N processes that write there at the same time. The operating system lets go of the lock when
    the process ends, however it ends.
    """
    folder = Path(folder)
    make_folder(folder)  # an earlier run's lock opens even where no file can be made
    region = part_of(1 << 20, shard)  # of the lock's bytes, which need not be there; shards do not overlap
    with _open_lock(folder) as lock:
        try:
            if os.name == "nt":
                import msvcrt

                lock.seek(region.start)
                msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, len(region))
            else:
                import fcntl

                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, len(region), region.start)
        except (BlockingIOError, PermissionError):
            raise FolderError(
                f"{folder}: another run is writing there; wait for its end or choose another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        if not shard:
            _remove_leftovers(folder)
        yield folder


def _open_lock(folder):
    try:
        return open(folder / ".lock", "a+b")
    except OSError as error:  # another user's, perhaps
        raise FolderError(f"{folder / '.lock'}: {error.strerror}; choose another folder") from None


def _remove_leftovers(folder):
    """Removes what write_whole leaves where a run writes in `folder`, when its process is killed."""
    for place in ("", "training", "training/samples", "training/checkpoints"):
        for path in (folder / place).glob(".*.partial.*"):
            if re.fullmatch(r"\.\.?\w+\.\d+\.partial\.\w+", path.name):
                path.unlink(missing_ok=True)


def part_of(total, shard=None):
    """The numbers of the images, of `total`, that the shard (I, N) writes, a range; without one all of them."""
    part, parts = shard or (1, 1)
    return range(total * (part - 1) // parts, total * part // parts)
