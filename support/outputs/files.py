"""Files that appear whole or not at all, and readers of small files that may be damaged."""

import contextlib
import hashlib
import json
import os
import stat
from pathlib import Path

from support.errors import InputError

ABSENT = "no such file or folder"
MIB = 2**20


# ----------------------------------------------------------------------------------------------------- one file
@contextlib.contextmanager
def write_whole(path):
    """Yields a temporary path beside `path`, with the same suffix. If the block succeeds, that file becomes `path`.

    The bytes are on disk before the file gets its name: neither a crash nor a full disk leaves half a file there.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        with naming(path):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())  # some file systems report a full disk only here
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


def write_text(path, text):
    """Writes `text` to `path` in UTF-8, whole or not at all."""
    with write_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path, content):
    """Writes `content` to `path` as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def check_new_file(path, option):
    """Raises InputError if the path given to `option` cannot become a new file. Changes nothing."""
    path = Path(path)
    if kind(path.parent) != "folder" or not os.access(path.parent, os.W_OK):
        raise InputError(f"{option} {path}: there is no folder {path.parent} that can be written to; create it first")
    if os.path.lexists(path):
        raise InputError(f"{option} {path}: exists already; remove it, or choose another name")


def read_json(path):
    """The dictionary in the JSON file `path`, of at most 1 MiB; None for anything else."""
    try:
        if kind(path) != "file" or os.path.getsize(path) > MIB:
            return None
        found = json.loads(Path(path).read_bytes())  # also UTF-16, which Windows PowerShell writes
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def checksum(path):
    """The SHA-256 of the file `path`, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def kind(path):
    """Returns "file", "folder", ABSENT, or words for anything else. Follows links.

    Call it before opening a path: opening a FIFO waits for a writer, and reading a device may never end.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except (OSError, ValueError) as error:  # a circular link, a name that is too long or contains a zero byte
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "a device, FIFO or socket"
