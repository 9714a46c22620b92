"""The images to evaluate, and their labels: files with images, or what a generator draws."""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

from support.console import say, watch
from support.data import load_dataset, read_images
from support.drawing import BLOCK, draw_digits
from support.errors import InputError
from support.evaluation.definitions import BATCH
from support.labels import DIGITS, labels_of
from support.lazy import np
from support.models import ModelError, load_generator
from support.outputs.digit_images import find_record, image_name

NEEDED = "give a generator, or images that one has written, of --recipe cwgan, or images with labels"


@dataclass(frozen=True)
class Source:
    """The images at `path`: a folder, a file with images, or a .keras file."""

    path: Path
    names: list  # the images' file names; for an array and for a generator, those that copies get
    images: object  # uint8 [n, 28, 28], 0 to 255
    origin: str | None = None  # which generator drew the images, in words, if that is known
    labels: object = None  # int64 [n], 0 to 9; None: the images have no labels, or others
    chosen: bool = False  # the classifier chose the images by these labels, so it will confirm nearly all


def read_source(path, count=None, seed=0, for_training=False):
    """The Source at `path`. Raises InputError.

    count, seed: of the images that a generator draws. for_training: a source that cannot train a classifier is refused.
    """
    if path.suffix == ".keras":
        labels, draw = _open_generator(path, count, seed)
        labels = _digits(path, labels, for_training)
        return Source(path, _names(count), draw(), None, labels)
    found = read_images(path)
    if found.prepared:
        say(found.prepared)
    labels = _digits(path, found.labels, for_training)
    if path.is_dir():
        record = find_record(path, found.names)
        chosen = record.get("labels_by") == "classifier"
        return Source(path, found.names, found.images, _origin(record), labels, chosen)
    return Source(path, _names(len(found.images)), found.images, None, labels, _are_chosen(path))


def _names(count):
    """File names for `count` images that have none."""
    return [image_name(number, count) for number in range(count)]


def _are_chosen(path):
    """True if the file is an array of this program's in which the classifier chose the digits."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return "chosen_by_classifier.npy" in file.namelist()


def _open_generator(path, count, seed):
    """The images that the generator in a .keras file draws for this seed, before they are drawn.

    Returns their labels, int64 [count], None if the generator has none; and a function that draws the images, uint8
    [count, 28, 28]. Without labels, `generate` writes the same images. A generator of the ten digits is asked for those
    of the training images: in MNIST they are not equally frequent, and the figures compare the shares, too.
    """

    def draw():
        images, done = np.empty((count, 28, 28), np.uint8), 0  # a list of the parts would need twice the memory
        parts = draw_digits(generator, count, seed, digits=None if labels is None else labels.tolist())
        for part in watch(parts, f"drawing {count:,} images", total=math.ceil(count / BLOCK)):
            images[done : done + len(part)] = part
            done += len(part)
        if images.min() > 100:
            raise ModelError(f"{path}: its images have no black; a generator draws black as -1 and white as 1 (tanh)")
        return images

    generator = load_generator(path)
    kinds = labels_of(generator)
    labels = np.resize(load_dataset().train_labels if kinds == DIGITS else kinds, count) if kinds else None
    return labels, draw


def _digits(path, labels, for_training):
    """`labels`, int64 [n], if all of them are digits; otherwise None. Raises InputError if they cannot train."""
    usable = labels is not None and labels.min() >= 0 and labels.max() <= 9
    if for_training and not usable:
        found = "it has none" if labels is None else f"its labels are {labels.min()} to {labels.max()}"
        raise InputError(f"{path}: --gan-train needs a label from 0 to 9 for each image, but {found}; {NEEDED}")
    if for_training and len(labels) < BATCH:
        raise InputError(f"{path}: --gan-train needs {BATCH} images or more, but there are {len(labels)}")
    return labels if usable else None


def _origin(record):
    """Which generator drew the images of a record, in words; None if it does not say."""
    model, seed, checksum = (record.get(key) for key in ("model", "seed", "sha256"))
    if not isinstance(model, str):
        return None
    words = model[:200] + (f", seed {seed}" if type(seed) is int else "")
    return f"drawn by {words}" + (f", sha256 {checksum[:8]}" if isinstance(checksum, str) else "")
