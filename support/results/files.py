"""Files and folders that appear whole or not at all, and the lock of a folder."""

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

WORKING = ".wgan_handwritten_digits"  # the folder inside --images-dir where support/image_folder.py prepares images
LOCKED = 1 << 20  # bytes of the lock that shards divide; the next one is for `alone`
_locks = {}  # open locks by folder: if a process closes any file of that path, POSIX drops all of its locks on it


class FolderError(InputError):
    """A folder cannot be used."""


@contextlib.contextmanager
def write_whole(path):
    """Yields a temporary path beside `path`, with its suffix; when the block ends well, that file becomes `path`.

    The bytes are on the disk before the name is: a reader, a crash or a full disk never meets half a file.
    """
    path = Path(path)
    # Not the process's number: containers that share a disk have equal ones. The checksum proves that we made the file.
    token = secrets.token_hex(8)
    temporary = path.with_name(f".{token}{zlib.crc32(token.encode()):08x}.partial{path.suffix}")
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


def check_folder(folder):
    """Raises FolderError if no file can be written to `folder`, which need not exist yet. Changes nothing.

    Returns the folder itself or, if it does not exist, the nearest one above it that does.
    """
    existing = folder = Path(folder)
    if WORKING in Path(os.path.realpath(folder)).parts:
        raise FolderError(f"{folder}: {WORKING} is for this program's own files; choose another folder")
    try:
        while not os.path.lexists(existing) and existing != existing.parent:
            existing = existing.parent
        for name in (*folder.relative_to(existing).parts, folder / ("x" * 100)):  # is one too long?
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
    """Makes `folder` if it does not exist and holds it for this process alone. Raises FolderError.

    shard: (I, N), one of N processes that write there at the same time. The operating system releases the lock when
    the process ends, however it ends. Inside such a block for the same folder this one does nothing.
    """
    folder = Path(folder)
    if os.path.realpath(folder) in _locks:
        yield folder
        return
    make_folder(folder)  # an earlier run's lock opens even if no file can be made
    with _open_lock(folder) as lock:
        try:
            _change_lock(lock, part_of(LOCKED, shard))
        except (BlockingIOError, PermissionError):
            raise FolderError(
                f"{folder}: another run is writing there; wait for its end or choose another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        _locks[os.path.realpath(folder)] = lock
        try:
            if not shard:
                _remove_leftovers(folder)
            yield folder
        finally:
            del _locks[os.path.realpath(folder)]


@contextlib.contextmanager
def alone(folder):
    """Waits until no other shard is in such a block for `folder`, which own_folder holds."""
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
    """Locks or releases these bytes of an open file, which need not be there. Raises OSError at once if it cannot."""
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
    except OSError as error:  # another user's, perhaps
        raise FolderError(f"{folder / '.lock'}: {error.strerror}; choose another folder") from None


def _remove_leftovers(folder):
    """Removes what write_whole leaves where a run writes in `folder`, when its process is killed."""
    for place in ("", "training", "training/samples", "training/checkpoints"):
        for path in (folder / place).glob(".*.partial*"):
            name = re.match(r"\.([0-9a-f]{16})([0-9a-f]{8})\.partial", path.name)
            if name and zlib.crc32(name[1].encode()) == int(name[2], 16) and kind(path, follow_links=False) == "file":
                path.unlink(missing_ok=True)


def part_of(total, shard=None):
    """The numbers of the images, of `total`, that the shard (I, N) writes, a range; without one all of them."""
    part, parts = shard or (1, 1)
    return range(total * (part - 1) // parts, total * part // parts)
