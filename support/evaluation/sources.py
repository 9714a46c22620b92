"""The images to evaluate, and their labels: files with images, or what a generator draws."""

import math
from dataclasses import dataclass
from pathlib import Path

from support import device
from support.console import say, watch
from support.data import load_dataset
from support.drawing import BLOCK, draw_digits
from support.errors import InputError
from support.evaluation.definitions import BATCH
from support.labels import DIGITS, labels_of
from support.lazy import np
from support.models import load_generator
from support.outputs.digit_images import find_record


@dataclass(frozen=True)
class Source:
    """The images at `path`: a folder, a file with images, or a .keras file."""

    path: Path
    images: object  # uint8 [n, 28, 28], 0 to 255
    labels: object  # int64 [n], 0 to 9; None: the images have no labels, or others
    names: list | None = None  # of their files, relative to `path`; None: they are in an array, or drawn
    origin: str | None = None  # which generator drew the images, in words, if that is known


def read_source(options):
    """The Source at options.source. Raises InputError."""
    path = options.source
    if path.suffix == ".keras":
        return _draw(path, options)
    found = load_dataset(path)
    if found.prepared:
        say(found.prepared)
    labels = _digits(path, found.train_labels, options.gan_train)
    if not found.file_names:
        return Source(path, found.train_images, labels)
    record = find_record(path, found.file_names)
    model, seed, checksum = (str(record.get(key))[:200] for key in ("model", "seed", "sha256"))
    origin = f"drawn by {model}, seed {seed}, sha256 {checksum[:8]}" if record else None
    return Source(path, found.train_images, labels, found.file_names, origin)


def _draw(path, options):
    """The Source of a generator. Without labels, `generate` writes the same images.

    A generator of the ten digits is asked for the labels of the training images: in MNIST the digits are not equally
    frequent, and the figures compare the shares, too.
    """
    device.import_tensorflow(options.device)
    generator, count = load_generator(path), options.images
    kinds = labels_of(generator)
    labels = np.resize(load_dataset().train_labels if kinds == DIGITS else kinds, count) if kinds else None
    usable = _digits(path, labels, options.gan_train)
    parts = draw_digits(generator, count, options.seed, digits=None if labels is None else labels.tolist())
    images = np.concatenate(list(watch(parts, f"drawing {count:,} images", total=math.ceil(count / BLOCK))))
    if images.min() > 100:
        raise InputError(f"{path}: its images have no black; a generator draws black as -1 and white as 1 (tanh)")
    return Source(path, images, usable)


def _digits(path, labels, for_training):
    """`labels`, int64 [n], if all of them are digits; otherwise None. Raises InputError if they cannot train."""
    usable = labels is not None and labels.min() >= 0 and labels.max() <= 9
    if for_training and not usable:
        found = "it has none" if labels is None else f"its labels are {labels.min()} to {labels.max()}"
        needed = "give images with labels, or a generator of --recipe cwgan"
        raise InputError(f"{path}: --gan-train needs a label from 0 to 9 for each image, but {found}; {needed}")
    if for_training and len(labels) < BATCH:
        raise InputError(f"{path}: --gan-train needs {BATCH} images or more, but there are {len(labels)}")
    return labels if usable else None
