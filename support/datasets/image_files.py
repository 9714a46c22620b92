"""Reads a folder of image files, and their labels."""

import csv
import os
import re
import warnings

import numpy as np

from support.command_line.progress import watch
from support.datasets.checks import MOST_IMAGES, SIDE, DataError, reading
from support.paths import kind
from support.results.image_folder import HEADING, LABELS, check_whole

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")  # not PostScript, on which Pillow runs Ghostscript
LONGEST_LINE = 1000  # characters of that file that are read as one line
REPAIR_LABELS = "remove it, or generate the images again"


def list_images(folder):
    """The names of the images in a folder, sorted. Raises DataError if there are none, too many, or two sets mixed."""
    check_whole(folder)
    with reading(folder):
        names = image_names(folder)
    if not 1 <= len(names) <= MOST_IMAGES:
        raise DataError(f"{folder}: holds {len(names)} images ({' '.join(SUFFIXES)}); give 1 to {MOST_IMAGES} of them")
    return names


def read_images(folder, names):
    """The images `names` of a folder: uint8 [n, 28, 28], 0 to 255. Raises DataError.

    Reads png, jpg, jpeg, bmp, gif and webp files; skips hidden files and subfolders. Every image must be 28x28 and
    opaque grey. It may be stored as black and white, as 8-bit grey, or as a palette or RGB with three equal channels.
    Of an animation, the first frame is read. Colour, 16 bits per pixel and other sizes raise DataError.
    """
    images = np.empty((len(names), SIDE, SIDE), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each of Pillow's warnings is either harmless or an error here
        for name, image in zip(watch(names, "reading images"), images, strict=True):
            image[...] = _read_image(os.path.join(folder, name))
    return images


def read_folder_labels(folder, names):
    """The labels of the images `names` of a folder: int64 [n], 0 or more. None if it has no file of labels of ours.

    That is labels.csv with the heading file,digit and one line per image. Any other labels.csv is somebody else's.
    Raises DataError if it is damaged, or names none or two labels for an image.
    """
    path, wanted, labels = os.path.join(folder, LABELS), set(names), {}
    if kind(path) != "file":
        return None
    with reading(path), open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        if file.readline(LONGEST_LINE).rstrip("\n") != HEADING:
            return None
        lines = iter(lambda: file.readline(LONGEST_LINE), "")  # so that no line fills the memory
        for row in filter(None, csv.reader(lines)):
            if len(row) != 2 or not re.fullmatch(r"\d{1,9}", row[1], re.ASCII):
                raise DataError(f"{path}: {','.join(row)[:80]!r} is not an image and its label; {REPAIR_LABELS}")
            if row[0] in labels:
                raise DataError(f"{path}: has two labels for {row[0][:80]}; {REPAIR_LABELS}")
            if row[0] in wanted:
                labels[row[0]] = int(row[1])
    missing = next((name for name in names if name not in labels), None)
    if missing is not None:
        raise DataError(f"{path}: has no label for {missing}; {REPAIR_LABELS}")
    return np.array([labels[name] for name in names], np.int64)


def image_names(folder):
    """The names of the image files in a folder, sorted."""
    with os.scandir(folder) as entries:
        found = (entry for entry in entries if entry.name.lower().endswith(SUFFIXES) and entry.name[0] != ".")
        return sorted(entry.name for entry in found if entry.is_file())


def _read_image(path):
    """uint8 [28, 28], 0 to 255; see read_images."""
    from PIL import Image

    with reading(path), Image.open(path, formats=FORMATS) as image:
        if image.size != (SIDE, SIDE):
            raise DataError(f"{path}: {image.width}x{image.height} pixels; resize all images to {SIDE}x{SIDE}")
        if image.mode == "L":
            return np.frombuffer(image.tobytes(), np.uint8).reshape(SIDE, SIDE)
        if image.mode in ("1", "LA", "P", "PA", "RGB", "RGBA"):
            red, green, blue, alpha = np.moveaxis(np.asarray(image.convert("RGBA")), -1, 0)
            if (red == green).all() and (red == blue).all() and (alpha == 255).all():
                return red
        raise DataError(f"{path}: is '{image.mode}', not opaque 8-bit grey; convert all images to mode 'L'")
