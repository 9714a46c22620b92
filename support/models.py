"""Keras models, saved whole or not at all, loaded with clear words about what is wrong."""

import json
import os
import zipfile

from support.devices import keras
from support.errors import InputError
from support.files import write_whole
from support.ownership import NAME


def save_model(model, path):
    """Saves a model whole or not at all. Built-in layers, uncompiled: loading it needs nothing of this file."""
    with write_whole(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as file:
            file.comment = NAME.encode()  # the sign that it is ours


class ModelError(InputError):
    """A file that should hold a generator does not."""


def load_generator(path):
    """The generator in a .keras file. Raises ModelError. Keras's safe mode keeps code in the file from being run."""
    try:
        with zipfile.ZipFile(path) as file:
            saved_by = json.loads(file.read("metadata.json"))["keras_version"]
    except Exception:  # what a damaged file leads to, nobody can list
        reason = "is not there" if not os.path.exists(path) else "is not a .keras file, or not all of one"
        raise ModelError(f"{path}: {reason}; train a generator first, or name one with --model") from None
    try:
        generator = keras.models.load_model(path, compile=False, safe_mode=True)
        shapes = generator.input_shape, generator.output_shape
    except Exception as error:  # whatever a strange file makes Keras raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path}: Keras {keras.__version__} cannot load it (saved by {saved_by}): {reason[0][:200]}"
        ) from None
    if len(shapes[0]) != 2 or not isinstance(shapes[0][1], int) or shapes[1] != (None, 28, 28, 1):
        raise ModelError(
            f"{path}: is no generator of latent vectors to 28x28x1 images; it maps {shapes[0]} to {shapes[1]}"
        )
    return generator
