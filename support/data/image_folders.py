"""Reads folders of image files, with or without labels: a file of labels, or a folder for each class."""

import csv
import os

from support.data.dataset import DataError, dataset_of, reading
from support.data.fitting import read_files
from support.lazy import np
from support.outputs.digit_images import HEADING, LABELS, check_complete
from support.outputs.files import kind

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm")


def load_images(folder):
    """The Dataset of a folder of images, or of class folders; of its subfolders train/ and test/ if it has these."""
    train, test = _find_parts(folder)
    names, labels, classes = _list_images(train)
    test_names, test_labels, _ = _list_images(test, classes) if test else ([], None, None)
    paths = [train / name for name in names] + [test / name for name in test_names]
    images, prepared = read_files(paths)
    arrays = {"x_train": images[: len(names)], "y_train": labels, "y_test": test_labels}
    if test:
        arrays["x_test"] = images[len(names) :]
    return dataset_of(arrays, folder, class_names=classes, prepared=prepared, file_names=tuple(names))


def _find_parts(folder):
    """The folders of the training images and of the test images; the latter is None if there is none."""
    inside = {path.name.lower(): path for path in _subfolders(folder)}
    train = inside.get("train") or inside.get("training")
    if train:
        return train, inside.get("test") or inside.get("testing")
    if len(inside) == 1 and not _image_names(folder):  # unpacked from an archive that holds one folder
        (only,) = inside.values()
        if not _image_names(only):
            return _find_parts(only)
    return folder, None


def _list_images(folder, classes=None):
    """The file names of the images below a folder, their labels or None, and the names of the class folders or None.

    classes: those of the training images.
    """
    check_complete(folder)
    names, found = _image_names(folder), [path.name for path in _subfolders(folder) if _image_names(path)]
    if names and found:
        raise DataError(f"{folder}: holds images beside folders of images ({found[:9]}); move one of the two away")
    if names:
        return names, _read_labels(folder, names), None
    if not found:
        holds = sorted(os.listdir(folder))[:9]
        raise DataError(f"{folder}: holds no images ({' '.join(SUFFIXES)}) but {holds}; give the path of one with data")
    classes = tuple(found) if classes is None else classes
    numbers = all(name.isdecimal() for name in classes)
    labels = {name: int(name) if numbers else place for place, name in enumerate(classes)}
    if foreign := set(found) - set(labels):
        raise DataError(f"{folder}: the training images have no folders {sorted(foreign)[:9]}; rename or remove these")
    files = [(f"{name}/{image}", labels[name]) for name in found for image in _image_names(folder / name)]
    return [name for name, _ in files], np.array([label for _, label in files]), classes


def _subfolders(folder):
    """The folders in a folder, sorted by name; not those that a Macintosh hides in archives."""
    found = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
    return sorted(found, key=lambda path: path.name)


def _image_names(folder):
    """The names of the image files in a folder, sorted."""
    with os.scandir(folder) as entries:
        found = (entry for entry in entries if entry.name.lower().endswith(SUFFIXES) and entry.name[0] != ".")
        return sorted(entry.name for entry in found if entry.is_file())


def _read_labels(folder, names):
    """The labels of the images `names`: int64 [n]. None if the folder has no labels.csv as this program writes it."""
    path = folder / LABELS
    if kind(path) != "file":
        return None
    with reading(path), open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        if file.readline().strip() != HEADING:
            return None
        labels = dict(filter(None, csv.reader(file)))
        missing = next((name for name in names if name not in labels), None)
        if missing:
            raise DataError(f"{path}: has no label for {missing}; remove {LABELS}, or generate the images again")
        return np.array([int(labels[name]) for name in names])
