"""Generated digits on the disk: as PNG files in a folder, or as the arrays x_train and y_train in one .npz file."""

import zipfile
from pathlib import Path

import numpy as np

from support.command_line.progress import say
from support.results import files, image_folder
from support.results.ownership import NAME, refuse_others

CHOSEN = f"{NAME} classifier"  # the comment of such an .npz file


def save(digits, options, about):
    """Writes digits to options.images_dir and to options.npz, if these are not None.

    digits: parts of them, uint8 [n, 28, 28]. about: how they were made, a dictionary, for the manifest of the folder.
    Its item "labels", if it is not empty, has the labels of the digits, in turn.
    """
    about = {key: value for key, value in about.items() if value != ()}
    by_classifier = about.get("labels_by") == "classifier"
    if options.digits:
        say(
            "this generator has no labels: draws digits, and keeps those that the classifier is sure of"
            if by_classifier
            else "this generator has labels: draws the digits that are asked for"
        )
    if options.npz:
        images = np.concatenate(list(digits))
        digits = iter([images])
        save_array(options.npz, images, about.get("labels"), by_classifier)
        say(f"{len(images)} digits in {options.npz}, drawn by {about['model']}")
    if options.images_dir:
        image_folder.write(options.images_dir, digits, options.images, about, options.shard)


def save_array(path, digits, labels=None, chosen=False):
    """Writes digits, uint8 [n, 28, 28], to an .npz file as in keras.datasets.

    labels: in turn, for y_train [n]. chosen: True if the classifier chose the digits.
    """
    arrays = {"x_train": digits}
    if labels:
        arrays["y_train"] = np.resize(np.array(labels, np.uint8 if max(labels) < 256 else np.int64), len(digits))
    with files.write_whole(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
        with zipfile.ZipFile(temporary, "a") as file:
            file.comment = (CHOSEN if chosen else NAME).encode()


def are_chosen(path):
    """True if `save_array` wrote the .npz file `path`, and the classifier chose its digits."""
    with zipfile.ZipFile(path) as file:
        return file.comment == CHOSEN.encode()


def check_array(path):
    """Raises FolderError if `path` cannot become an .npz file of digits. Changes nothing."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise files.FolderError(f"{path}: there is no folder {folder}; create it first")
    files.check_folder(folder)
    refuse_others([path], [], "--npz")
