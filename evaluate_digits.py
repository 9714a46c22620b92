# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["tensorflow>=2.20,<2.22", "keras>=3.12,<3.16", "numpy>=1.26", "matplotlib>=3.8", "pillow>=10.1",
#                 "scikit-learn>=1.4", "scipy>=1.11"]
# ///
"""How good are the digits in a folder, in an array, or drawn by a generator? Numbers, labels, a page of pictures.

    python evaluate_digits.py                                       the digits in generated_images
    python evaluate_digits.py saved_models/generator.keras          25,000 that this generator draws
    python evaluate_digits.py FOLDER --page page.png                the pictures behind the numbers
    python evaluate_digits.py FOLDER --digit 7 --copy-to sevens     only the sevens

A classifier of digits comes with the repository, so that the numbers of two machines compare. Beside each number stands
the one that 10,000 real training images get, measured as if they had been generated: the best that can be hoped for.
"""

import argparse
import contextlib
import csv
import hashlib
import json
import os
import secrets
import shutil
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

from support.command_line.options import OneLineParser, path, whole_number
from support.errors import InputError, one_line
from support.machine.devices import import_tensorflow, keras, tf
from support.paths import ABSENT, kind
from support.results.files import write_text, write_whole
from support.results.image_folder import image_name

RECORD = Path(__file__).resolve().parent / "support/evaluation/digit_classifier.json"  # also holds what real digits get
COMPARED = 10_000  # figures that compare two sets take this many of the images: their value depends on the number
FEW = 2_000  # below this the same figures say more of the number of images than of the images
LONGEST_NAME = 200  # bytes of a file's name; most disks allow 255, and the name of the unfinished file is longer
NEIGHBOURS = 5
CONFIDENT = 0.9
# A copy is nearer to a training image than this, by that image's digit: half of what the nearest of the 10,000 test
# images is. Hardly a test image averaged with its neighbour comes so near; a training image with some noise on it does.
COPY_DISTANCES = (1.18, 0.41, 1.38, 1.52, 1.20, 1.38, 1.14, 0.96, 1.43, 1.09)

# key, name, the better direction, format, definition. A star: compares COMPARED of the images with MNIST.
FIGURES = [
    (
        "frechet_distance",
        "Fréchet distance *",
        "↓",
        "10.3f",
        "from the test images, on the classifier's 64 features taken as normally distributed (Heusel et al. 2017)",
    ),
    (
        "precision",
        "precision *",
        "↑",
        "10.3f",
        f"share of the images that are nearer to some test image than its {NEIGHBOURS}th neighbour is, on the features",
    ),
    (
        "recall",
        "recall *",
        "↑",
        "10.3f",
        "the same with the roles exchanged: share of the test images (both Kynkäänniemi et al. 2019)",
    ),
    (
        "density",
        "density *",
        "↑",
        "10.3f",
        f"how many test images an image is that near to, over {NEIGHBOURS}: strange ones sway it less than precision",
    ),
    (
        "coverage",
        "coverage *",
        "↑",
        "10.3f",
        "share of the test images that have one of these images that near (both Naeem et al. 2020)",
    ),
    (
        "sliced_wasserstein",
        "sliced Wasserstein *",
        "↓",
        "10.4f",
        "from the test images, on pixels in [0, 1] along 512 random directions: no classifier (Rabin et al. 2011)",
    ),
    (
        "classifier_score",
        "classifier score",
        "↑",
        "10.3f",
        "the inception score with this classifier, 1 to 10: sure of each image, and all digits (Salimans et al. 2016)",
    ),
    (
        "confident",
        "confident",
        "↑",
        "10.3f",
        f"share of the images whose digit the classifier is more than {CONFIDENT:.0%} sure of",
    ),
    (
        "digit_divergence",
        "digit divergence",
        "↓",
        "10.4f",
        "Kullback-Leibler divergence, in nats, of the shares of the ten digits from those of the training images",
    ),
    ("duplicates", "duplicates", "↓", "10,d", "how many of the images equal an earlier one in every pixel"),
    (
        "nearest_distance",
        "nearest distance *",
        "≈",
        "10.3f",
        "median distance to the nearest training image, pixels in [0, 1]; real: from test images. Less means memorised",
    ),
    (
        "copies",
        "copies *",
        "↓",
        "10,d",
        "how many are less than half as far from a training image as any test image of that digit is: memorised",
    ),
]


