"""Reads folders of image files, with or without labels. Images that are not like MNIST's are prepared as MNIST was."""

import csv
import os
import re

from support.console import watch
from support.data.dataset import SIDE, dataset_of, reading
from support.errors import InputError
from support.lazy import Image, np
from support.outputs.digit_images import HEADING, LABELS, check_complete

HIDDEN = re.compile(r"(^|/)(\.|__)")  # as a Macintosh hides files in archives
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # not PostScript, on which Pillow runs Ghostscript
BOX = 20  # pixels: the side of the square that the digits of MNIST are fitted into


def load_images(folder):
    """The Dataset of a folder of images, or of class folders; of its subfolders train/ and test/ if it has these."""
    train, test = _find_parts(folder)
    names, test_names = _list_images(train), _list_images(test) if test else []
    paths = [train / name for name in names] + [test / name for name in test_names]
    images, prepared = [_as_it_is(_open(path)) for path in watch(paths, "reading images")], ""
    if any(image is None for image in images):  # prepare all, so that they are alike
        images = [_as_in_mnist(_open(path), path) for path in watch(paths, "preparing images")]
        done = f"grey, white ink on black, fitted into {BOX}x{BOX}, centred by mass"
        prepared = f"prepared {len(images):,} images as MNIST's were: {done}"
    classes = tuple(sorted({name.split("/")[0] for name in names + test_names if "/" in name}))
    own_names = tuple((train / name).relative_to(folder).as_posix() for name in names)
    arrays = {"x_train": np.stack(images[: len(names)]), "y_train": _find_labels(train, names, classes)}
    if test:
        arrays |= {"x_test": np.stack(images[len(names) :]), "y_test": _find_labels(test, test_names, classes)}
    return dataset_of(arrays, folder, class_names=classes or None, prepared=prepared, file_names=own_names)


def _find_parts(folder):
    """The folders of the training images and of the test images; None for a missing folder of test images."""
    parts = {path.name.lower(): path for path in folder.iterdir() if path.is_dir() and not HIDDEN.match(path.name)}
    if train := parts.get("train") or parts.get("training"):
        return train, parts.get("test") or parts.get("testing")
    if len(parts) == 1 and not _image_names(folder):  # unpacked from an archive
        return _find_parts(*parts.values())
    return folder, None


def _image_names(folder):
    """The names of the images in a folder, such as 7.png, and in its class folders, such as 3/7.png."""
    paths = [path for depth in ("*", "*/*") for path in folder.glob(depth) if path.suffix.lower() in SUFFIXES]
    names = [path.relative_to(folder).as_posix() for path in paths if path.is_file()]
    return sorted(name for name in names if not HIDDEN.search(name))


def _list_images(folder):
    check_complete(folder)
    names = _image_names(folder)
    if len({"/" in name for name in names}) != 1:
        wanted = "images, with a folder of images for each class, or with one dataset in IDX"
        raise InputError(f"{folder}: holds {sorted(os.listdir(folder))[:9]}; give a folder with {wanted}")
    return names


def _find_labels(folder, names, classes):
    """The labels of images: by their class folders, or from a labels.csv of this program. None without either."""
    if classes:
        if "/" not in names[0]:
            raise InputError(
                f"{folder}: its images are in no class folders, but those beside it are; arrange both alike"
            )
        are_numbers = all(name.isdecimal() for name in classes)
        labels = {name: int(name) if are_numbers else place for place, name in enumerate(classes)}
        return np.array([labels[name.split("/")[0]] for name in names])
    path = folder / LABELS
    if not path.is_file():
        return None
    with reading(path), open(path, encoding="utf-8-sig", newline="") as file:
        if file.readline().strip() != HEADING:
            return None
        labels = dict(filter(None, csv.reader(file)))
        if missing := set(names) - labels.keys():
            raise InputError(f"{path}: has no line for {min(missing)}; add one, or remove {LABELS}")
        return np.array([int(labels[name]) for name in names])


def _open(path):
    """The upright Pillow image in a file, with 8 bits a channel."""
    from PIL import ImageOps

    with reading(path), Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > 4096 * 4096:
            raise InputError(f"{path}: {image.width}x{image.height} pixels; make it smaller, 4096x4096 at most")
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):  # 16 or 32 bits
            values = np.asarray(image, np.float32)
            image = Image.fromarray(np.interp(values, (values.min(), values.max()), (0, 255)).astype(np.uint8))
        return image


def _as_it_is(image):
    """uint8 [28, 28] of an image of this size that is grey and opaque, however it is stored; None of any other."""
    grey = image.convert("L")
    is_grey = image.mode == "L" or image.convert("RGBA").tobytes() == grey.convert("RGBA").tobytes()
    return np.asarray(grey) if is_grey and image.size == (SIDE, SIDE) else None


def _as_in_mnist(image, path):
    """uint8 [28, 28]: the ink of an image of any size and kind, fitted into 20x20, its centre of mass in the middle."""
    from scipy import ndimage

    ink = _ink(image)
    if not ink.any():
        raise InputError(f"{path}: shows nothing; remove it")
    (box,) = ndimage.find_objects((ink > 0.2 * ink.max()).astype(int))
    ink = ink[box]
    height, width = (max(1, round(side * BOX / max(ink.shape))) for side in ink.shape)
    ink = np.asarray(Image.fromarray(ink).resize((width, height))).clip(0)
    y, x = ndimage.center_of_mass(ink)  # in MNIST, it is in row 14 and column 14, from 0
    top, left = np.clip(np.rint([14 - y, 14 - x]), 0, [SIDE - height, SIDE - width]).astype(int)
    fitted = np.zeros((SIDE, SIDE), np.uint8)
    fitted[top : top + height, left : left + width] = np.rint(255 * ink / ink.max())
    return fitted


def _ink(image):
    """float32 [height, width]: 0 where an image shows paper, as along most of its border, more where it shows ink."""
    image.thumbnail((512, 512))
    grey, alpha = np.moveaxis(np.asarray(image.convert("LA"), np.float32), -1, 0)
    paper = 255 if (grey * alpha).sum() < 127.5 * alpha.sum() else 0  # transparent parts show the opposite of the ink
    grey = paper + (grey - paper) * alpha / 255
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > (grey.min() + grey.max()) / 2:
        grey, border = -grey, -border
    paper = np.median(border)
    # Ink differs from the paper by more than the pixels of the border differ from each other.
    noise = min(4 * np.median(abs(border - paper)), 0.3 * (grey.max() - paper))
    return (grey - paper - noise).clip(0)
