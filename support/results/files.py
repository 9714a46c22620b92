"""Files that appear whole or not at all, and locks on folders."""

import contextlib
import os
import re
import secrets
import tempfile
import time
import zlib
from pathlib import Path

from support.errors import InputError
from support.paths import ABSENT, kind

WORKING = ".wgan_handwritten_digits"  # the folder inside --images-dir where image_folder.py prepares images
LOCKED = 1 << 20  # bytes of the lock file that shards divide; `alone` uses the next byte
_locks = {}  # open locks by folder: if a process closes any file of that path, POSIX drops all of its locks on it


class FolderError(InputError):
    """A folder cannot be used."""


@contextlib.contextmanager
def write_whole(path):
    """Yields a temporary path beside `path`, with the same suffix. If the block succeeds, that file becomes `path`.

    The bytes are on disk before the file gets its name: neither a crash nor a full disk leaves half a file there.
    """
    path = Path(path)
    # Not the process ID: containers that share a disk may have the same one. The checksum proves that the file is ours.
    token = secrets.token_hex(8)
    temporary = path.with_name(f".{token}{zlib.crc32(token.encode()):08x}.partial{path.suffix}")
    try:
        with naming(path):
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # an error here must not hide that of the block
            temporary.unlink()


@contextlib.contextmanager
def naming(path):
    """A block whose OSError names `path` if it names no file. The error of a full disk names none."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def flush(path):
    """Returns when the bytes of the file `path` are on disk. Some file systems report a full disk only then."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_text(path, text):
    """Writes `text` to `path` in UTF-8, whole or not at all."""
    with write_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def check_folder(folder):
    """Returns `folder` or, if it does not exist, the nearest parent that does. Changes nothing.

    Raises FolderError if no file can be written to it.
    """
    existing = folder = Path(folder)
    if WORKING in Path(os.path.realpath(folder)).parts:
        raise FolderError(f"{folder}: {WORKING} is reserved for this program's own files; choose another folder")
    try:
        while not os.path.lexists(existing) and existing != existing.parent:
            existing = existing.parent
        for name in (*folder.relative_to(existing).parts, folder / ("x" * 100)):  # fails if a name is too long
            with contextlib.suppress(FileNotFoundError):
                os.lstat(existing / name)
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        raise FolderError(f"{folder}: cannot be written to ({error.strerror}); choose another folder") from None
    if kind(folder / ".lock", follow_links=False) not in ("file", ABSENT):
        raise FolderError(f"{folder / '.lock'}: is not a regular file; move it, or choose another folder")
    return existing


def make_folder(folder):
    """Makes `folder` if it does not exist. Raises FolderError if no file can be written to it."""
    check_folder(folder)
    Path(folder).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def own_folder(folder, shard=None):
    """A block in which this process alone writes to `folder`, which is made if needed. Raises FolderError.

    shard: (I, N), if N processes may write there at the same time. The operating system releases the lock when the
    process ends in any way. A nested block for the same folder does nothing.
    """
    folder = Path(folder)
    if os.path.realpath(folder) in _locks:
        yield
        return
    make_folder(folder)  # checks the folder: an existing lock file opens even if no new file can be made
    with _open_lock(folder) as lock:
        try:
            _change_lock(lock, part_of(LOCKED, shard))
        except (BlockingIOError, PermissionError):
            raise FolderError(
                f"{folder}: another run is writing there; wait until it ends or choose another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        _locks[os.path.realpath(folder)] = lock
        try:
            if not shard:
                _remove_leftovers(folder)
            yield
        finally:
            del _locks[os.path.realpath(folder)]


@contextlib.contextmanager
def alone(folder):
    """A block that only one shard at a time can be in, for a `folder` inside own_folder. Waits for its turn."""
    lock, held, byte = _locks.get(os.path.realpath(folder)), False, range(LOCKED, LOCKED + 1)
    while lock and not held:
        try:
            _change_lock(lock, byte)
            held = True
        except (BlockingIOError, PermissionError):
            time.sleep(0.05)
        except OSError:
            break
    try:
        yield
    finally:
        if held:
            _change_lock(lock, byte, hold=False)


def _change_lock(file, region, hold=True):
    """Locks or releases a range of bytes of an open file, which may be shorter. Raises OSError at once on failure."""
    if os.name == "nt":
        import msvcrt

        file.seek(region.start)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK if hold else msvcrt.LK_UNLCK, len(region))
    else:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB if hold else fcntl.LOCK_UN, len(region), region.start)


def _open_lock(folder):
    try:
        return open(folder / ".lock", "a+b")
    except OSError as error:  # perhaps another user's file
        raise FolderError(f"{folder / '.lock'}: {error.strerror}; choose another folder") from None


def _remove_leftovers(folder):
    """Removes the temporary files that write_whole left in `folder` when a process was killed."""
    for place in ("", "previous", "training", "training/samples", "training/checkpoints"):
        for path in (folder / place).glob(".*.partial*"):
            name = re.match(r"\.([0-9a-f]{16})([0-9a-f]{8})\.partial", path.name)
            if name and zlib.crc32(name[1].encode()) == int(name[2], 16) and kind(path, follow_links=False) == "file":
                path.unlink(missing_ok=True)


def part_of(total, shard=None):
    """The range of image numbers, of `total`, that the shard (I, N) writes; without a shard all of them."""
    part, parts = shard or (1, 1)
    return range(total * (part - 1) // parts, total * part // parts)
