"""CPU or GPU: imports TensorFlow quietly and sets it up for one device."""

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
    """The requested device, or TensorFlow, cannot be used."""


class ImportedOnUse:
    """A module that is imported when one of its names is first used. Options are read before that."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        if "tensorflow" not in sys.modules:
            import_tensorflow()
        return getattr(importlib.import_module(self._name), attribute)


keras = ImportedOnUse("keras")
tf = ImportedOnUse("tensorflow")


def import_tensorflow(device="auto", join=None):
    """Returns TensorFlow, imported without its messages on standard error. device: "auto", "cpu" or "gpu".

    join: a function, called before anything is computed: only then can this process join others. Only the first import
    sets the device, because TensorFlow reads it once. Raises DeviceError if TensorFlow cannot be imported, and if
    device is "gpu" and it finds none.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # oneDNN is off by default on CPUs without AVX-512, but makes training 1.5 times as fast there, too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with quiet_standard_error():
        try:
            import keras
            import tensorflow
        except Exception as error:  # a missing or broken package, or a keras.json with any content
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise DeviceError(
                f"TensorFlow or Keras cannot be imported ({reason[0]}): install requirements.txt, or repair keras.json"
            ) from None
        if keras.backend.backend() != "tensorflow":
            raise DeviceError(
                f"Keras already runs with the backend {keras.backend.backend()!r}: "
                "start a new process with KERAS_BACKEND=tensorflow"
            )
        if device == "cpu":
            with contextlib.suppress(RuntimeError):  # the devices are already in use, as in a notebook
                tensorflow.config.set_visible_devices([], "GPU")
        gpus = tensorflow.config.get_visible_devices("GPU")
        for gpu in gpus:  # otherwise TensorFlow takes nearly all of the GPU's memory at once
            with contextlib.suppress(RuntimeError):
                tensorflow.config.experimental.set_memory_growth(gpu, True)
    if join:
        join()
    with quiet_standard_error():
        tensorflow.config.list_logical_devices()  # starts the devices while messages are held back
    # A user's keras.json may set other values; on a CPU, TensorFlow has no convolutions with channels_first.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    if device == "gpu" and not gpus:
        raise DeviceError(
            "--device gpu: TensorFlow finds no GPU. On Linux and WSL2 install it with "
            "`pip install 'tensorflow[and-cuda]'`; on macOS and Windows use --device cpu"
        )
    return tensorflow


# Prints what it read, unless the last byte is a zero, which means that the block succeeded.
_KEEPER = "import sys; held = sys.stdin.buffer.read(); held.endswith(b'\\0') or sys.stderr.buffer.write(held)"


@contextlib.contextmanager
def quiet_standard_error():
    """Holds back all text on file descriptor 2, also from C++. Prints it if the block fails.

    Needed because TensorFlow prints before it reads its log level. Another process holds the text, so it is printed
    even if this process is aborted: TensorFlow aborts it on a CPU without the instructions that it needs.
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
    """True if the training step should be compiled with XLA: on a GPU, but not on a CPU.

    On a CPU, XLA's convolutions are slower than oneDNN's. XLA is not used on a GPU of compute capability 10
    or more (Blackwell) with TensorFlow before 2.22: compiling for it ends the whole process.
    """
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus or platform.system() != "Linux":  # TensorFlow's plugin for Apple's GPUs has no XLA
        return False
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return capability < (10, 0) or tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 22)


def fused(function):
    """`function` as a tf.function, compiled with XLA to one pass over its arrays. For elementwise arithmetic.

    On a CPU, XLA is fast at this, unlike at convolutions. XLA is used on Linux only, because it is untested elsewhere,
    and on a GPU only if use_xla().
    """
    xla = platform.system() == "Linux" and (use_xla() or not tf.config.get_visible_devices("GPU"))
    return tf.function(function, jit_compile=xla, autograph=False)


@functools.cache
def uses_bfloat16():
    """True if training should multiply matrices in bfloat16: on CPUs with matrix units for it (Intel's AMX).

    There it is 1.7 times as fast, and the digits are as good. It is slower on other CPUs, even on those with
    AVX512_BF16 but no AMX: an iteration took 74 ms there, and 52 ms in float32.
    """
    with contextlib.suppress(OSError):
        return uses_onednn() and not tf.config.get_visible_devices("GPU") and "amx_bf16" in CPU_INFO.read_text()
    return False


@contextlib.contextmanager
def training_passes():
    """A block in which TensorFlow's graph optimizer runs two more passes, which make training quicker.

    `remapping` fuses a convolution with its LeakyReLU (see training_layers). If uses_bfloat16(), the other pass
    multiplies matrices in bfloat16; variables and sums stay float32.
    """
    before = tf.config.optimizer.get_experimental_options()
    passes = {"remapping": True, "auto_mixed_precision_onednn_bfloat16": uses_bfloat16()}
    tf.config.optimizer.set_experimental_options(passes)
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before.get(name, False) for name in passes})


def multiplies_in_bfloat16():
    """True if training_passes rounds matrix products to bfloat16. Computes one to find out.

    Reading the setting would prove nothing: TensorFlow ignores options that it does not know.
    """
    first, second = tf.fill([64, 64], 1 + 2**-9), tf.ones([64, 64])  # bfloat16 rounds 1 + 2^-9 to 1; TF32 does not
    with training_passes():
        product = tf.function(tf.matmul, autograph=False)(first, second)
    return float(product[0, 0]) == 64.0


def device_name():
    """The device in words: the GPU's name, or the number of CPU cores that this process may use."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"CPU, {usable_cores()} cores"


def describe():
    """The device and its settings, for the record of a run."""
    return {"name": device_name(), "xla": use_xla(), "onednn": uses_onednn(), "bfloat16": multiplies_in_bfloat16()}


def usable_cores():
    """The number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def uses_onednn():
    """True if TensorFlow uses oneDNN on the CPU, as import_tensorflow asks it to."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1"


def package_versions():
    """The versions of Python and of the packages that results depend on, by name."""
    found = {"Python": platform.python_version()}
    for package in ("tensorflow", "keras", "numpy"):
        with contextlib.suppress(PackageNotFoundError):  # tensorflow may have another name, such as tensorflow-cpu
            found[package] = version(package)
    return found
