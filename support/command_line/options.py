"""The command line: one dataclass, its checks, its help. Standard library only, so that it answers at once."""

import argparse
import math
from dataclasses import dataclass, field, fields, replace

from support.errors import InputError, one_line

STEPS = ("train", "generate", "interpolate")
DEFAULT_STEPS = STEPS[:2]


def whole_number(least, most):
    """A reader of whole numbers from `least` to `most`, for argparse."""

    def read(text):
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to {most}")
        return value

    return read


def positive_number(most):
    """A reader of numbers above 0 and up to `most`, for argparse."""

    def read(text):
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not (math.isfinite(value) and 0 < value <= most):
            raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most {most:g}")
        return value

    return read


def whole_numbers(text):
    """A reader of two or more whole numbers with commas between them, for argparse."""
    read = whole_number(0, 2**31 - 1)
    numbers = tuple(read(part) for part in text.split(","))
    if len(numbers) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is one number; name two or more, as in 1,2,3")
    return numbers


def shard(text):
    """A reader of I/N, for argparse: a pair of whole numbers, I from 1 to N."""
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no part I of N as in 2/8, I being from 1 to N")
    return int(part), int(parts)


def path(text):
    """A reader of paths, for argparse: anything but nothing, and no character that no path can hold."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a path")
    return text


def _option(default, help_text, read=None, step=None, **more):
    """A field of Options: default (None: the recipe's value), help, reader, the step or steps it is for."""
    step = (step,) if isinstance(step, str) else step
    return field(default=default, metadata={"help": help_text, "read": read, "step": step, "more": more})


@dataclass(frozen=True)
class Options:
    """Everything that a run is asked to do. A field is an option of the command line; None is the recipe's value."""

    steps: tuple = DEFAULT_STEPS
    recipe: str = _option("wgan", "which GAN to train", step="train")
    epochs: int = _option(
        None, "in each the critic sees as many real images as there are", whole_number(1, 1_000_000), "train"
    )
    batch_size: int = _option(
        None, "real images, and as many generated ones, in an update", whole_number(2, 65_536), "train"
    )
    n_critic: int = _option(None, "critic updates to one generator update", whole_number(1, 1_000), "train")
    clip: float = _option(
        None, "half width of the box that the critic's weights are clipped into", positive_number(1e9), "train"
    )
    learning_rate: float = _option(
        None, "the critic's learning rate at the start; the generator's is in proportion", positive_number(1e9), "train"
    )
    latent_dim: int = _option(None, "length of a latent vector", whole_number(1, 100_000), "train")
    images: int = _option(25_000, "how many PNG files to write", whole_number(1, 100_000_000), "generate")
    images_dir: str = _option("generated_images", "folder of the PNG files", path, "generate")
    shard: tuple = _option(
        None,
        "write the I-th of N parts of the images only; N processes, here or on several machines, write them all",
        shard,
        "generate",
        metavar="I/N",
    )
    models_dir: str = _option("saved_models", "folder of the models and of what the training leaves", path)
    model: str = _option(
        None,
        "draw with this .keras file (default: generator.keras in --models-dir)",
        path,
        ("generate", "interpolate"),
        metavar="FILE",
    )
    walk: tuple = _option(
        (0, 1, 2, 3, 4, 5, 6, 7),
        "interpolate between these latent points, and from the last back to the first; each number is a seed",
        whole_numbers,
        "interpolate",
        metavar="N,N,...",
    )
    frames: int = _option(20, "pictures from one point to the next", whole_number(1, 1_000), "interpolate")
    data: str = _option(
        None,
        "train on this .npz file (keys as in keras.datasets), folder of IDX files or folder of images, 28x28 grey "
        "(default: MNIST, which comes with the program)",
        path,
        "train",
        metavar="PATH",
    )
    seed: int = _option(0, "the number all randomness comes from", whole_number(0, 2**31 - 1), ("train", "generate"))
    resume: bool = _option(False, "go on with the training that was interrupted in --models-dir", step="train")
    device: str = _option(
        "auto", "what to compute on; auto: a GPU where TensorFlow sees one", choices=("auto", "cpu", "gpu")
    )
    worker_timeout: int = _option(
        600, "seconds to wait for the other workers, where TF_CONFIG names some", whole_number(1, 100_000), "train"
    )
    tensorboard: str = _option(
        None,
        "write the curves and the pictures there for TensorBoard, too (a package of its own)",
        path,
        "train",
        metavar="DIR",
    )
    summary: bool = _option(False, "print the layers of both networks and exit", step="train")


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, without the usage before it."""

    def error(self, message):
        """One line, what is wrong and what to do, and exit status 2."""
        self.exit(2, one_line(f"{self.prog}: {message}; --help lists the options") + "\n")


def _parser(recipes, description, version):
    parser = OneLineParser(
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = f"what to do; no step named: {' and '.join(DEFAULT_STEPS)}, in turn"
    parser.add_argument("steps", nargs="*", metavar="{" + ",".join(STEPS) + "}", help=steps)
    parser.add_argument("--version", action="version", version=version)
    for item in fields(Options)[1:]:
        name, default, about = item.name, item.default, item.metadata
        arguments = dict(about["more"], help=about["help"], default=argparse.SUPPRESS)
        if name == "recipe":
            arguments["choices"] = tuple(recipes)
        if default is False:
            arguments["action"] = "store_true"
        elif about["read"]:
            arguments["type"] = about["read"]
            arguments.setdefault("metavar", "DIR" if name.endswith("_dir") else "R" if item.type is float else "N")
        if default is None and name in vars(next(iter(recipes.values()))):
            values = {recipe: getattr(entry, name) for recipe, entry in recipes.items() if getattr(entry, name)}
            arguments["help"] += f" (default: {', '.join(f'{recipe} {value:g}' for recipe, value in values.items())})"
        elif default is not None and default is not False:
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
            arguments["help"] += f" (default: {shown})"
        parser.add_argument("--" + name.replace("_", "-"), **arguments)
    return parser


def read_options(arguments, recipes, description, version):
    """The Options that `arguments` (a list of words) ask for, complete.

    A mistake ends the process with one line on standard error and status 2; --help and --version with status 0.
    """
    parser = _parser(recipes, description, version)
    given = vars(parser.parse_intermixed_args(arguments))
    for step in given["steps"]:
        if step not in STEPS:
            parser.error(f"there is no step {step!r}; the steps are {', '.join(STEPS)}")
    given["steps"] = tuple(step for step in STEPS if step in given["steps"]) or DEFAULT_STEPS
    for item in fields(Options)[1:]:
        steps = item.metadata["step"]
        if item.name in given and steps and not set(steps) & set(given["steps"]):
            names = " or ".join(map(repr, steps))
            parser.error(f"--{item.name.replace('_', '-')} belongs to the step {names}, which was not asked for")
    recipe = given.get("recipe", "wgan")
    for name in given:
        if getattr(recipes[recipe], name, "") is None:
            parser.error(f"--{name.replace('_', '-')}: the recipe {recipe!r} has no such thing")
    if given.get("model") and "train" in given["steps"]:
        parser.error("--model takes the place of the step 'train': name another one, as in `generate --model FILE`")
    if given.get("shard") and given["steps"] != ("generate",):
        parser.error("--shard is for `generate` alone: train first, then start the shards")
    return complete(Options(**given), recipes)


def complete(options, recipes):
    """`options` with the recipe's value wherever they have None; `recipes` holds the recipes by name.

    Every value is read as one of the command line is: a path becomes text. Raises InputError.
    """
    if options.recipe not in recipes:
        raise InputError(f"recipe: there is no {options.recipe!r}; the recipes are {', '.join(recipes)}")
    recipe = vars(recipes[options.recipe])
    missing = {name for name in recipe if getattr(options, name, 0) is None}
    options = replace(options, **{name: recipe[name] for name in missing})
    values = {}
    for item in fields(options)[1:]:
        value, read = getattr(options, item.name), item.metadata["read"]
        if read and value is not None and not isinstance(value, (tuple, list)):
            try:
                values[item.name] = read(str(value))
            except argparse.ArgumentTypeError as error:
                raise InputError(f"{item.name}: {error}") from None
    return replace(options, **values)
