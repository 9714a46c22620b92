"""Several GPUs in one machine, several machines: replicas of a training in lockstep, and what each of them does.

Everything is the same on all replicas but the images of a batch: each takes its share, and the gradients are averaged.
TensorFlow's strategies do the work. Alone, each function here is next to nothing.
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

FEWEST = 32  # images that are worth a GPU of their own: with fewer, it mostly starts operations
_cluster = None  # the strategy, once it is made


def workers_in_environment():
    """(number of processes, own number) as TF_CONFIG has them; (1, 0) without it. Raises DeviceError.

    Kubernetes operators and launchers set it: the addresses of all processes, and which of them this one is.
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
        raise DeviceError(
            f"TF_CONFIG is {text[:200]!r}: it has to name the workers' addresses and this one's "
            'place, as in {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
        ) from None


def start(options, training=True):
    """Imports TensorFlow for options.device. For training, joins the other processes or GPUs. Raises DeviceError."""
    join_others = functools.partial(join, options.worker_timeout, options.batch_size) if training else None
    devices.import_tensorflow(options.device, join_others)


def join(timeout, batch):
    """Makes this process one of those of TF_CONFIG; waits for the others, `timeout` seconds at most, then ends it.

    Without TF_CONFIG, batches of so many images are divided among the GPUs of this machine, as far as that is worth it.
    To be called before anything is computed. Raises DeviceError.
    """
    global _cluster
    if _cluster:
        if batch % count():
            raise DeviceError(f"--batch-size {batch} is not divisible by {count()}, the number of replicas so far")
        return
    workers, number = workers_in_environment()
    if workers > 1:
        line = f"worker {number}: waited {timeout} s for the other ones; start all {workers} (--worker-timeout)"
        try:
            with _ended_after(timeout, line), devices.quiet_standard_error():
                _cluster = tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError:  # in a notebook, mostly
            raise DeviceError("TF_CONFIG is set: training takes a process in which nothing was computed yet") from None
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0]
            raise DeviceError(
                f"worker {number} cannot join the others ({reason}): is its port in TF_CONFIG free?"
            ) from None
        if batch % count():
            raise DeviceError(f"--batch-size {batch} is not divisible by the number of replicas, which is {count()}")
    elif (gpus := share_among(len(tf.config.get_visible_devices("GPU")), batch)) > 1:
        _cluster = tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(gpus)])


