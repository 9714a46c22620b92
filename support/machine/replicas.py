"""Training on several GPUs of one machine, or on several machines: replicas that take each step together.

Each replica takes its share of every batch, and the gradients are averaged. All else is equal on all replicas.
TensorFlow's strategies do the work. With a single device these functions do almost nothing.
"""

import contextlib
import faulthandler
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading

from support.machine import devices, randomness
from support.machine.devices import DeviceError, tf

FEWEST = 32  # images per GPU: with fewer, it spends most of its time on starting operations
_cluster = None  # the strategy; None with a single device


def workers_in_environment():
    """(number of processes, number of this one) from TF_CONFIG; (1, 0) without it. Raises DeviceError.

    Launchers and Kubernetes operators set it to the addresses of all processes and the place of this one.
    """
    text = os.environ.get("TF_CONFIG", "{}")
    try:
        config = json.loads(text)
        addresses = config.get("cluster", {})
        addresses = {kind: addresses.get(kind, []) for kind in ("chief", "worker")}
        names = [(kind, number) for kind in addresses for number in range(len(addresses[kind]))]
        if len(names) < 2:
            return 1, 0
        if not all(re.fullmatch(r".+:\d+", address) for kind in addresses for address in list(addresses[kind])):
            raise ValueError
        return len(names), names.index((config["task"]["type"], int(config["task"]["index"])))
    except (ValueError, TypeError, KeyError, AttributeError):
        example = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
        line = f"TF_CONFIG is {text[:200]!r}: it must hold the workers' addresses and this one's place, as in {example}"
        raise DeviceError(line) from None


def start(options, training=True):
    """Imports TensorFlow for options.device; for training, joins other processes or GPUs. Raises DeviceError."""
    join_others = functools.partial(join, options.worker_timeout, options.batch_size) if training else None
    devices.import_tensorflow(options.device, join_others)


def join(timeout, batch):
    """Joins the other processes of TF_CONFIG. Ends this process if they do not all start in `timeout` seconds.

    Without TF_CONFIG, divides batches of `batch` images among the GPUs of this machine (see share_among). Call it
    before anything is computed. Raises DeviceError.
    """
    global _cluster
    if _cluster:
        if batch % count():
            raise DeviceError(f"--batch-size {batch} is not divisible by {count()}, the number of replicas so far")
        return
    workers, number = workers_in_environment()
    if workers > 1:
        line = f"worker {number}: waited {timeout} s for the others; start all {workers} (--worker-timeout)"
        try:
            with _ended_after(timeout, line), devices.quiet_standard_error():
                _cluster = tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError:  # usually in a notebook
            raise DeviceError("TF_CONFIG is set, but this process has already computed: start a new one") from None
        except tf.errors.OpError as error:
            line = f"worker {number} cannot join the others ({error.message.splitlines()[0]})"
            raise DeviceError(f"{line}: is its port in TF_CONFIG free?") from None
        if batch % count():
            raise DeviceError(f"--batch-size {batch} is not divisible by the number of replicas, which is {count()}")
    elif (gpus := share_among(len(tf.config.get_visible_devices("GPU")), batch)) > 1:
        _cluster = tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(gpus)])


