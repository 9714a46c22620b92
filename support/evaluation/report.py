"""What an evaluation prints and writes: the table of figures, labels, copies of one digit, the page of pictures."""

import contextlib
import csv
import os
import secrets
import shutil

from support.errors import InputError
from support.evaluation.definitions import FIGURES
from support.evaluation.figures import drawn
from support.evaluation.measuring import digit_shares
from support.lazy import np
from support.outputs.files import write_whole


def table(title, values, real):
    """The figures beside those of real digits, as text. Figures without a value are left out."""
    lines = [title, "", f"{'':24}{'these':>10}{'real':>10}"]
    for key, name, better, form, _ in FIGURES:
        if values.get(key) is not None:
            lines.append(f"{better} {name:<22}{values[key]:{form}}{real[key]:{form}}")
    lines += ["", f"{'digit':<9}" + "".join(f"{digit:6}" for digit in range(10))]
    lines += [
        f"{who:<9}" + "".join(f"{100 * share:6.1f}" for share in of["shares"])
        for who, of in (("these, %", values), ("real, %", real))
    ]
    return "\n".join(lines)


def check_names(source):
    """Raises InputError if a file name of the source cannot be written to a UTF-8 file of labels."""
    for name in source.names:
        if name != name.encode("utf-8", "replace").decode():
            raise InputError(f"--labels: the file name {name!r} in {source.path} is not UTF-8; rename that file")


def write_labels(path, source, classified):
    """Writes a CSV file with one row per image: file name, digit, confidence.

    The images of an array or a generator have no file names, so the first column is their number, counted from 0.
    """
    heading, names = ("file", source.names) if source.path.is_dir() else ("number", range(len(source.names)))
    with write_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([heading, "digit", "confidence"])
        for name, digit, confidence in zip(names, classified.labels, classified.confidences, strict=True):
            writer.writerow([name, digit, f"{confidence:.4f}"])


def copy_digit(source, folder, digit, labels):
    """Copies the images labelled `digit` to a new folder, which appears when it is complete. Returns their number."""
    from PIL import Image

    partial = folder.with_name(f".{folder.name}.{secrets.randbits(64):x}.partial")
    partial.mkdir()
    try:
        chosen = (labels == digit).nonzero()[0]
        for position in chosen:
            name = source.names[position]
            if source.path.is_dir():
                shutil.copyfile(source.path / name, partial / name)
            else:
                Image.fromarray(source.images[position]).save(partial / name)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()  # fails, as it should, if the folder is no longer empty
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(chosen)


def mosaic(rows):
    """Rows of uint8 [28, 28] images, None for a gap -> one uint8 picture with grey lines between the images."""
    picture = np.full((30 * len(rows) + 2, 30 * max(map(len, rows)) + 2), 96, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            if image is not None:
                picture[30 * y + 2 : 30 * y + 30, 30 * x + 2 : 30 * x + 30] = image
    return picture


def extremes(details, sign, rows=6):
    """A mosaic with one column per digit: the images with the highest (sign -1) or lowest (1) confidence, in order."""
    columns, classified = [], details.classified
    for digit in range(10):
        own = np.flatnonzero(classified.labels == digit)
        own = own[np.argsort(sign * classified.confidences[own], kind="stable")][:rows]
        columns.append([*details.images[own], *[None] * (rows - len(own))])
    return mosaic(list(zip(*columns, strict=True)))


def write_page(path, text, details, dataset):
    """Writes one picture: best and worst of each digit, nearest training images, shares of the digits, `text`."""
    from matplotlib.figure import Figure

    ten = drawn(np.arange(len(details.compared)), 10, seed=1)
    pairs = mosaic([details.images[details.compared[ten]], dataset.train_images[details.neighbours[ten]]])
    page = Figure(figsize=(15.6, 5.6), layout="constrained")
    places = page.subplot_mosaic(
        [["most", "least", "text"], ["pairs", "shares", "text"]], height_ratios=[6, 2.6], width_ratios=[1, 1, 1.15]
    )
    for name, picture, title in (
        ("most", extremes(details, -1), "highest confidence for each digit"),
        ("least", extremes(details, 1), "lowest confidence for each digit"),
        ("pairs", pairs, "ten at random, their nearest training images, the distances"),
    ):
        places[name].imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        places[name].set_title(title, fontsize=11)
        places[name].set_axis_off()
    for x, distance in enumerate(details.distances[ten]):
        places["pairs"].text(30 * x + 16, 66, f"{distance:.2f}", ha="center", va="top")
    places["shares"].bar(range(10), 100 * digit_shares(details.classified.labels), color="0.65")
    places["shares"].plot(range(10), 100 * digit_shares(dataset.train_labels), "k_", markersize=24)
    places["shares"].set(xticks=range(10))
    places["shares"].set_title("share of each digit in %; lines: MNIST", fontsize=11)
    # The text may hold any path: no part of it is a formula, and a long one must not shrink the pictures.
    places["text"].text(0, 1, text, family="monospace", fontsize=9, va="top", parse_math=False).set_in_layout(False)
    places["text"].set_axis_off()
    with write_whole(path) as temporary:
        page.savefig(temporary, dpi=110)
