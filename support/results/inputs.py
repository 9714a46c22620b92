"""What a user's path leads to, and zip files that claim to hold more than they do. Standard library only."""

import os
import stat

ABSENT = "no such file or folder"


def kind(path):
    """Returns "file", "folder", ABSENT, or in words why the path is none of these.

    It is asked before a path is opened: a FIFO would wait for a writer, a device may never end.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except (OSError, ValueError) as error:  # a circular link, a name that is too long or that no path can have
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "a device, FIFO or socket"


def check_sizes(archive, packed):
    """Raises ValueError if the members of a zip file of `packed` bytes are unreasonably large.

    Models and arrays of digits shrink by less than a factor of ten.
    """
    size = sum(member.file_size for member in archive.infolist())
    if size > 10 * 2**20 + 20 * packed:
        raise ValueError(f"its {packed:,} bytes claim to hold {size:,}")


def read_member(archive, name, most):
    """The bytes of one member of a zip file. Raises ValueError if there are more than `most`."""
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"{name} has {size:,} bytes, more than {most:,}")
    return archive.read(name)  # no more than that size, whatever the packed bytes hold