def share_among(gpus, batch):
    """The largest number of GPUs, up to `gpus`, that get equal shares of a batch, of FEWEST images or more; else 1."""
    return max((n for n in range(1, gpus + 1) if batch % n == 0 and batch // n >= FEWEST), default=1)


@contextlib.contextmanager
def _ended_after(seconds, line):
    """Ends the process with `line` on standard error and status 1 if the block takes longer than `seconds`.

    While TensorFlow waits for workers, no Python code runs, not even signal handlers or threads. The timer of
    faulthandler works without Python. Its traceback goes to another process, which prints `line` instead.
    """
    speak = "import sys; sys.stdin.read(1) and sys.exit(sys.argv[1])"
    command, signals = [sys.executable, "-S", "-c", speak, line], {}
    if threading.current_thread() is threading.main_thread():
        signals = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as speaker:
            faulthandler.dump_traceback_later(seconds, exit=True, file=speaker.stdin)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
    finally:
        for number, handler in signals.items():  # TensorFlow has replaced that of SIGTERM
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def count():
    """The number of replicas on all machines."""
    return _cluster.num_replicas_in_sync if _cluster else 1


def several_processes():
    """True if other processes take part in this training run."""
    return bool(_cluster) and bool(_cluster.cluster_resolver)


def is_chief():
    """True in the process that writes files and prints."""
    return workers_in_environment()[1] == 0


def scope():
    """A block in which each new variable gets a copy on every replica, with equal values."""
    return _cluster.scope() if _cluster else contextlib.nullcontext()


def use_xla():
    """True if iterations and drawing should be compiled with XLA. TensorFlow's strategies do not allow it."""
    return not _cluster and devices.use_xla()


def update(function):
    """A decorator: function(gradients) gets their mean over the replicas. Keras's optimizers sum them: we divide."""
    if not _cluster:
        return devices.fused(function)
    return lambda gradients: function([gradient / count() for gradient in gradients])


def describe():
    """The device, its settings and the number of replicas, for the record of a run."""
    return {**devices.describe(), "xla": use_xla(), "replicas": count()}


def compile_for_all(iterate, images, draw_numbers, averages):
    """A function that does one iteration on every replica, in one compiled call. It takes critic_only=False.

    iterate(images, *numbers, seeds, critic_only): the iteration. images: an array, kept on each device. It is passed as
    an input; embedding it in the graph would store it twice. draw_numbers(): tensors [updates, batch, ...] and last
    seeds [updates, 2], the same on all replicas. averages: float variables, set to their mean over the replicas.
    """

    def iterate_on_replica(images, critic_only):
        *numbers, seeds = draw_numbers()
        iterate(images, *map(_share, numbers), _own_seeds(seeds), critic_only)
        _average(averages)

    function = tf.autograph.experimental.do_not_convert(iterate_on_replica)
    if not _cluster:
        on_one = tf.function(function, jit_compile=use_xla(), autograph=False)
        return _quiet_at_first(functools.partial(on_one, tf.constant(images)))
    places = _cluster.extended.worker_devices

    def place(context):
        with tf.device(places[context.replica_id_in_sync_group % len(places)]):
            return tf.constant(images)

    copies = _cluster.experimental_distribute_values_from_function(place)
    on_all = tf.function(lambda critic_only: _cluster.run(function, (copies, critic_only)), autograph=False)
    return _quiet_at_first(on_all)


def _quiet_at_first(function):
    """`function` in training_passes. The first call with each value compiles it, without TensorFlow's messages."""
    compiled = set()

    def call(critic_only=False):
        quiet = contextlib.nullcontext() if critic_only in compiled else devices.quiet_standard_error()
        with quiet, devices.training_passes():
            function(critic_only)
        compiled.add(critic_only)

    return call


def _share(values):
    """This replica's share of every batch in `values` [updates, batch, ...]. The shares together are the batch."""
    if not _cluster:
        return values
    updates, batch, *shape = values.shape
    return tf.reshape(values, [updates, count(), batch // count(), *shape])[:, _number()]


def _own_seeds(seeds):
    """This replica's own seeds [updates, 2], made from `seeds`, which are the same on all replicas."""
    if not _cluster:
        return seeds
    return tf.stack([randomness.fold_in(seed, _number()) for seed in tf.unstack(seeds)])


def _average(variables):
    """Sets each float variable of a list to its mean over the replicas. One call per type, because calls are slow."""
    for kind in (tf.float32, tf.float64) if _cluster else ():
        same = [variable for variable in variables if variable.dtype == kind]
        values = [tf.identity(variable) for variable in same]
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values) if same else []
        for variable, mean in zip(same, means, strict=True):
            variable.assign(mean)


def total(value):
    """The sum of a whole number over all processes. All of them must call it at the same point of the program."""
    return int(_adder()(tf.constant(value, tf.int64))) * workers_in_environment()[0] // count()


def equal(number):
    """True if this whole number is the same in all processes. For several processes only."""
    return total(number) == number * workers_in_environment()[0]


def wait_for_all():
    """Returns when all processes have called it. TensorFlow takes a process that ends early for a crashed one."""
    if several_processes():
        total(0)


def agree(asked, now):
    """The number of a signal if any process got one, else None, so that all end after the same iteration.

    asked: this process's signal, or None. Several processes ask each other only if `now`, because it takes time. `now`
    must be the same in all of them.
    """
    if not several_processes():
        return asked
    return (asked or signal.SIGTERM) if now and total(bool(asked)) else None


@functools.cache
def _adder():
    """A compiled function that sums a tensor over all replicas. Without compiling, TensorFlow prints a warning."""

    def add(value):
        return _cluster.reduce("SUM", _cluster.run(lambda own: own, (value,)), axis=None)

    return tf.function(add, autograph=False)


def _number():
    return tf.distribute.get_replica_context().replica_id_in_sync_group
