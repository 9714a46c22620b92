"""Packages that are imported when they are first used, so that --help needs the standard library alone."""

import importlib
import sys


class Lazy:
    """A module that is imported when one of its names is first used. TensorFlow and Keras are set up before that."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        if self._name in ("keras", "tensorflow") and "tensorflow" not in sys.modules:
            from support import device

            device.import_tensorflow()
        return getattr(importlib.import_module(self._name), attribute)


keras = Lazy("keras")
tf = Lazy("tensorflow")
np = Lazy("numpy")
Image = Lazy("PIL.Image")
tqdm = Lazy("tqdm")
