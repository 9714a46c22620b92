"""The command line: every option, its default and its check. It answers at once: standard library only."""

import argparse
import difflib
import re

from support.errors import InputError
from support.labels import read_labels

STEPS = ("train", "generate", "interpolate", "write", "page")
DEFAULT_STEPS = ("train", "generate")
MOST_IN_ARRAY = 2_000_000  # digits in an .npz file: this program reads no more from one
LONGEST_NUMBER = 100  # digits that the step `write` writes in a line
LARGEST_SEED = 2**31 - 1

TRAINING = "recipe data epochs batch_size n_critic clip learning_rate latent_dim resume worker_timeout summary"
# The steps that use an option. An option that is not listed belongs to all steps.
USED_BY = {
    **dict.fromkeys(TRAINING.split(), ("train",)),
    **dict.fromkeys(["images", "digits", "images_dir", "folders", "npz", "shard"], ("generate",)),
    **dict.fromkeys(["walk", "frames"], ("interpolate",)),
    **dict.fromkeys(["lines", "transparent"], ("write",)),
    "model": STEPS[1:],
    "seed": ("train", "generate", "write"),
}


# ------------------------------------------------------------------------------------------- from text to a value
# Each function raises ArgumentTypeError, which argparse prints as one line.
def whole_number(least, most):
    """A function that converts text to a whole number from `least` to `most`."""

    def integer(text):  # argparse names it if the text is none
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not in the range {least} to {most}")
        return value

    return integer


def positive_number(text):
    """Converts text to a number above 0, at most 1e9."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value <= 1e9:  # refuses NaN, too
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0 and at most 1e+09")
    return value


def seeds(text):
    """Converts text such as "1,2,3" to two or more seeds, a tuple."""
    numbers = tuple(whole_number(0, LARGEST_SEED)(part) for part in text.split(","))
    if len(numbers) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is one number; give two or more, as in 1,2,3")
    return numbers


def digits(text):
    """Converts text such as "7", "3,5" or "0-4" to a tuple of whole numbers."""
    try:
        return read_labels(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def path(text):
    """`text` if it can be a path: not empty, and without a zero byte."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a path")
    return text