# ---- options: the standard library alone, so that help and mistakes answer at once -----------------------------------


def path_option(text):
    return Path(path(text))


def read_options(arguments=None):
    definitions = "\n".join(f"  {better} {name:<21}{definition}" for _, name, better, _, definition in FIGURES)
    parser = OneLineParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog=f"figures (↑ higher is better, ↓ lower is better, ≈ as real digits):\n{definitions}\n\n"
        f"* compares {COMPARED:,} of the images, drawn at random, with MNIST's 10,000 test or 60,000 training images.\n"
        "real: what 10,000 training images get, measured as if they had been generated.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "source",
        nargs="?",
        type=path_option,
        default="generated_images",
        metavar="FOLDER | FILE.npz | FILE.keras",
        help="28x28 grey images, white on black; an array of them (uint8, named images, x_train or "
        "arr_0); or a generator that turns noise into [n, 28, 28, 1] in [-1, 1] (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--labels",
        type=path_option,
        metavar="FILE.csv",
        help="write file name (of a folder of images; otherwise its number), digit and confidence of each image",
    )
    parser.add_argument("--digit", type=int, choices=range(10), metavar="D", help="the digit that --copy-to copies")
    parser.add_argument(
        "--copy-to", type=path_option, metavar="DIR", help="copy the images of --digit to this new folder"
    )
    parser.add_argument(
        "--page",
        type=path_option,
        metavar="FILE.png",
        help="draw the most and least confident images of each digit, nearest training images, the "
        "shares of the digits and the figures",
    )
    parser.add_argument(
        "--images",
        type=whole_number(1, 1_000_000),
        default=25_000,
        metavar="N",
        help="how many images a generator draws (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**31 - 1),
        default=0,
        metavar="N",
        help="of what a generator draws (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="auto",
        help="what to compute on; auto: a GPU where TensorFlow sees one",
    )
    parser.add_argument(
        "--train-classifier",
        action="store_true",
        help="replace the classifier in support/ by one trained anew; figures made before do not compare with it",
    )
    options = parser.parse_args(arguments)
    try:
        complaint = complaint_about(options)
    except OSError as error:
        complaint = f"{error.filename}: {error.strerror}"
    if complaint:
        parser.error(complaint)
    return options


def complaint_about(options):
    """What is wrong with the options, in one line; None where nothing is."""
    if options.train_classifier:
        return None
    source, found = options.source, kind(options.source)
    if found not in ("file", "folder"):
        return f"{source}: {found}; give a folder of images, an .npz file or a .keras file"
    if found == "file" and source.suffix == ".npy":
        return f"{source}: is a single array; save it with numpy.savez_compressed(FILE, images=array)"
    if found == "file" and source.suffix not in (".npz", ".keras"):
        return f"{source}: neither a folder of images nor an .npz or .keras file"
    if found == "file" and not zipfile.is_zipfile(source):
        return f"{source}: damaged, or no {source.suffix} file at all; make it again"
    if (options.digit is None) != (options.copy_to is None):
        return "--digit and --copy-to belong together: give both, or neither"
    outputs = ("--labels", options.labels, ".csv"), ("--page", options.page, ".png"), ("--copy-to", options.copy_to, "")
    for option, target, suffix in outputs:
        if target:
            complaint = complaint_about_output(target, suffix, source)
            if complaint:
                return f"{option} {target}: {complaint}"
    return None


def complaint_about_output(target, suffix, source):
    """Why `target` cannot become a file of this suffix, or without a suffix a new folder; None if it can."""
    found, folder = kind(target), Path(os.path.realpath(target.parent))
    if len(os.fsencode(target.name)) > LONGEST_NAME:
        return f"the name is longer than {LONGEST_NAME} bytes; choose a shorter one"
    if kind(folder) != "folder":
        return f"there is no folder {folder}; make it first"
    if suffix and (target.suffix.lower() != suffix or found not in ("file", ABSENT)):
        return f"give the name of a {suffix} file"
    if not suffix and (target.name in ("", "..") or target.is_symlink()):
        return "give the name of a new folder"
    if not suffix and found != ABSENT and (found != "folder" or any(target.iterdir()) or target.samefile(".")):
        return "exists and is not an empty folder, or is the current one; choose another name"
    if not os.access(folder, os.W_OK):
        return f"nothing can be written in {folder}; choose another place"
    if source.is_dir() and (folder / target.name).is_relative_to(os.path.realpath(source)):
        return f"lies among the images themselves; choose a place outside {source}"
    return None


