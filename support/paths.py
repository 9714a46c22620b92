"""What kind of thing a path is, and readers of small files that may be damaged or hostile. Standard library only."""

import hashlib
import json
import os
import stat
from pathlib import Path

ABSENT = "no such file or folder"


def kind(path, follow_links=True):
    """Returns "file", "folder", ABSENT, or words for anything else.

    Call it before opening a path: opening a FIFO waits for a writer, and reading a device may never end.
    follow_links: True looks at the target of a symbolic link instead of the link.
    """
    try:
        mode = os.stat(path, follow_symlinks=follow_links).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except (OSError, ValueError) as error:  # a circular link, a name that is too long or contains a zero byte
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "a symbolic link" if stat.S_ISLNK(mode) else "a device, FIFO or socket"


def read_json(path):
    """The dictionary in the JSON file `path`, of at most 1 MiB; None for anything else."""
    try:
        if kind(path, follow_links=False) != "file" or os.path.getsize(path) > 2**20:
            return None
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def checksum(path):
    """The SHA-256 of the file `path`, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def check_sizes(archive, packed):
    """Raises ValueError if the members of a zip file of `packed` bytes are unreasonably large.

    Compression makes models and arrays of digits less than ten times smaller.
    """
    size = sum(member.file_size for member in archive.infolist())
    if size > 10 * 2**20 + 20 * packed:
        raise ValueError(f"its {packed:,} bytes claim to hold {size:,}")


def read_member(archive, name, most):
    """The bytes of one member of a zip file. Raises ValueError if there are more than `most`."""
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"{name} has {size:,} bytes, more than {most:,}")
    return archive.read(name)  # never more than `size`, whatever the compressed bytes contain
