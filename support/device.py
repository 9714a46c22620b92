"""The device: imports TensorFlow quietly, sets it up for a CPU or a GPU, and says what computes."""

import contextlib
import functools
import os
import platform
import sys
from pathlib import Path

from support.errors import InputError
from support.lazy import keras, np, tf

CPU_INFO = Path("/proc/cpuinfo")


def import_tensorflow(device="auto", join=None):
    """Imports TensorFlow without its messages, and sets it up. device: "auto", "cpu" or "gpu".

    join: a function, called before anything is computed: only then can this process join others. Only the first import
    sets the device, because TensorFlow reads it once. Raises InputError if TensorFlow cannot be imported, and if device
    is "gpu" and it finds none.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # oneDNN is off by default on CPUs without AVX-512, but makes training 1.5 times as fast there, too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with quiet():
        tensorflow = _import()
        if device == "cpu":
            with contextlib.suppress(RuntimeError):  # the devices are already in use, as in a notebook
                tensorflow.config.set_visible_devices([], "GPU")
        gpus = tensorflow.config.get_visible_devices("GPU")
        for gpu in gpus:  # otherwise TensorFlow takes nearly all of the GPU's memory at once
            with contextlib.suppress(RuntimeError):
                tensorflow.config.experimental.set_memory_growth(gpu, True)
        if device == "gpu" and not gpus:
            raise InputError(
                "--device gpu: TensorFlow finds no GPU. On Linux and WSL2 install it with "
                "`pip install 'tensorflow[and-cuda]'`; on macOS and Windows use --device cpu"
            )
    if join:
        join()
    with quiet():
        tensorflow.config.list_logical_devices()  # starts the devices, without their messages


def _import():
    """The module tensorflow. Keras is set up, too. Raises InputError."""
    try:
        import keras
        import tensorflow
    except Exception as error:  # a missing or broken package, or a keras.json with any content
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"TensorFlow or Keras cannot be imported ({reason}): install requirements.txt (is the virtual environment "
            "active?), or repair keras.json"
        ) from None
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Keras already runs with the backend {keras.backend.backend()!r}: "
            "start a new process with KERAS_BACKEND=tensorflow"
        )
    # A user's keras.json may set other values; on a CPU, TensorFlow has no convolutions with channels_first.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    return tensorflow


@contextlib.contextmanager
def quiet():
    """A block without text on file descriptor 2, also from C++: TensorFlow prints before it reads its log level."""
    sys.stderr.flush()
    standard_error = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)


def use_xla():
    """True if iterations and drawing should be compiled with XLA: on a GPU, but not on a CPU.

    On a CPU, XLA's convolutions are slower than oneDNN's. XLA is not used on a GPU of compute capability 10
    or more (Blackwell) with TensorFlow before 2.22: compiling for it ends the whole process.
    """
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus or platform.system() != "Linux":  # TensorFlow's plugin for Apple's GPUs has no XLA
        return False
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return capability < (10, 0) or tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 22)


@functools.cache
def uses_bfloat16():
    """True if training should multiply matrices in bfloat16: on CPUs with matrix units for it (Intel's AMX).

    There it is 1.7 times as fast, and the digits are as good. It is slower on other CPUs, even on those with
    AVX512_BF16 but no AMX: an iteration took 74 ms there, and 52 ms in float32.
    """
    with contextlib.suppress(OSError):
        return uses_onednn() and not tf.config.get_visible_devices("GPU") and "amx_bf16" in CPU_INFO.read_text()
    return False


def uses_onednn():
    """True if TensorFlow uses oneDNN on the CPU, as import_tensorflow asks it to."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1"


@contextlib.contextmanager
def training_passes():
    """A block in which TensorFlow's graph optimizer runs two more passes, which make training quicker.

    `remapping` fuses a convolution with its LeakyReLU (see quick_layers.py). If uses_bfloat16(), the other pass
    multiplies matrices in bfloat16; variables and sums stay float32.
    """
    before = tf.config.optimizer.get_experimental_options()
    passes = {"remapping": True, "auto_mixed_precision_onednn_bfloat16": uses_bfloat16()}
    tf.config.optimizer.set_experimental_options(passes)
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before.get(name, False) for name in passes})


def describe():
    """The device and its settings, for the record of a run."""
    gpus = tf.config.get_visible_devices("GPU")
    name = f"CPU, {usable_cores()} cores"
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return {"name": name, "xla": use_xla(), "onednn": uses_onednn(), "bfloat16": uses_bfloat16()}


def usable_cores():
    """The number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def package_versions():
    """The versions of Python and of the packages that results depend on, by name."""
    packages = {"tensorflow": tf, "keras": keras, "numpy": np}
    return {"Python": platform.python_version(), **{name: found.__version__ for name, found in packages.items()}}
