"""The images to evaluate, and their labels: a folder of images, an array, or what a generator draws."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from support.command_line.progress import watch
from support.datasets.image_files import list_images, read_folder_labels, read_images
from support.datasets.loading import read_image_array
from support.errors import InputError
from support.results.image_folder import image_name, manifest_of

FEWEST = 128  # images that can train a classifier: one batch
NEEDED = "give a generator, or images that one has written, of --recipe cwgan, or an .npz file with y_train"


@dataclass(frozen=True)
class Source:
    """The images at `path`, a folder, an .npz file or a .keras file."""

    path: Path
    names: list  # the images' file names; for an array and for a generator, those that copies get
    images: np.ndarray  # uint8 [n, 28, 28], 0 to 255
    origin: str | None = None  # which generator drew the images, in words, if that is known
    labels: np.ndarray | None = None  # int64 [n], 0 to 9; None: the images have no labels, or others
    chosen: bool = False  # the classifier chose the images by these labels, so it will confirm nearly all


def read_source(path, open_generator, for_training=False):
    """The Source at `path`. Raises InputError.

    open_generator: a function from the path of a generator to labels, int64 [n] or None, and a function that draws the
    images, uint8 [n, 28, 28]. for_training: a source that cannot train a classifier is refused before images are drawn
    or read.
    """
    if path.is_dir():
        names = list_images(path)
        labels = _digits(path, read_folder_labels(path, names), for_training)
        images = read_images(path, names, partial(watch, words="reading images"))
        manifest = manifest_of(path, names) or {}
        return Source(path, names, images, _origin(manifest), labels, manifest.get("labels_by") == "classifier")
    if path.suffix == ".npz":
        images, labels = read_image_array(path)
        labels = _digits(path, labels, for_training)
    else:
        labels, draw = open_generator(path)
        labels = _digits(path, labels, for_training)
        images = draw()
    return Source(path, [image_name(number, len(images)) for number in range(len(images))], images, None, labels)


def _digits(path, labels, for_training):
    """`labels`, int64 [n], if all of them are digits; otherwise None. Raises InputError if they cannot train."""
    usable = labels is not None and labels.min() >= 0 and labels.max() <= 9
    if for_training and not usable:
        found = "it has none" if labels is None else f"its labels are {labels.min()} to {labels.max()}"
        raise InputError(f"{path}: --gan-train needs a label from 0 to 9 for each image, but {found}; {NEEDED}")
    if for_training and len(labels) < FEWEST:
        raise InputError(f"{path}: --gan-train needs {FEWEST} images or more, but there are {len(labels)}")
    return labels if usable else None


def _origin(manifest):
    """Which generator drew the images with this manifest, a dictionary, in words; None if it does not say."""
    model, seed, checksum = (manifest.get(key) for key in ("model", "seed", "sha256"))
    if not isinstance(model, str):
        return None
    words = model[:200] + (f", seed {seed}" if type(seed) is int else "")
    return f"drawn by {words}" + (f", sha256 {checksum[:8]}" if isinstance(checksum, str) else "")
