"""Reads a folder of image files."""

import os
import warnings

import numpy as np

from support.datasets.checks import MOST_IMAGES, SIDE, DataError, reading
from support.results.image_folder import check_whole

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "GIF",
    "WEBP",
)  # not PostScript, on which Pillow runs Ghostscript


def read_image_folder(folder, watch=iter):
    """All images of a folder, sorted by name: (file names, uint8 [n, 28, 28], 0 to 255). Raises DataError.

    Reads png, jpg, jpeg, bmp, gif and webp files; skips hidden files and subfolders. Every image must be 28x28 and
    opaque grey. It may be stored as black and white, as 8-bit grey, or as a palette or RGB with three equal channels.
    Of an animation, the first frame is read. Colour, 16 bits per pixel and other sizes raise DataError.
    watch: a function that passes the names on, one by one, and may show how far the reading is.
    """
    check_whole(folder)
    with reading(folder):
        names = image_names(folder)
    if not 1 <= len(names) <= MOST_IMAGES:
        raise DataError(f"{folder}: holds {len(names)} images ({' '.join(SUFFIXES)}); give 1 to {MOST_IMAGES} of them")
    images = np.empty((len(names), SIDE, SIDE), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each of Pillow's warnings is either harmless or an error here
        for name, image in zip(watch(names), images, strict=True):
            image[...] = _read_image(os.path.join(folder, name))
    return names, images


def image_names(folder):
    """The names of the image files in a folder, sorted."""
    found = (file.name for file in os.scandir(folder) if file.is_file())
    return sorted(name for name in found if name.lower().endswith(SUFFIXES) and name[0] != ".")


def _read_image(path):
    """uint8 [28, 28], 0 to 255; see read_image_folder."""
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
