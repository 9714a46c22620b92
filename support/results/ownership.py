"""Which files this program wrote: each contains a mark. Any other file belongs to the user and stays."""

import os
from pathlib import Path

from support.paths import kind
from support.results.files import FolderError

NAME = "wgan_handwritten_digits"  # in the metadata of pictures, in the comment of a .keras file
SIGNS = {suffix: [NAME.encode()] for suffix in (".png", ".gif", ".keras")}
SIGNS |= {".npz": [b"record.npy", NAME.encode()]}  # a checkpoint; digits
SIGNS |= {".csv": [b"epoch,step,", b",digit,confidence\n"], ".json": [b'{\n  "about": {']}
SIGNS |= {".html": [f'<meta name="generator" content="{NAME}">'.encode()]}


def is_ours(path, run_id=""):
    """True if `path` is a file that this program wrote, whole or damaged. False for a link, a folder or a FIFO.

    run_id: for models, True only if the run with this identifier wrote it.
    """
    try:
        if kind(path, follow_links=False) != "file":
            return False
        with open(path, "rb") as file:
            ends = file.read(4096)
            file.seek(max(os.path.getsize(path) - 128, 0))
            ends += file.read(128)
    except OSError:
        return False
    return any(sign in ends for sign in SIGNS[Path(path).suffix.lower()]) and run_id.encode() in ends


def refuse_others(files, folders, option="--models-dir"):
    """Raises FolderError if one of `files` is not ours, or one of `folders` is not a writable folder.

    Each of them may be missing. A folder may be a link to one. option: what the error advises to change.
    """
    advice = f"move it, or choose another {option}"
    for folder in folders:
        if os.path.lexists(folder) and not (os.path.isdir(folder) and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
            raise FolderError(f"{folder}: is not a folder that can be written to; {advice}")
    for path in files:
        if os.path.lexists(path) and not is_ours(path):
            raise FolderError(f"{path}: was not written by this version of the program; {advice}")