def share_among(gpus, batch):
    """The number of GPUs, of so many, that a batch is best divided among: equal shares, of FEWEST images at least."""
    return max((n for n in range(1, gpus + 1) if batch % n == 0 and batch // n >= FEWEST), default=1)


@contextlib.contextmanager
def _ended_after(seconds, line):
    """Ends the process with `line` on standard error and status 1 if the block takes longer.

    TensorFlow waits for workers in a call during which no Python code runs, that of signals and threads included.
    faulthandler's timer needs none; what it writes goes to a process that says the line in its place.
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
        for number, handler in signals.items():  # TensorFlow has put one of its own in the place of SIGTERM's
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def count():
    """The number of replicas, on all machines together."""
    return _cluster.num_replicas_in_sync if _cluster else 1


def several_processes():
    """True where other processes take part in this training."""
    return bool(_cluster) and bool(_cluster.cluster_resolver)


def is_chief():
    """True in the process that writes the files and speaks."""
    return workers_in_environment()[1] == 0


def scope():
    """Variables made inside are there on all replicas, with equal values."""
    return _cluster.scope() if _cluster else contextlib.nullcontext()


def use_xla():
    """True where whole iterations and drawings are to be compiled with XLA; TensorFlow's strategies allow of none."""
    return not _cluster and devices.use_xla()


def update(function):
    """A decorator: `function(gradients)` in one compiled call, with the mean of the gradients over the replicas.

    Keras's optimizers sum the gradients of all replicas, hence the division. There it is not compiled by itself.
    """
    if not _cluster:
        return devices.fused(function)
    return lambda gradients: function([gradient / count() for gradient in gradients])


def describe():
    """What computes and how, for the record of a run."""
    return {**devices.describe(), "xla": use_xla(), "replicas": count()}


def compile_for_all(iterate, images, draw_numbers, averages):
    """A function without arguments that does one iteration on every replica, in one compiled call.

    iterate(images, *numbers, seeds): the iteration. images: an array, kept on each device. It is passed as an input;
    embedding it in the graph would store it twice. draw_numbers(): a tuple of tensors [updates, batch, ...] and of
    seeds [updates, 2], the same on all replicas: each takes its share of every batch, and makes its own seeds.
    averages: a list of float variables that become their mean over the replicas after the iteration.
    """

    def iterate_on_replica(images):
        *numbers, seeds = draw_numbers()
        iterate(images, *map(_share, numbers), _own_seeds(seeds))
        _average(averages)

    function = tf.autograph.experimental.do_not_convert(iterate_on_replica)
    if not _cluster:
        return _quiet_at_first(
            functools.partial(tf.function(function, jit_compile=use_xla(), autograph=False), tf.constant(images))
        )
    places = _cluster.extended.worker_devices

    def place(context):
        with tf.device(places[context.replica_id_in_sync_group % len(places)]):
            return tf.constant(images)

    copies = _cluster.experimental_distribute_values_from_function(place)
    return _quiet_at_first(tf.function(lambda: _cluster.run(function, (copies,)), autograph=False))


def _quiet_at_first(function):
    """`function` with the graph optimizer's passes for training, and without TensorFlow's messages as it compiles."""
    compiled = False

    def call():
        nonlocal compiled
        with contextlib.nullcontext() if compiled else devices.quiet_standard_error(), devices.training_passes():
            function()
        compiled = True

    return call


def _share(values):
    """This replica's part of every batch in `values` [updates, batch, ...]: together they see what one would see."""
    if not _cluster:
        return values
    updates, batch, *shape = values.shape
    return tf.reshape(values, [updates, count(), batch // count(), *shape])[:, _number()]


def _own_seeds(seeds):
    """Seeds [updates, 2] of this replica's own, from ones that are the same on all."""
    if not _cluster:
        return seeds
    return tf.stack([randomness.fold_in(seed, _number()) for seed in tf.unstack(seeds)])


def _average(variables):
    """Sets float variables, a list, to their means over the replicas; in few calls, because each takes its time."""
    for kind in (tf.float32, tf.float64) if _cluster else ():  # one call takes values of one type
        same = [variable for variable in variables if variable.dtype == kind]
        values = [tf.identity(variable) for variable in same]
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values) if same else []
        for variable, mean in zip(same, means, strict=True):
            variable.assign(mean)


def total(value):
    """The sum over all processes of a whole number; to be called by all of them at the same point of the program."""
    return int(_adder()(tf.constant(value, tf.int64))) * workers_in_environment()[0] // count()


def equal(number):
    """True where this whole number is the same in all of several processes."""
    return total(number) == number * workers_in_environment()[0]


def wait_for_all():
    """Returns when all processes have come here: TensorFlow takes those that end early for crashed."""
    if several_processes():
        total(0)


def agree(asked, now):
    """The number of the signal that asks any process to end, or None: all have to end after the same iteration.

    Several processes ask each other only where `now` is true, as that takes time; it has to be the same in all.
    """
    if not several_processes():
        return asked
    return (asked or signal.SIGTERM) if now and total(bool(asked)) else None


@functools.cache
def _adder():
    """A function that adds a tensor up over all replicas, compiled, for TensorFlow warns of any other way."""

    def add(value):
        return _cluster.reduce("SUM", _cluster.run(lambda own: own, (value,)), axis=None)

    return tf.function(add, autograph=False)


def _number():
    return tf.distribute.get_replica_context().replica_id_in_sync_group