def array_path(text):
    """`text` if it can be the path of an .npz file."""
    if not path(text).endswith(".npz"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end with .npz")
    return text


def shard(text):
    """Converts text of the form I/N to a pair of whole numbers, I from 1 to N."""
    match = re.fullmatch(r"(\d{1,7})/(\d{1,7})", text, re.ASCII)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N with I from 1 to N, as in 2/8")
    return int(match[1]), int(match[2])


# ----------------------------------------------------------------------------------------------------- the parser
class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are an InputError of one line. It suggests the option that was probably meant."""

    def error(self, message):
        """Raises InputError."""
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        options = [option for action in self._actions for option in action.option_strings]
        similar = difflib.get_close_matches(unknown[1], options, 1) if unknown else []
        meant = f"; did you mean {similar[0]}?" if similar else ""
        raise InputError(f"{message}{meant}; --help lists the options")


def defaults_of(recipes, name):
    """The values of a setting in the recipes, as text for the help."""
    values = {recipe: getattr(settings, name) for recipe, settings in recipes.items()}
    return "default: " + ", ".join(f"{recipe} {value:g}" for recipe, value in values.items() if value)


def build_parser(recipes, about="", version=""):
    """The parser of the main script. recipes: by name. about: the first lines of the help."""
    parser = OneLineParser(
        description=about, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    steps = f"steps to run, always in this order (default: {' '.join(DEFAULT_STEPS)}); give a number after 'write'"
    parser.add_argument("steps", nargs="*", metavar="{" + ",".join(STEPS) + "}", help=steps)
    parser.add_argument("--version", action="version", version=version)

    add_training_options(parser, recipes)
    add_drawing_options(parser)
    add = parser.add_argument_group("all steps").add_argument
    add("--models-dir", type=path, default="saved_models", metavar="DIR",
        help="folder for models, files of a run, interpolation.*, number_*.png and digits.html "
        "(default: saved_models)")  # fmt: skip
    add("--model", type=path, metavar="FILE",
        help="draw with this .keras file, or with a pretrained generator, wgan or cwgan; without training "
        "(default: generator.keras in --models-dir)")  # fmt: skip
    add("--seed", type=whole_number(0, LARGEST_SEED), default=0, metavar="N",
        help="train, generate, write: seed of all random numbers (default: 0)")  # fmt: skip
    add("--device", choices=("auto", "cpu", "gpu"), default="auto",
        help="what to compute on; auto: a GPU if TensorFlow finds one (default: auto)")  # fmt: skip
    return parser


def add_training_options(parser, recipes):
    """Adds the options of the step `train`."""
    add = parser.add_argument_group("train").add_argument
    add("--recipe", choices=tuple(recipes), default="wgan", help="which GAN to train (default: wgan)")
    add("--data", type=path, metavar="PATH",
        help="train on these images: an array (.npz, .npy), a table (.csv), IDX files, or a folder of images, also "
        "with a folder for each class; docs/data.md (default: MNIST, which comes with the program)")  # fmt: skip
    add("--epochs", type=whole_number(1, 1_000_000), metavar="N",
        help="number of epochs; in an epoch, the critic sees each training image once on average "
        f"({defaults_of(recipes, 'epochs')})")  # fmt: skip
    add("--batch-size", type=whole_number(2, 65_536), metavar="N",
        help="real images per critic update, and the same number of generated ones "
        f"({defaults_of(recipes, 'batch_size')})")  # fmt: skip
    add("--n-critic", type=whole_number(1, 1_000), metavar="N",
        help=f"critic updates per generator update ({defaults_of(recipes, 'n_critic')})")  # fmt: skip
    add("--clip", type=positive_number, metavar="C",
        help="clip the critic's weights to [-C, C]; wgan, cwgan: to C times the bound of He's initialisation "
        f"({defaults_of(recipes, 'clip')})")  # fmt: skip
    add("--learning-rate", type=positive_number, metavar="R",
        help="initial learning rate of the critic; the generator's is in proportion "
        f"({defaults_of(recipes, 'learning_rate')})")  # fmt: skip
    add("--latent-dim", type=whole_number(1, 100_000), metavar="N",
        help=f"length of a latent vector ({defaults_of(recipes, 'latent_dim')})")  # fmt: skip
    add("--resume", action="store_true",
        help="resume the training run in --models-dir; a finished one needs a larger --epochs")  # fmt: skip
    add("--worker-timeout", type=whole_number(1, 100_000), default=600, metavar="N",
        help="seconds to wait for the other workers in TF_CONFIG, if it is set (default: 600)")  # fmt: skip
    add("--summary", action="store_true", help="print the layers of both networks and exit")


def add_drawing_options(parser):
    """Adds the options of the steps that draw with a trained generator."""
    add = parser.add_argument_group("generate").add_argument
    add("--images", type=whole_number(1, 100_000_000), default=25_000, metavar="N",
        help="number of digits to write (default: 25000)")  # fmt: skip
    add("--digits", type=digits, metavar="7|3,5|0-4",
        help="draw only these, in turn; 7,7,7,3 draws three sevens for each three; needs a generator of cwgan "
        "(default: all)")  # fmt: skip
    add("--images-dir", type=path, metavar="DIR",
        help="folder for the PNG files (default: generated_images; with --npz: no PNG files)")  # fmt: skip
    add("--folders", action="store_true",
        help="write a folder of images for each label, as Keras and torchvision read them")  # fmt: skip
    add("--npz", type=array_path, metavar="FILE.npz", help="write the digits to this file, as x_train and y_train")
    add("--shard", type=shard, metavar="I/N",
        help="write only part I of N; N processes, on one or several machines, write all images")  # fmt: skip

    add = parser.add_argument_group("interpolate, write").add_argument
    add("--walk", type=seeds, default=tuple(range(8)), metavar="N,N,...",
        help="interpolate between these latent vectors, and from the last back to the first; each number is a seed "
        "(default: 0,1,2,3,4,5,6,7)")  # fmt: skip
    add("--frames", type=whole_number(1, 1_000), default=20, metavar="N",
        help="pictures from one latent vector to the next (default: 20)")  # fmt: skip
    add("--lines", type=whole_number(1, 100), default=1, metavar="N",
        help="write the number N times, each time in another handwriting (default: 1)")  # fmt: skip
    add("--transparent", action="store_true", help="write black on transparent paper instead of white on black")


# ------------------------------------------------------------------------------------------------------ reading
def read_options(words, recipes, about="", version=""):
    """The checked options in a list of words, a namespace. What is not given has the recipe's value or the default.

    Raises InputError. --help and --version print and end the process.
    """
    parser = build_parser(recipes, about, version)
    options = parser.parse_intermixed_args(words)
    given = {match[1].replace("-", "_") for match in map(re.compile(r"--([\w-]+)").match, words) if match}
    options.number = take_number(options.steps)
    check_steps(options, given)
    check_drawing(options)
    recipe = recipes[options.recipe]
    for name in ("epochs", "batch_size", "n_critic", "clip", "learning_rate", "latent_dim"):
        default = getattr(recipe, name)
        if getattr(options, name) is None:
            setattr(options, name, default)
        elif default is None:
            raise InputError(f"--{name.replace('_', '-')}: the recipe {options.recipe!r} does not use it")
    return options


def options_from(settings, recipes, options=None):
    """The options in a dictionary such as {"epochs": 3, "digits": (7, 3)}, checked as on the command line.

    options: if not None, these are returned, and the dictionary must be empty.
    """
    if options is not None:
        if settings:
            raise InputError(f"give either options or {', '.join(settings)}")
        return options
    words = [str(step) for step in settings.get("steps", ("train",))]
    for name, value in settings.items():
        if name == "steps":
            continue
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            values = value if isinstance(value, (tuple, list)) else [value]
            words.append(f"{option}={','.join(map(str, values))}")
    return read_options(words, recipes)


def take_number(steps):
    """Takes the number after the step `write` out of the list of steps, and returns it; None without that step."""
    if "write" not in steps:
        return None
    after = steps.index("write") + 1
    number = steps.pop(after) if after < len(steps) else ""
    if not (number.isascii() and number.isdecimal() and len(number) <= LONGEST_NUMBER):
        raise InputError(f"write: {number!r} is not a number of 1 to {LONGEST_NUMBER} digits, as in `write 2026`")
    return number


def check_steps(options, given):
    """Sorts options.steps. Raises InputError for an unknown step, and for an option that no step uses."""
    for step in options.steps:
        if step not in STEPS:
            similar = difflib.get_close_matches(step, STEPS, 1)
            meant = f"did you mean {similar[0]!r}? The" if similar else "the"
            raise InputError(f"there is no step {step!r}; {meant} steps are {', '.join(STEPS)}")
    options.steps = tuple(step for step in STEPS if step in options.steps) or DEFAULT_STEPS
    for name in sorted(given & USED_BY.keys()):
        if not set(USED_BY[name]) & set(options.steps):
            steps = " or ".join(map(repr, USED_BY[name]))
            raise InputError(f"--{name.replace('_', '-')} needs the step {steps}, which was not requested")
    if options.model and "train" in options.steps:
        raise InputError("--model replaces the step 'train': leave 'train' out, as in `generate --model FILE`")


def check_drawing(options):
    """Sets the folder of images. Raises InputError if the options of `generate` contradict each other."""
    if not options.images_dir and (options.folders or not options.npz):
        options.images_dir = "generated_images"
    if options.shard and options.steps != ("generate",):
        raise InputError("--shard works with the step 'generate' only: train first, then start the shards")
    if options.shard and options.shard[1] > options.images:
        raise InputError("--shard: there are more shards than images; start fewer")
    if options.npz and (options.shard or options.images > MOST_IN_ARRAY):
        raise InputError(f"--npz: one file holds at most {MOST_IN_ARRAY:,} digits, and is written without --shard")