# ---- images in -------------------------------------------------------------------------------------------------------


def read_source(options):
    """The images to be judged: names [n] and uint8 [n, 28, 28]. Raises InputError."""
    from support.datasets.image_files import read_image_folder

    source = options.source
    if source.is_dir():
        names, images = read_image_folder(source)
        for name in names if options.labels else ():
            if name != name.encode("utf-8", "replace").decode():
                raise InputError(f"--labels: the file name {name!r} in {source} is not UTF-8; rename that file")
        return names, images
    images = read_array(source) if source.suffix == ".npz" else draw(source, options.images, options.seed)
    return [image_name(number, len(images)) for number in range(len(images))], images


def read_array(path):
    """uint8 [n, 28, 28] of an .npz file: the array named images, x_train or arr_0, or the only one there is."""
    from support.datasets.loading import read_image_array

    return read_image_array(path)


def draw(path, count, seed):
    """uint8 [count, 28, 28] of the generator in a .keras file: what `generate` writes as PNG files for this seed."""
    import numpy as np

    from support.results.models import ModelError, load_generator
    from wgan_handwritten_digits import draw_digits

    images, done = np.empty((count, 28, 28), np.uint8), 0  # a list of parts would need the memory twice
    for part in draw_digits(load_generator(path), count, seed):
        images[done : done + len(part)] = part
        done += len(part)
    if images.min() > 100:
        raise ModelError(f"{path}: draws no black; a generator draws black paper as -1, white ink as 1 (tanh)")
    return images


# ---- figures ---------------------------------------------------------------------------------------------------------


def measure(images, digits, see, unseen=None):
    """All figures of uint8 [n, 28, 28] (see FIGURES), and the arrays behind them, for labels and pictures.

    Compared with the test images, for no generator has learnt them by heart; only what is to find memorised images
    compares with the training images. `unseen` are the images for that part where the images are training images.
    """
    import numpy as np

    from support.evaluation import figures
    from support.evaluation.classifier import seen

    features, probabilities = seen(see, images)
    labels, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    chosen = figures.drawn(np.arange(len(images)), COMPARED)
    test_images = figures.drawn(digits.test_images, COMPARED)
    test_features, _ = seen(see, test_images)
    precision, recall, density, coverage = figures.precision_recall_density_coverage(
        test_features, features[chosen], NEIGHBOURS
    )
    distances, neighbours = figures.nearest(images[chosen] if unseen is None else unseen, digits.train_images)
    shares, real_shares = (np.bincount(of, minlength=10) / len(of) for of in (labels, digits.train_labels))
    values = {
        "frechet_distance": figures.frechet_distance(features[chosen], test_features),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "sliced_wasserstein": figures.sliced_wasserstein(images[chosen], test_images),
        "classifier_score": figures.classifier_score(probabilities),
        "confident": float((confidences > CONFIDENT).mean()),
        "digit_divergence": float(figures.divergence(shares, real_shares)),
        "duplicates": figures.duplicates(images),
        "nearest_distance": float(np.median(distances)),
        "copies": int((distances < np.take(COPY_DISTANCES, digits.train_labels[neighbours])).sum()),
        "shares": shares.tolist(),
    }
    behind = SimpleNamespace(
        images=images,
        labels=labels,
        confidences=confidences,
        real_shares=real_shares,
        chosen=chosen,
        distances=distances,
        neighbours=neighbours,
    )
    return values, behind


def real_figures(digits, see):
    """What 10,000 training images get, measured as if they had been generated: the floor or ceiling of each figure."""
    from support.evaluation import figures

    images = figures.drawn(digits.train_images, COMPARED)
    return measure(images, digits, see, unseen=digits.test_images)[0]


