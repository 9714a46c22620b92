# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["tensorflow>=2.20,<2.22", "keras>=3.12,<3.16", "numpy>=1.26", "matplotlib>=3.8", "pillow>=10.1",
#                 "scikit-learn>=1.4", "scipy>=1.12", "tqdm>=4.66", "filelock>=3.16"]
# ///
"""How good are the digits in a folder, in a file, or drawn by a generator? Figures, labels, a page of pictures.

    python evaluate_digits.py                                       the digits in generated_images
    python evaluate_digits.py saved_models/generator.keras          25,000 digits drawn by this generator
    python evaluate_digits.py FOLDER --page page.png                the pictures behind the figures
    python evaluate_digits.py FOLDER --digit 7 --copy-to sevens     only the sevens
    python evaluate_digits.py FOLDER --gan-train                    how well they train a classifier of real digits

The figures use a digit classifier that comes with the repository, so figures from different machines can be compared.
The column "real" shows the best possible figures: those of 10,000 real training images, measured as if they had been
generated.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from support import device
from support.console import run_program, say
from support.data import load_dataset
from support.errors import InputError
from support.evaluation import classifier, classifier_training, measuring, report, sources
from support.evaluation.definitions import COMPARED, FIGURES, TRAINED_ON
from support.models import PRETRAINED
from support.options import OneLineParser, path, whole_number
from support.outputs.files import ABSENT, check_new_file, kind

MINUTES = "about 3 minutes on two CPU cores"  # how long --gan-train takes


# --------------------------------------------------------------------------- options: with the standard library alone
def build_parser():
    """The parser of the command line. Its help defines all figures."""
    definitions = "\n".join(f"  {better} {name:<21}{definition}" for _, name, better, _, definition in FIGURES)
    epilog = (
        f"figures (↑ higher is better, ↓ lower is better, ≈ as for real digits):\n{definitions}\n\n"
        f"* compares {COMPARED:,} of the images, drawn at random, with MNIST's 10,000 test or 60,000 training images.\n"
        "real: the figures of 10,000 training images, measured as if they had been generated. Nearest distance and "
        f"copies: of the test images. GAN-train: of all {TRAINED_ON:,}."
    )
    parser = OneLineParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("source", nargs="?", type=path, default="generated_images", metavar="SOURCE",
        help="a folder of images, an array (.npz, .npy), a table (.csv) or IDX files, white digits on black, with or "
        "without labels (docs/data.md); or a generator: a .keras file, from latent vectors to [n, 28, 28, 1] in "
        "[-1, 1], or, if no path has that name, a pretrained one: wgan, cwgan (default: generated_images)")  # fmt: skip
    add("--images", type=whole_number(1, 1_000_000), metavar="N",
        help=f"number of images that a generator draws (default: 25000; with --gan-train: {TRAINED_ON})")  # fmt: skip
    add("--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="N",
        help="seed of the images that a generator draws, or of --train-classifier (default: 0)")  # fmt: skip
    add("--device", choices=("auto", "cpu", "gpu"), default="auto",
        help="where to compute; auto: on a GPU if TensorFlow finds one (default: auto)")  # fmt: skip

    add = parser.add_argument_group("results, which can be given together").add_argument
    add("--json", action="store_true", help="print the figures as JSON")
    add("--labels", type=path, metavar="FILE.csv",
        help="write the digit and the confidence of each image, with its file name or number")  # fmt: skip
    add("--digit", "--digits", type=int, choices=range(10), metavar="D", help="the digit that --copy-to copies")
    add("--copy-to", type=path, metavar="DIR", help="copy the images of --digit to this new folder")
    add("--page", type=path, metavar="FILE.png",
        help="draw the images with the highest and lowest confidence for each digit, nearest training images, and the "
        "figures")  # fmt: skip
    add("--gan-train", action="store_true",
        help=f"train a second classifier on the images and their labels, {MINUTES}; see GAN-train below")  # fmt: skip

    add = parser.add_argument_group("instead of all this").add_argument
    add("--train-classifier", action="store_true",
        help="train the classifier in support/evaluation again and replace it; figures from before and after that "
        "cannot be compared")  # fmt: skip
    return parser


def read_options(arguments=None):
    """The checked options in `arguments`, a namespace. Raises InputError."""
    options = build_parser().parse_args(arguments)
    options.images = options.images or (TRAINED_ON if options.gan_train else 25_000)
    if options.train_classifier:
        return options
    if kind(options.source) == ABSENT:
        options.source = PRETRAINED.get(options.source, options.source)
    options.source, found = Path(options.source), kind(options.source)
    if found not in ("file", "folder"):
        raise InputError(f"{options.source}: {found}; give a folder of images, a file of images or a .keras file")
    if (options.digit is None) != (options.copy_to is None):
        raise InputError("--digit needs --copy-to, and --copy-to needs --digit: give both, or neither")
    for option, suffix in (("labels", ".csv"), ("page", ".png"), ("copy_to", "")):
        if target := getattr(options, option):
            setattr(options, option, Path(target))
            check_target(Path(target), "--" + option.replace("_", "-"), suffix, options.source)
    return options


def check_target(target, option, suffix, source):
    """Raises InputError if the path `target`, given to `option`, cannot become a new file or folder."""
    check_new_file(target, option)
    if not target.name.lower().endswith(suffix):
        raise InputError(f"{option} {target}: give the name of a {suffix} file")
    if source.is_dir() and Path(os.path.realpath(target)).is_relative_to(os.path.realpath(source)):
        raise InputError(f"{option} {target}: is inside the folder of images; choose a path outside {source}")


# --------------------------------------------------------------------------------------------------------- the program
def evaluate(options):
    """Reads or draws the images, and does with them what the options ask for."""
    record = classifier.read_record()
    source = sources.read_source(options)
    device.import_tensorflow(options.device)  # after the images: a mistake in their path is reported at once
    model = classifier.load()
    classified = classifier.classify(model, source.images)

    # Labels and copies come first: they do not need the figures, which take most of the time.
    if options.labels:
        report.write_labels(options.labels, source, classified)
    if options.copy_to:
        report.copy_images(options.copy_to, source, classified.labels == options.digit)

    dataset = load_dataset()
    figures, details = measuring.measure(source.images, dataset, model, classified, labels=source.labels)
    figures["gan_train"] = (
        classifier_training.gan_train(source.images, source.labels, dataset) if options.gan_train else None
    )
    found = report.summary(source, figures, record)
    text = report.table(report.title(found), figures, record["real"])
    print(json.dumps(found, indent=1) if options.json else text)
    for warning in found["warnings"]:
        say(f"warning: {warning}")
    if options.page:
        report.write_page(options.page, text, details, dataset)


def run(options):
    """Trains the classifier, or evaluates images. The first line comes at once, because the imports take seconds."""
    if options.train_classifier:
        say("training the digit classifier on MNIST")
        device.import_tensorflow(options.device)
        say(classifier_training.train_classifier(options.seed))
        return
    draws = options.source.suffix == ".keras"
    first = f"drawing {options.images:,} images with seed {options.seed}" if draws else "reading the images"
    last = f", training a classifier on them ({MINUTES})" if options.gan_train else ""
    say(f"evaluating {options.source}: {first}, classifying them, comparing them with MNIST{last}")
    evaluate(options)


def main(arguments=None):
    """Does what the command line asks for and returns the exit status: 0 done, 2 a bad option or input, 1 a failure."""
    return run_program(read_options, run, arguments, "evaluate_digits.py")


if __name__ == "__main__":
    sys.exit(main())
