"""CPU or GPU: TensorFlow imported quietly and set up for the device that was asked for."""

import contextlib
import functools
import importlib
import os
import platform
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from support.errors import InputError

CPU_INFO = Path("/proc/cpuinfo")


class DeviceError(InputError):
    """The device that was asked for is not there."""


class ImportedOnUse:
    """A module that is imported when the first of its names is used, so that options are read before it."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        if "tensorflow" not in sys.modules:
            import_tensorflow()
        return getattr(importlib.import_module(self._name), attribute)


keras = ImportedOnUse("keras")
tf = ImportedOnUse("tensorflow")


def import_tensorflow(device="auto", join=None):
    """TensorFlow, imported without a line of its own on standard error; `device` is "auto", "cpu" or "gpu".

    join: a function that is called before anything is computed, the only time for this process to join others. Only the
    first import has an effect on the device, because TensorFlow reads it once. Raises DeviceError where TensorFlow
    cannot be imported, and for "gpu" where it sees none.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # oneDNN is off by default on CPUs without AVX-512, where it is worth 1.5 times the speed just the same.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with quiet_standard_error():
        try:
            import keras
            import tensorflow
        except ImportError as error:
            first_line = str(error).strip().splitlines()[0]
            raise DeviceError(f"TensorFlow cannot be imported ({first_line}): install requirements.txt") from None
        if device == "cpu":
            with contextlib.suppress(RuntimeError):  # raised where the devices are in use already, in a notebook
                tensorflow.config.set_visible_devices([], "GPU")
        gpus = tensorflow.config.get_visible_devices("GPU")
        for gpu in gpus:  # otherwise TensorFlow takes nearly all of the GPU's memory at once
            with contextlib.suppress(RuntimeError):
                tensorflow.config.experimental.set_memory_growth(gpu, True)
    if join:
        join()
    with quiet_standard_error():
        tensorflow.config.list_logical_devices()  # starts the devices while their messages are held back
    # This pass of the graph optimizer fails on a convolution, bias and LeakyReLU whose gradient is taken, with a line
    # on standard error. training_passes turns it on, for layers that have been prepared.
    tensorflow.config.optimizer.set_experimental_options({"remapping": False})
    # A user's keras.json may say otherwise; TensorFlow has no convolution of channels_first on a CPU.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    if device == "gpu" and not gpus:
        raise DeviceError(
            "--device gpu: TensorFlow sees no GPU. On Linux and WSL2 install it with "
            "`pip install 'tensorflow[and-cuda]'`; on macOS and Windows use --device cpu"
        )
    return tensorflow


class quiet_standard_error:
    """Holds back what is written to file descriptor 2, C++ included; shows it after all when the block fails.

    TensorFlow writes before its log level is read, so that TF_CPP_MIN_LOG_LEVEL alone does not silence its import.
    """

    def __enter__(self):
        sys.stderr.flush()
        self.held = tempfile.TemporaryFile()
        self.standard_error = os.dup(2)
        os.dup2(self.held.fileno(), 2)

    def __exit__(self, kind, *_):
        sys.stderr.flush()
        os.dup2(self.standard_error, 2)
        os.close(self.standard_error)
        if kind is not None and issubclass(kind, Exception) and not issubclass(kind, DeviceError):
            self.held.seek(0)
            os.write(2, self.held.read())
        self.held.close()


def use_xla():
    """True where the training step is to be compiled with XLA: on a GPU, but not on a CPU.

    On a CPU, XLA's convolutions are many times slower than oneDNN's. TensorFlow before 2.22 ends the whole process when
    XLA compiles for a GPU of compute capability 10 or more (Blackwell), so it is left out there.
    """
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus or platform.system() != "Linux":  # TensorFlow's plugin for Apple's GPUs has no XLA
        return False
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return capability < (10, 0) or tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 22)


def fused(function):
    """`function` compiled to one pass over its arrays, where that is known to work; for arithmetic without matrices.

    That is XLA, which on a CPU is as quick at such things as it is slow at convolutions. On Linux only, where it was
    tried, and on a GPU only where use_xla.
    """
    xla = platform.system() == "Linux" and (use_xla() or not tf.config.get_visible_devices("GPU"))
    return tf.function(function, jit_compile=xla, autograph=False)


@functools.cache
def uses_bfloat16():
    """True if training is to multiply matrices in bfloat16: on CPUs with matrix units for it (Intel's AMX).

    There it is 1.5 times as fast and the digits are as good. On other CPUs it is slower. That includes CPUs with
    AVX512_BF16 and no AMX, which have it in hardware: an iteration took 74 ms there, 52 ms in float32.
    """
    with contextlib.suppress(OSError):
        return uses_onednn() and not tf.config.get_visible_devices("GPU") and "amx_bf16" in CPU_INFO.read_text()
    return False


@contextlib.contextmanager
def training_passes():
    """Inside, compiled functions go through passes of TensorFlow's graph optimizer that make training quicker.

    One makes a single operation of a convolution and its LeakyReLU (see layers.fuse_layers), one multiplies matrices in
    bfloat16 where uses_bfloat16; variables and sums stay float32.
    """
    switch = tf.config.optimizer.set_experimental_options
    switch({"remapping": True, "auto_mixed_precision_onednn_bfloat16": uses_bfloat16()})
    try:
        yield
    finally:
        switch({"remapping": False, "auto_mixed_precision_onednn_bfloat16": False})


def multiplies_in_bfloat16():
    """True if a matrix product in training_passes is rounded to bfloat16: computes one and looks.

    TensorFlow ignores a name of an option that it does not know, so what was asked for proves nothing.
    """
    first, second = tf.fill([64, 64], 1 + 2**-9), tf.ones([64, 64])  # bfloat16 rounds 1 + 2^-9 to 1; TF32 does not
    with training_passes():
        product = tf.function(tf.matmul, autograph=False)(first, second)
    return float(product[0, 0]) == 64.0


def device_name():
    """What computes, in words: the GPU's name, or the number of CPU cores that this process may use."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"CPU, {usable_cores()} cores"


def describe():
    """What computes and how, for the record of a run."""
    return {"name": device_name(), "xla": use_xla(), "onednn": uses_onednn(), "bfloat16": multiplies_in_bfloat16()}


def usable_cores():
    """The number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def uses_onednn():
    """True where TensorFlow computes with oneDNN on the CPU, as import_tensorflow asks it to."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1"


def package_versions():
    """The versions of Python and of the packages that the numbers depend on."""
    found = {"Python": platform.python_version()}
    for package in ("tensorflow", "keras", "numpy"):
        with contextlib.suppress(PackageNotFoundError):  # tensorflow may be there under another name, as tensorflow-cpu
            found[package] = version(package)
    return found