def train_classifier(seed, epochs=12):
    """Trains the classifier; it and its record (see digit_classifier.json) take the place of the old ones."""
    from support.datasets import loading
    from support.evaluation import classifier
    from support.results.models import save_model

    digits = loading.load_dataset()
    fitted = classifier.fit(digits, seed, epochs)
    save_model(fitted, classifier.CLASSIFIER)
    see = classifier.load()
    _, probabilities = classifier.seen(see, digits.test_images)
    accuracy = float((probabilities.argmax(axis=1) == digits.test_labels).mean())
    record = {
        "accuracy": accuracy,
        "sha256": checksum(classifier.CLASSIFIER),
        "features": classifier.FEATURES,
        "seed": seed,
        "epochs": epochs,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "real": real_figures(digits, see),
    }
    write_text(RECORD, json.dumps(record, indent=1) + "\n")
    print(
        f"{classifier.CLASSIFIER}: {accuracy:.2%} of the test images right. Written by Keras {keras.__version__}; "
        "older versions may not read it"
    )


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def warnings_about(images):
    """What makes the figures of these images say less than they seem to, a line each."""
    lines = []
    if len(images) < FEW:
        lines.append(
            f"only {len(images):,} images: the figures are biased, the Fréchet distance upwards, "
            f"coverage downwards; give {COMPARED:,} or more"
        )
    if images.mean() > 127:
        lines.append("the images look like dark ink on white paper, MNIST is white ink on black: invert them first")
    return lines


# ---- what comes out --------------------------------------------------------------------------------------------------


def table(title, values, real):
    """The figures beside those of real digits, as text."""
    lines = [title, "", f"{'':24}{'these':>10}{'real':>10}"]
    for key, name, better, form, _ in FIGURES:
        lines.append(f"{better} {name:<22}{values[key]:{form}}{real[key]:{form}}")
    lines += ["", f"{'digit':<9}" + "".join(f"{digit:6}" for digit in range(10))]
    lines += [
        f"{who:<9}" + "".join(f"{100 * share:6.1f}" for share in of["shares"])
        for who, of in (("these, %", values), ("real, %", real))
    ]
    return "\n".join(lines)


def write_labels(path, names, behind, heading="file"):
    """A row for each image: file name or number, digit, confidence."""
    with write_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([heading, "digit", "confidence"])
        for name, digit, confidence in zip(names, behind.labels, behind.confidences, strict=True):
            writer.writerow([name, digit, f"{confidence:.4f}"])


def copy_digit(source, folder, digit, names, behind):
    """The images of one digit, to a new folder that appears when it is complete. Returns their number."""
    from PIL import Image

    partial = folder.with_name(f".{folder.name}.{secrets.randbits(64):x}.partial")
    partial.mkdir()
    try:
        chosen = (behind.labels == digit).nonzero()[0]
        for position in chosen:
            if source.is_dir():
                shutil.copyfile(source / names[position], partial / names[position])
            else:
                Image.fromarray(behind.images[position]).save(partial / names[position])
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()  # fails, as it should, where something has come into it in the meantime
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(chosen)


