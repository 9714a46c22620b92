"""Labels: the kinds of image that a dataset has, or that a generator draws. As text: 0-4,7.

A generator that draws what is asked for has a layer named after its labels, such as labels_0-9. That layer is a one-hot
vector of the largest of the first latent numbers, one number for each label, in ascending order of the labels.
"""

import contextlib
import re

from support.errors import InputError
from support.lazy import keras, np

DIGITS = tuple(range(10))
FEWEST, MOST = 2, 100  # labels of a dataset that can be learned
PREFIX = "labels_"
UNLABELLED = "choice"  # the name of such a layer in a generator without labels


def read_labels(text):
    """Text such as "7", "3,5" or "0-4,7" -> the labels, a tuple of int in this order. Raises ValueError."""
    labels = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part, re.ASCII)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if not first <= last < first + 1000:
            raise ValueError(f"{text!r} is not a list of labels, as in 7 or 3,5 or 0-4")
        labels += range(first, last + 1)
    return tuple(labels)


def write_labels(labels):
    """The text of ascending labels: (0, 1, 2, 7) -> "0-2,7"."""
    parts, labels = [], list(labels)
    while labels:
        length = next((n for n, label in enumerate(labels) if label != labels[0] + n), len(labels))
        parts.append(f"{labels[0]}-{labels[length - 1]}" if length > 1 else f"{labels[0]}")
        labels = labels[length:]
    return ",".join(parts)


def layer_name(labels):
    """The name of the layer that chooses: it contains the labels, or is "choice" without labels, ()."""
    return PREFIX + write_labels(labels).replace(",", "_") if labels else UNLABELLED


def labels_of(generator):
    """The labels that a Keras model draws on request, an ascending tuple; () if it cannot be asked for any."""
    for layer in generator.layers:
        if layer.name.startswith(PREFIX):
            with contextlib.suppress(ValueError):  # somebody else's layer, of another name
                labels = read_labels(layer.name.removeprefix(PREFIX).replace("_", ","))
                if len(labels) == layer.output.shape[-1]:
                    return labels
    return ()


def count_choices(generator):
    """The number of learned vectors that a Keras model chooses from; 0 if it does not choose.

    The largest of that many first latent numbers decides.
    """
    for layer in generator.layers:
        if layer.name == UNLABELLED and isinstance(layer, keras.layers.Dense):
            return layer.units if layer.units <= generator.input_shape[-1] else 0
    return len(labels_of(generator))


def check_request(options, labels):
    """Raises InputError if a generator with these labels, () for none, cannot do what the options ask for."""
    for asks, what in ((options.digits, "--digits"), (options.folders, "--folders"), (options.number, "write")):
        if asks and not labels:
            advice = "use --model cwgan, or train one with --recipe cwgan"
            raise InputError(f"{what}: this generator has no labels, so it cannot be asked for a digit; {advice}")
    if missing := set(options.digits or ()) - set(labels):
        raise InputError(f"--digits: there is no {min(missing)}; this generator draws {write_labels(labels)}")
    if "write" in options.steps and not set(map(int, options.number)) <= set(labels) <= set(DIGITS):
        raise InputError(f"write {options.number}: this generator draws the labels {write_labels(labels)}")


def labels_to_learn(dataset, options, recipe):
    """The labels of the training images, an ascending tuple; () for a recipe that uses none. Raises InputError."""
    if not recipe.conditional:
        return ()
    where, needs = f"{dataset.source}: has", f"--recipe {options.recipe} needs"
    if dataset.train_labels is None:
        raise InputError(f"{where} no labels; {needs} one for each image (docs/data.md)")
    labels = tuple(sorted(set(dataset.train_labels.tolist())))
    if not FEWEST <= len(labels) <= MOST:
        raise InputError(f"{where} {len(labels)} different labels; {needs} {FEWEST} to {MOST}")
    if options.latent_dim < len(labels):
        raise InputError(f"--latent-dim {options.latent_dim}: {needs} one for each label; give {len(labels)} or more")
    return labels


def classes_of(dataset, labels):
    """For each training image the position of its label in `labels`, int [images]; 0 if `labels` is ()."""
    if not labels:
        return np.zeros(len(dataset.train_images), int)
    return np.searchsorted(labels, dataset.train_labels)
