"""Several GPUs and several machines: replicas that do each iteration together, by TensorFlow's strategies.

Each replica takes its share of every batch, and the gradients are averaged. All else is equal on all replicas. The code
is written for any strategy. A single device has TensorFlow's default strategy, which does nothing.
"""

import contextlib
import faulthandler
import functools
import json
import os
import platform
import re
import signal

from support import device, randomness
from support.console import handling, warn
from support.errors import InputError
from support.lazy import tf

FEWEST = 32  # images per GPU: with fewer, it spends most of its time on starting operations
_joined = None  # the strategy of several replicas


def strategy():
    """The strategy of this process."""
    return _joined or tf.distribute.get_strategy()


def count():
    """The number of replicas on all machines."""
    return strategy().num_replicas_in_sync


def workers():
    """(number of processes, number of this one) from the environment variable TF_CONFIG; (1, 0) without it.

    Launchers and Kubernetes operators set it to the addresses of all processes and the place of this one.
    """
    text = os.environ.get("TF_CONFIG", "{}")
    try:
        config = json.loads(text)
        addresses = config.get("cluster", {})
        names = [(kind, number) for kind in ("chief", "worker") for number in range(len(addresses.get(kind, [])))]
        if len(names) < 2:
            return 1, 0
        if not all(re.fullmatch(r".+:\d+", addresses[kind][number]) for kind, number in names):
            raise ValueError
        return len(names), names.index((config["task"]["type"], int(config["task"]["index"])))
    except (ValueError, TypeError, KeyError, AttributeError):
        example = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
        raise InputError(
            f"TF_CONFIG is {text[:200]!r}: it must hold the workers' addresses and this one's place, as in {example}"
        ) from None


def is_chief():
    """True in the process that writes files and prints."""
    return workers()[1] == 0


def start(options, training=False):
    """Imports TensorFlow for options.device. For training, joins the other processes or the GPUs of this machine."""
    device.import_tensorflow(options.device, functools.partial(join, options) if training else None)


def join(options):
    """Joins the other processes of TF_CONFIG, or the GPUs of this machine. Call it before anything is computed.

    Ends this process if the others do not start in options.worker_timeout seconds. Raises InputError.
    """
    global _joined
    batch, gpus = options.batch_size, len(tf.config.get_visible_devices("GPU"))
    if _joined is None and workers()[0] > 1:
        _joined = _join_workers(options.worker_timeout)
    elif _joined is None and (shares := divide(batch, gpus)) > 1:
        _joined = tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(shares)])
    if batch % count():
        raise InputError(f"--batch-size {batch} is not divisible by the number of replicas, which is {count()}")


def divide(batch, gpus):
    """The largest number of GPUs, up to `gpus`, that get equal shares of a batch, of FEWEST images or more; else 1."""
    return max((n for n in range(1, gpus + 1) if batch % n == 0 and batch // n >= FEWEST), default=1)


def _join_workers(timeout):
    """The strategy of all processes in TF_CONFIG, when all of them have started."""
    total, number = workers()
    warn(f"worker {number} waits up to {timeout} s for the others; start all {total} (--worker-timeout)")
    try:
        with _ended_after(timeout), device.quiet():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError:  # usually in a notebook
        raise InputError("TF_CONFIG is set, but this process has already computed: start a new one") from None
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0]
        raise InputError(f"worker {number} cannot join the others ({reason}): is its port in TF_CONFIG free?") from None


@contextlib.contextmanager
def _ended_after(seconds):
    """Ends the process with status 1 if the block takes longer than `seconds`. Signals end it at once.

    While TensorFlow waits for workers, no Python code runs, not even signal handlers or threads. The timer of
    faulthandler works without Python.
    """
    # TensorFlow has replaced the handler of SIGTERM.
    with handling(signal.SIG_DFL), open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


# ------------------------------------------------------------------------------------------ one compiled iteration
def use_xla():
    """True if iterations and drawing should be compiled with XLA. Strategies of several replicas do not allow it."""
    return count() == 1 and device.use_xla()


def compile_for_all(iterate, images):
    """A function without arguments that calls iterate(images) on every replica, in one compiled call.

    images: an array, copied to each device. Passed as an input; embedding it in the graph would store it twice.
    """
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    here = count() // workers()[0]  # replicas of this process; TensorFlow lists the devices of the others, too

    def copy(context):
        with tf.device(f"{kind}:{context.replica_id_in_sync_group % here}"):
            return tf.constant(images)

    copies = strategy().experimental_distribute_values_from_function(copy)

    @functools.partial(tf.function, jit_compile=use_xla(), autograph=False)
    def iterate_everywhere(copies):
        strategy().run(tf.autograph.experimental.do_not_convert(iterate), (copies,))

    def call():
        with device.training_passes():
            iterate_everywhere(copies)

    return call


def update(function):
    """A decorator: function(gradients) gets their mean over the replicas. XLA compiles it to one pass over them."""

    def update_with_mean(gradients):
        # Keras's optimizers add the gradients of all replicas.
        function([gradient / count() for gradient in gradients])

    if count() > 1:  # the replicas exchange gradients inside, which TensorFlow does not compile on its own
        return update_with_mean
    # On a CPU, XLA is fast at elementwise arithmetic, unlike at convolutions. Elsewhere than on Linux it is untested.
    on_cpu = platform.system() == "Linux" and not tf.config.get_visible_devices("GPU")
    return tf.function(update_with_mean, jit_compile=on_cpu or use_xla(), autograph=False)


def share(batches):
    """This replica's share of every batch in `batches` [n, batch, ...]. The shares together are the batch."""
    n, batch, *shape = batches.shape
    return tf.reshape(batches, [n, count(), batch // count(), *shape])[:, _number()]


def own_seeds(seeds):
    """This replica's own seeds, a list, made from `seeds`, which are the same on all replicas."""
    return [randomness.fold_in(seed, _number()) for seed in seeds]


def average(variables):
    """Sets each float variable of a list to its mean over the replicas. One call per type, because calls are slow."""
    for kind in dict.fromkeys(variable.dtype for variable in variables):
        same = [variable for variable in variables if variable.dtype == kind]
        values = [tf.identity(variable) for variable in same]
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)
        for variable, mean in zip(same, means, strict=True):
            variable.assign(mean)


def _number():
    """The number of this replica, inside an iteration."""
    return tf.distribute.get_replica_context().replica_id_in_sync_group


# --------------------------------------------------------------------------------------------- between iterations
@functools.cache
def _adder():
    """A compiled function that sums a tensor over all replicas. Without compiling, TensorFlow prints a warning."""

    def add(value):
        return strategy().reduce("SUM", strategy().run(lambda own: own, (value,)), axis=None)

    return tf.function(add, autograph=False)


def total(value):
    """The sum of a whole number over all processes. All of them must call it at the same point of the program."""
    return int(_adder()(tf.constant(value, tf.int64))) * workers()[0] // count()


def is_equal(value):
    """True if this whole number is the same in all processes."""
    return total(value) == value * workers()[0]


def wait_for_all():
    """Returns when all processes have called it. TensorFlow takes a process that ends early for a crashed one."""
    total(0)


def any_signal(asked, ask_others):
    """The number of a signal if any process got one, else None, so that all end after the same iteration.

    asked: this process's signal, or None. Several processes ask each other only if `ask_others`, because it takes
    time. It must be the same in all of them.
    """
    if workers()[0] == 1:
        return asked
    return (asked or signal.SIGTERM) if ask_others and total(bool(asked)) else None