def mosaic(rows):
    """uint8 [n, 28, 28] a row, None for a gap -> one uint8 picture with lines of grey between the images."""
    import numpy as np

    picture = np.full((30 * len(rows) + 2, 30 * max(map(len, rows)) + 2), 96, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            if image is not None:
                picture[30 * y + 2 : 30 * y + 30, 30 * x + 2 : 30 * x + 30] = image
    return picture


def write_page(path, text, behind, digits, rows=6):
    """The evaluation as one picture: extremes of each digit, nearest training images, the shares, the figures."""
    import numpy as np
    from matplotlib.figure import Figure

    from support.evaluation.figures import drawn

    def extremes(sign):
        columns = []
        for digit in range(10):
            own = np.flatnonzero(behind.labels == digit)
            own = own[np.argsort(sign * behind.confidences[own], kind="stable")][:rows]
            columns.append([*behind.images[own], *[None] * (rows - len(own))])
        return mosaic(list(zip(*columns, strict=True)))

    ten = drawn(np.arange(len(behind.chosen)), 10, seed=1)
    pairs = mosaic([behind.images[behind.chosen[ten]], digits.train_images[behind.neighbours[ten]]])
    page = Figure(figsize=(15.6, 5.6), layout="constrained")
    places = page.subplot_mosaic(
        [["most", "least", "text"], ["pairs", "shares", "text"]], height_ratios=[6, 2.6], width_ratios=[1, 1, 1.15]
    )
    for name, picture, title in (
        ("most", extremes(-1), "the most confident of each digit"),
        ("least", extremes(1), "the least confident of each digit"),
        ("pairs", pairs, "ten at random, the nearest training images, how far"),
    ):
        places[name].imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        places[name].set_title(title, fontsize=11)
        places[name].set_axis_off()
    for x, distance in enumerate(behind.distances[ten]):
        places["pairs"].text(30 * x + 16, 66, f"{distance:.2f}", ha="center", va="top")
    shares = np.bincount(behind.labels, minlength=10) / len(behind.labels)
    places["shares"].bar(range(10), 100 * shares, color="0.65")
    places["shares"].plot(range(10), 100 * behind.real_shares, "k_", markersize=24)
    places["shares"].set(xticks=range(10))
    places["shares"].set_title("share of each digit in %; lines: MNIST", fontsize=11)
    # Whatever the name of the source holds, it is neither a formula nor a reason to shrink the pictures.
    places["text"].text(0, 1, text, family="monospace", fontsize=9, va="top", parse_math=False).set_in_layout(False)
    places["text"].set_axis_off()
    with write_whole(path) as temporary:
        page.savefig(temporary, dpi=110)


# ---- the program -----------------------------------------------------------------------------------------------------


def evaluate(options):
    """Measures what the options name, prints it, and writes what they ask for."""
    from support.datasets import loading
    from support.evaluation import classifier

    record = json.loads(RECORD.read_text(encoding="utf-8"))
    if checksum(classifier.CLASSIFIER) != record["sha256"]:
        raise loading.DataError(
            f"{classifier.CLASSIFIER}: is not the classifier of {RECORD.name}, so no figure would "
            "compare; get both again, or make both with --train-classifier"
        )
    if options.source.suffix == ".keras":
        import_tensorflow(options.device)
    names, images = read_source(options)
    import_tensorflow(options.device)
    digits = loading.load_dataset()
    values, behind = measure(images, digits, classifier.load())
    warnings = warnings_about(images)
    compared = min(len(images), COMPARED)
    title = f"{one_line(str(options.source))}\n{len(images):,} images; * compares {compared:,} of them with MNIST"
    text = table(title, values, record["real"])
    if options.json:
        print(
            json.dumps(
                {
                    "source": str(options.source),
                    "images": len(images),
                    "compared": compared,
                    "figures": values,
                    "real": record["real"],
                    "warnings": warnings,
                    "classifier": record["sha256"],
                },
                indent=1,
            )
        )
    else:
        print(text)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.labels:
        if options.source.is_dir():
            write_labels(options.labels, names, behind)
        else:  # no files: a number is the position in the array, or of what the generator draws
            write_labels(options.labels, range(len(images)), behind, heading="number")
    if options.copy_to:
        number = copy_digit(options.source, options.copy_to, options.digit, names, behind)
        print(f"{options.copy_to}: {number:,} images of the digit {options.digit}", file=sys.stderr)
    if options.page:
        write_page(options.page, text, behind, digits)


def main(arguments=None):
    """Does what the command line asks for and returns the exit status: 0 done, 2 a bad option or input, 1 a failure."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # where a program that calls this one has put something else there
            stream.reconfigure(errors="replace")  # an encoding without arrows gets a question mark, not a traceback
    options = read_options(arguments)
    try:
        if options.train_classifier:
            import_tensorflow(options.device)
            train_classifier(options.seed)
        else:
            evaluate(options)
    except InputError as error:
        return fail(error, 2)
    except OSError as error:
        return fail(error, 1)
    except KeyboardInterrupt:
        return 130
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return fail("not enough memory; give fewer images (for a generator: --images)", 1)
    return 0


def fail(error, status):
    print(one_line(f"evaluate_digits.py: {error}"), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
