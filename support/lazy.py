"""Packages that are imported when they are first used, so that --help needs the standard library alone."""

import importlib
import sys


class Lazy:
    """A module that is imported when one of its names is first used."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)


class LazyTensorFlow(Lazy):
    """TensorFlow or Keras, set up by support/device.py before the first import."""

    def __getattr__(self, attribute):
        if "tensorflow" not in sys.modules:
            from support import device

            device.import_tensorflow()
        return super().__getattr__(attribute)


keras = LazyTensorFlow("keras")
tf = LazyTensorFlow("tensorflow")
np = Lazy("numpy")
Image = Lazy("PIL.Image")
