"""The images to evaluate: a folder of images, an array, or what a generator draws."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from support.command_line.progress import watch
from support.datasets.image_files import read_image_folder
from support.datasets.loading import read_image_array
from support.results.image_folder import image_name, manifest_of


@dataclass(frozen=True)
class Source:
    """The images at `path`, a folder, an .npz file or a .keras file."""

    path: Path
    names: list  # the images' file names; for an array and for a generator, those that copies get
    images: np.ndarray  # uint8 [n, 28, 28], 0 to 255
    origin: str | None = None  # which generator drew the images, in words, if that is known


def read_source(path, draw):
    """The Source at `path`. draw: a function from the path of a generator to uint8 [n, 28, 28]. Raises InputError."""
    if path.is_dir():
        names, images = read_image_folder(path, partial(watch, words="reading images"))
        return Source(path, names, images, _origin(manifest_of(path, names)))
    images = read_image_array(path) if path.suffix == ".npz" else draw(path)
    return Source(path, [image_name(number, len(images)) for number in range(len(images))], images)


def _origin(manifest):
    """Which generator drew the images with this manifest, in words; None if it does not say."""
    model, seed, checksum = ((manifest or {}).get(key) for key in ("model", "seed", "sha256"))
    if not isinstance(model, str):
        return None
    words = model[:200] + (f", seed {seed}" if type(seed) is int else "")
    return f"drawn by {words}" + (f", sha256 {checksum[:8]}" if isinstance(checksum, str) else "")
