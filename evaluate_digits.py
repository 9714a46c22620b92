# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["tensorflow>=2.20,<2.22", "keras>=3.12,<3.16", "numpy>=1.26", "matplotlib>=3.8", "pillow>=10.1",
#                 "scikit-learn>=1.4", "scipy>=1.11", "tqdm>=4.66", "filelock>=3.13"]
# ///
"""How good are the digits in a folder, in an array, or drawn by a generator? Figures, labels, a page of pictures.

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
import os
import sys
from pathlib import Path

from support.console import run_program, say
from support.device import import_tensorflow
from support.errors import InputError
from support.evaluation.definitions import COMPARED, FIGURES, TRAINED_ON
from support.lazy import keras
from support.options import OneLineParser, path, whole_number
from support.outputs.files import check_new_file, kind

MINUTES = "about 3 minutes on two CPU cores"  # how long --gan-train takes


# ---- options: the standard library alone, so that --help and mistakes answer at once ---------------------------------


def path_option(text):
    """A reader of paths, for argparse."""
    return Path(path(text))


OPTIONS = [
    ("--json", "print the figures as JSON", {"action": "store_true"}),
    ("--labels", "write the digit and the confidence of each image, with its file name (array, generator: its number)",
     {"type": path_option, "metavar": "FILE.csv"}),
    ("--digit", "the digit that --copy-to copies", {"type": int, "choices": range(10), "metavar": "D"}),
    ("--copy-to", "copy the images of --digit to this new folder", {"type": path_option, "metavar": "DIR"}),
    ("--page", "draw the images with the highest and lowest confidence for each digit, nearest training images, the "
     "shares of the digits and the figures", {"type": path_option, "metavar": "FILE.png"}),
    ("--gan-train", f"train a second classifier on the images and their labels, {MINUTES}; see GAN-train below",
     {"action": "store_true"}),
    ("--images", f"number of images that a generator draws (default: 25000; with --gan-train: {TRAINED_ON})",
     {"type": whole_number(1, 1_000_000), "metavar": "N"}),
    ("--seed", "seed of the images that a generator draws, or of --train-classifier (default: %(default)s)",
     {"type": whole_number(0, 2**31 - 1), "default": 0, "metavar": "N"}),
    ("--device", "where to compute; auto: on a GPU if TensorFlow finds one (default: %(default)s)",
     {"choices": ("auto", "cpu", "gpu"), "default": "auto"}),
    ("--train-classifier", "train the classifier in support/evaluation again and replace it; figures from before and "
     "after that cannot be compared", {"action": "store_true"}),
]  # fmt: skip


def build_parser():
    definitions = "\n".join(f"  {better} {name:<21}{definition}" for _, name, better, _, definition in FIGURES)
    parser = OneLineParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog=f"figures (↑ higher is better, ↓ lower is better, ≈ as for real digits):\n{definitions}\n\n"
        f"* compares {COMPARED:,} of the images, drawn at random, with MNIST's 10,000 test or 60,000 training images.\n"
        "real: the figures of 10,000 training images, measured as if they had been generated. GAN-train: of all "
        f"{TRAINED_ON:,}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = parser.add_argument(
        "source", nargs="?", type=path_option, default="generated_images", metavar="FOLDER | FILE.npz | FILE.keras"
    )
    source.help = (
        "28x28 grey images, white on black; or an array of them (uint8, named images, x_train or arr_0); or a "
        "generator, from latent vectors to [n, 28, 28, 1] in [-1, 1] (default: %(default)s). Labels are read from "
        "labels.csv in the folder or y_train beside x_train; a generator of --recipe cwgan has them"
    )
    for name, help_text, more in OPTIONS:
        parser.add_argument(name, help=help_text, **more)
    return parser


def read_options(arguments=None):
    """The options in `arguments`. Raises InputError."""
    options = build_parser().parse_args(arguments)
    if fault := fault_of(options):
        raise InputError(fault)
    options.images = options.images or (TRAINED_ON if options.gan_train else 25_000)
    return options


def fault_of(options):
    """What is wrong with the options, in one line; None if nothing is."""
    if options.train_classifier:
        return None
    source, found = options.source, kind(options.source)
    if found not in ("file", "folder"):
        return f"{source}: {found}; give a folder of images, a file with images or a .keras file"
    if (options.digit is None) != (options.copy_to is None):
        return "--digit needs --copy-to, and --copy-to needs --digit: give both, or neither"
    outputs = ("--labels", options.labels, ".csv"), ("--page", options.page, ".png"), ("--copy-to", options.copy_to, "")
    for option, target, suffix in outputs:
        if target:
            check_new_file(target, option)
            if suffix and target.suffix.lower() != suffix:
                return f"{option} {target}: give the name of a {suffix} file"
            if source.is_dir() and Path(os.path.realpath(target)).is_relative_to(os.path.realpath(source)):
                return f"{option} {target}: is inside the folder of images; choose a path outside {source}"
    return None


# ---- the program -----------------------------------------------------------------------------------------------------


def evaluate(options):
    """Prints one line at once, because the imports take seconds. Then evaluates the images of options.source."""
    generator = options.source.suffix == ".keras" and options.source.is_file()
    first = f"drawing {options.images:,} images with seed {options.seed}" if generator else "reading the images"
    last = f", training a classifier on them ({MINUTES})" if options.gan_train else ""
    say(f"evaluating {options.source}: {first}, classifying them, comparing them with MNIST{last}")
    from support.evaluation import steps

    steps.evaluate(options)


def train(options):
    """Trains the classifier and replaces the one in support/evaluation."""
    say("training the digit classifier on MNIST")
    import_tensorflow(options.device)
    from support.evaluation.classifier import CLASSIFIER
    from support.evaluation.classifier_training import train_classifier

    print(
        f"{CLASSIFIER}: classifies {train_classifier(options.seed):.2%} of the test images correctly. "
        f"Saved by Keras {keras.__version__}; older versions may be unable to load it"
    )


def run(options):
    """Trains the classifier, or evaluates images."""
    if options.train_classifier:
        train(options)
    else:
        evaluate(options)


def main(arguments=None):
    """Does what the command line asks for and returns the exit status: 0 done, 2 a bad option or input, 1 a failure."""
    return run_program(read_options, run, arguments, "evaluate_digits.py")


if __name__ == "__main__":
    sys.exit(main())
