"""What an evaluation prints and writes: the figures, labels, copies of one digit, the page of pictures."""

import csv
import shutil
import textwrap

from support.console import say
from support.data import warning_about
from support.errors import one_line
from support.evaluation.definitions import COMPARED, FEW, FIGURES, TRAINED_ON
from support.evaluation.figures import drawn
from support.lazy import Image, np
from support.outputs.digit_images import image_name
from support.outputs.files import checksum, write_whole
from support.pictures import grid


def summary(source, figures, record):
    """The result of an evaluation, a dictionary that JSON can hold. record: of the classifier."""
    count = len(source.images)
    found = {"source": str(source.path), "origin": source.origin, "images": count, "compared": min(count, COMPARED)}
    found["trained_on"] = None if figures["gan_train"] is None else min(count, TRAINED_ON)
    if source.path.suffix == ".keras":
        found["sha256"] = checksum(source.path)  # the step `page` looks for it
    few = f"only {count:,} images: the figures are biased, the Fréchet distance upwards, coverage downwards"
    warnings = [f"{few}; give {COMPARED:,} or more"] if count < FEW else []
    if look := warning_about(source.images):
        warnings.append(look)
    return {**found, "figures": figures, "real": record["real"], "warnings": warnings, "classifier": record["sha256"]}


def title(found):
    """The lines above the table. found: a summary."""
    lines = [found["source"], found["origin"]]
    lines += [f"{found['images']:,} images; * compares {found['compared']:,} of them with MNIST"]
    if found["trained_on"]:
        lines += [f"GAN-train: trained on {found['trained_on']:,} of them; real: on {TRAINED_ON:,}"]
    return "\n".join(one_line(line) for line in lines if line)


def table(title, values, real):
    """The figures beside those of real digits, as text. Figures without a value are left out."""
    lines = [title, "", f"{'':24}{'these':>10}{'real':>10}"]
    for key, name, better, form, _ in FIGURES:
        if values.get(key) is not None:
            lines.append(f"{better} {name:<22}{values[key]:{form}}{real[key]:{form}}")
    lines += ["", f"{'digit':<9}" + "".join(f"{digit:6}" for digit in range(10))]
    for who, shares in (("these, %", values["shares"]), ("real, %", real["shares"])):
        lines.append(f"{who:<9}" + "".join(f"{100 * share:6.1f}" for share in shares))
    return "\n".join(lines)


def write_labels(path, source, classified):
    """Writes a CSV file with one row per image: file name, digit, confidence. Without files: the number, from 0."""
    heading, names = ("file", source.names) if source.names else ("number", range(len(source.images)))
    rows = zip(names, classified.labels, (f"{value:.4f}" for value in classified.confidences), strict=True)
    text = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # a file name may be no UTF-8
    with write_whole(path) as temporary, open(temporary, "w", **text) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([heading, "digit", "confidence"])
        writer.writerows(rows)
    say(f"{path}: {len(names):,} labels")


def copy_images(folder, source, chosen):
    """Copies the images that are chosen, bool [n], to a new folder. Those without a file are saved as PNG."""
    folder.mkdir()
    for place in np.flatnonzero(chosen):
        if source.names:
            copy = folder / source.names[place]
            copy.parent.mkdir(parents=True, exist_ok=True)  # a folder of its class
            shutil.copyfile(source.path / source.names[place], copy)
        else:
            Image.fromarray(source.images[place]).save(folder / image_name(place, len(chosen)))
    say(f"{folder}: {chosen.sum():,} images")


# ---------------------------------------------------------------------------------------------- the page of pictures
def write_page(path, text, details, dataset):
    """Writes one picture: best and worst of each digit, ten images with their nearest training images, `text`."""
    from matplotlib.figure import Figure

    ten = drawn(np.arange(len(details.compared)), 10, seed=1)
    pairs = details.images[details.compared[ten]], dataset.train_images[details.neighbours[ten]]
    page = Figure(figsize=(15.6, 5.6), layout="constrained")
    places = page.subplot_mosaic(
        [["most", "least", "text"], ["pairs", "pairs", "text"]], height_ratios=[6, 2.6], width_ratios=[1, 1, 1.15]
    )
    for name, images, words in (
        ("most", _extremes(details, -1), "highest confidence for each digit"),
        ("least", _extremes(details, 1), "lowest confidence for each digit"),
        ("pairs", np.concatenate(pairs), "at random, their nearest training images, the distances"),
    ):
        columns = len(ten) if name == "pairs" else 10
        places[name].imshow(grid(images, columns), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        places[name].set_title(words, fontsize=11)
        places[name].set_axis_off()
    for place, distance in enumerate(details.distances[ten]):
        places["pairs"].text(28 * place + 14, 58, f"{distance:.2f}", ha="center", va="top")
    text = "\n".join("\n".join(textwrap.wrap(line, 70, drop_whitespace=False)) for line in text.splitlines())
    # The text may hold any path: no part of it is a formula.
    places["text"].text(0, 1, text, family="monospace", fontsize=9, va="top", parse_math=False).set_in_layout(False)
    places["text"].set_axis_off()
    with write_whole(path) as temporary:
        page.savefig(temporary, dpi=110)


def _extremes(details, sign):
    """uint8 [60, 28, 28], a column per digit: the images with the highest (sign -1) or lowest (1) confidence."""
    found, classified = np.zeros((6, 10, 28, 28), np.uint8), details.classified
    for digit in range(10):
        own = np.flatnonzero(classified.labels == digit)
        own = own[np.argsort(sign * classified.confidences[own], kind="stable")][:6]
        found[: len(own), digit] = details.images[own]
    return found.reshape(-1, 28, 28)
