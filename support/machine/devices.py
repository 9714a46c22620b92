"""CPU or GPU: TensorFlow imported quietly and set up for the device that was asked for."""

import contextlib
import functools
import importlib
import os
import platform
import subprocess
import sys
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
        except Exception as error:  # of a package that is missing or broken, or of a keras.json with anything in it
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise DeviceError(
                f"TensorFlow or Keras cannot be imported ({reason[0]}): install requirements.txt, or mend keras.json"
            ) from None
        if keras.backend.backend() != "tensorflow":
            raise DeviceError(
                f"Keras was imported before with the backend {keras.backend.backend()!r}: "
                "use another process, with KERAS_BACKEND=tensorflow"
            )
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
    # A user's keras.json may say otherwise; TensorFlow has no convolution of channels_first on a CPU.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    if device == "gpu" and not gpus:
        raise DeviceError(
            "--device gpu: TensorFlow sees no GPU. On Linux and WSL2 install it with "
            "`pip install 'tensorflow[and-cuda]'`; on macOS and Windows use --device cpu"
        )
    return tensorflow


# Prints what it read, unless the last byte says that all went well.
_KEEPER = "import sys; held = sys.stdin.buffer.read(); held.endswith(b'\\0') or sys.stderr.buffer.write(held)"


@contextlib.contextmanager
def quiet_standard_error():
    """Holds back what is written to file descriptor 2, C++ included; prints it after all when the block fails.

    TensorFlow writes before it reads its log level. Another process holds the text: it prints it, too, when this one is
    aborted, as TensorFlow does on a processor that lacks the instructions it needs.
    """
    sys.stderr.flush()
    keeper = subprocess.Popen([sys.executable, "-S", "-c", _KEEPER], stdin=subprocess.PIPE, start_new_session=True)
    standard_error, drop = os.dup(2), True
    os.dup2(keeper.stdin.fileno(), 2)
    try:
        yield
    except Exception as error:
        drop = isinstance(error, DeviceError)
        raise
    finally:
        sys.stderr.flush()
        os.dup2(standard_error, 2)
        os.close(standard_error)
        with keeper:
            keeper.stdin.write(b"\0" if drop else b"")


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

    One fuses a convolution and its LeakyReLU (see layers.training_layers), one multiplies matrices in bfloat16 if
    uses_bfloat16; variables and sums stay float32.
    """
    before = tf.config.optimizer.get_experimental_options()
    passes = {"remapping": True, "auto_mixed_precision_onednn_bfloat16": uses_bfloat16()}
    tf.config.optimizer.set_experimental_options(passes)
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before.get(name, False) for name in passes})


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
