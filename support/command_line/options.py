"""The command line: a dataclass of options, their checks and help. It answers at once: standard library only."""

import argparse
from dataclasses import dataclass, field, fields, replace

from support.command_line.values import (
    array_path,
    digits,
    number,
    path,
    positive_number,
    shard,
    whole_number,
    whole_numbers,
)
from support.errors import InputError, one_line

STEPS = ("train", "generate", "interpolate", "write", "page")
DEFAULT_STEPS = STEPS[:2]
MOST_IN_ARRAY = 2_000_000  # digits in an .npz file: this program reads no more from one


def _option(default, help_text, read=None, step=None, **more):
    """A field of Options. read: converts its text. step: the step or steps that use it, None for all."""
    step = (step,) if isinstance(step, str) else step
    return field(default=default, metadata={"help": help_text, "read": read, "step": step, "more": more})


@dataclass(frozen=True)
class Options:
    """What a run does. Each field is an option of the command line. None means the recipe's value, if it has one."""

    steps: tuple = DEFAULT_STEPS
    number: str = None  # what the step "write" writes: the word after it
    recipe: str = _option("wgan", "which GAN to train", step="train")
    epochs: int = _option(
        None,
        "number of epochs; one epoch shows the critic as many real images as the dataset has",
        whole_number(1, 1_000_000),
        "train",
    )
    batch_size: int = _option(
        None, "real images per critic update, and the same number of generated ones", whole_number(2, 65_536), "train"
    )
    n_critic: int = _option(None, "critic updates per generator update", whole_number(1, 1_000), "train")
    clip: float = _option(
        None,
        "bound of the critic's weights; wgan, cwgan: times sqrt(6 / inputs of a unit)",
        positive_number,
        "train",
    )
    learning_rate: float = _option(
        None, "initial learning rate of the critic; the generator's is in proportion", positive_number, "train"
    )
    latent_dim: int = _option(None, "length of a latent vector", whole_number(1, 100_000), "train")
    images: int = _option(25_000, "number of digits to write", whole_number(1, 100_000_000), "generate")
    digits: tuple = _option(
        None,
        "draw only these, each as often as the others; a generator without labels draws more, and the digit classifier "
        "keeps those that it is sure of (default: all)",
        digits,
        "generate",
        metavar="7|3,5|0-4",
    )
    images_dir: str = _option("generated_images", "folder for the PNG files", path, "generate")
    npz: str = _option(
        None,
        "write the digits to this file instead, as x_train and y_train; with --images-dir, also PNG files",
        array_path,
        "generate",
        metavar="FILE.npz",
    )
    shard: tuple = _option(
        None,
        "write only part I of N; N processes, on one or several machines, write all images",
        shard,
        "generate",
        metavar="I/N",
    )
    models_dir: str = _option(
        "saved_models", "folder for models, files of a run, interpolation.*, number_*.png and digits.html", path
    )
    model: str = _option(
        None,
        "draw with this .keras file (default: generator.keras in --models-dir)",
        path,
        STEPS[1:],
        metavar="FILE",
    )
    walk: tuple = _option(
        (0, 1, 2, 3, 4, 5, 6, 7),
        "interpolate between these latent vectors, and from the last back to the first; each number is a seed",
        whole_numbers,
        "interpolate",
        metavar="N,N,...",
    )
    frames: int = _option(20, "pictures from one latent vector to the next", whole_number(1, 1_000), "interpolate")
    lines: int = _option(1, "how often to write the number, each time in another hand", whole_number(1, 100), "write")
    transparent: bool = _option(False, "write black on transparent paper instead of white on black", step="write")
    data: str = _option(
        None,
        "train on this .npz file (keys as in keras.datasets), folder of IDX files or folder of images, 28x28 grey "
        "(default: MNIST, which comes with the program)",
        path,
        "train",
        metavar="PATH",
    )
    seed: int = _option(0, "seed of all random numbers", whole_number(0, 2**31 - 1), ("train", "generate", "write"))
    resume: bool = _option(
        False, "resume the training run in --models-dir; a finished one needs a larger --epochs", step="train"
    )
    device: str = _option(
        "auto", "what to compute on; auto: a GPU if TensorFlow finds one", choices=("auto", "cpu", "gpu")
    )
    worker_timeout: int = _option(
        600, "seconds to wait for the other workers in TF_CONFIG, if it is set", whole_number(1, 100_000), "train"
    )
    tensorboard: str = _option(
        None,
        "also write curves and pictures for TensorBoard to this folder (TensorBoard is a separate package)",
        path,
        "train",
        metavar="DIR",
    )
    summary: bool = _option(False, "print the layers of both networks and exit", step="train")


class OneLineParser(argparse.ArgumentParser):
    """A parser that prints an error as one line, without the usage text."""

    def error(self, message):
        """Prints one line, what is wrong and what to do; exits with status 2."""
        self.exit(2, one_line(f"{self.prog}: {message}; --help lists the options") + "\n")


def _parser(recipes, description, version):
    parser = OneLineParser(
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = f"steps to run, always in this order (default: {' '.join(DEFAULT_STEPS)}); give a number after 'write'"
    parser.add_argument("steps", nargs="*", metavar="{" + ",".join(STEPS) + "}", help=steps)
    parser.add_argument("--version", action="version", version=version)
    for item in fields(Options)[2:]:
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
    """The complete Options of `arguments`, a list of words.

    A mistake ends the process with one line on standard error and status 2; --help and --version end it with status 0.
    """
    parser = _parser(recipes, description, version)
    given = vars(parser.parse_intermixed_args(arguments))
    if "write" in given["steps"]:
        after = given["steps"].index("write") + 1
        try:
            given["number"] = number(given["steps"].pop(after))
        except (IndexError, argparse.ArgumentTypeError) as error:
            said = "" if isinstance(error, IndexError) else f"{error}; "
            parser.error(f"write: {said}give the number to write, as in `write 2026`")
    for step in given["steps"]:
        if step not in STEPS:
            parser.error(f"there is no step {step!r}; the steps are {', '.join(STEPS)}")
    given["steps"] = tuple(step for step in STEPS if step in given["steps"]) or DEFAULT_STEPS
    for item in fields(Options)[2:]:
        steps = item.metadata["step"]
        if item.name in given and steps and not set(steps) & set(given["steps"]):
            names = " or ".join(map(repr, steps))
            parser.error(f"--{item.name.replace('_', '-')} needs the step {names}, which was not requested")
    if given.get("model") and "train" in given["steps"]:
        parser.error("--model replaces the step 'train': leave 'train' out, as in `generate --model FILE`")
    if given.get("shard") and given["steps"] != ("generate",):
        parser.error("--shard works with the step 'generate' only: train first, then start the shards")
    if given.get("shard") and given["shard"][1] > given.get("images", Options.images):
        parser.error("--shard: there are more shards than images; start fewer")
    if given.get("npz"):
        given.setdefault("images_dir", None)
        if given.get("shard") or given.get("images", 0) > MOST_IN_ARRAY:
            parser.error(f"--npz: one file holds at most {MOST_IN_ARRAY:,} digits, and is written without --shard")
    try:
        return complete(Options(**given), recipes)
    except InputError as error:
        parser.error(f"--{error}")


def complete(options, recipes):
    """`options` with the recipe's value in place of None where there is one. recipes: the recipes by name.

    Values are checked and converted as on the command line: a path becomes text. Raises InputError.
    """
    if options.recipe not in recipes:
        raise InputError(f"recipe: there is no {options.recipe!r}; the recipes are {', '.join(recipes)}")
    recipe = vars(recipes[options.recipe])
    for name in recipe:
        if recipe[name] is None and getattr(options, name, None) is not None:
            raise InputError(f"{name.replace('_', '-')}: the recipe {options.recipe!r} does not use it")
    missing = {name for name in recipe if getattr(options, name, 0) is None}
    options = replace(options, **{name: recipe[name] for name in missing})
    values = {}
    for item in fields(options)[2:]:
        value, read = getattr(options, item.name), item.metadata["read"]
        if read and value is not None and not isinstance(value, (tuple, list)):
            try:
                values[item.name] = read(str(value))
            except argparse.ArgumentTypeError as error:
                raise InputError(f"{item.name}: {error}") from None
    return replace(options, **values)
