"""Several devices, several processes: the same training as one alone does, and what happens when one is lost.

Devices are logical ones of the CPU, processes talk over the loopback address.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, SCRIPT

from support.machine import replicas
from support.machine.devices import DeviceError

TRAIN = ("train", "--epochs", 16, "--batch-size", 32, "--seed", 5)

# Two devices in one process. The generator of "plain" has no batch norm, which is each replica's own.
LOGICAL = """
import contextlib, signal, sys
from types import SimpleNamespace
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import wgan_handwritten_digits as wgan
from support.machine import devices
from support.datasets import loading
from support.machine import replicas
from support.command_line import interrupts
count, data, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
devices.import_tensorflow("cpu")
devices.uses_bfloat16 = lambda: False
if count > 1:
    replicas._cluster = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)])

def build_plain_generator(latent_dim, choices, seed, layers=None):
    kernel = keras.initializers.RandomNormal(0.0, 0.05, seed=seed)
    layers = [keras.Input((latent_dim,)), keras.layers.Dense(784, activation="tanh", kernel_initializer=kernel)]
    return keras.Sequential([*layers, keras.layers.Reshape((28, 28, 1))])

wgan.NETWORKS["plain"] = wgan.build_critic, build_plain_generator
special = {"networks": "plain", "clip_scaled": True, "centred": True, "decay": False, "reuse_images": True}
wgan.RECIPES["plain"] = wgan.Recipe(3, 32, 2, 1e-4, 16, 2.0, **special)
digits = loading.load_dataset(data)
built, build_training = [], wgan.build_training

def keep(options, labels=()):
    built.append(build_training(options, labels))
    return built[-1]

wgan.build_training = keep

def equal_on_all_replicas():
    # The random state of dropout aside, which no iteration depends on.
    for variable in built[-1].variables:
        one, other = (value.numpy() for value in replicas._cluster.experimental_local_results(variable))
        assert (one == other).all() or "seed_generator" in variable.name, variable.name

def train(recipe, name, **more):
    options = wgan.Options(recipe=recipe, epochs=2, batch_size=32, models_dir=f"{folder}/{name}", **more)
    return wgan.train(digits, options)

# RMSprop turns rounding errors into whole steps where a gradient is nearly zero.
rmsprop, keras.optimizers.RMSprop = keras.optimizers.RMSprop, lambda rate, rho: keras.optimizers.SGD(10 * rate)
average, critic = train("plain", "plain")
keras.optimizers.RMSprop = rmsprop
found = {f"plain_{n}": value for n, value in enumerate([*critic.get_weights(), *average.get_weights()])}
if count > 1:
    equal_on_all_replicas()
for recipe in ("wgan", "dcgan") if count > 1 else ():
    average, critic = train(recipe, recipe)
    equal_on_all_replicas()
    whole = [*critic.get_weights(), *average.get_weights()]
    deferred = interrupts.deferred
    interrupts.deferred = lambda: contextlib.nullcontext(SimpleNamespace(asked=signal.SIGTERM))
    try:
        train(recipe, recipe + "_broken")
        raise SystemExit("it went on")
    except interrupts.Interrupted:
        pass
    interrupts.deferred = deferred
    average, critic = train(recipe, recipe + "_broken", resume=True)
    for one, other in zip(whole, [*critic.get_weights(), *average.get_weights()], strict=True):
        np.testing.assert_array_equal(one, other)
if count > 1:
    options = wgan.complete(wgan.Options(recipe="wgan-gp", batch_size=8), wgan.RECIPES)
    with replicas.scope():
        training = wgan.build_training(options)
    wgan.compile_iteration(training, digits.train_images, options, 9)()
    for variable in training.variables:  # the sums of the losses included
        one, other = (value.numpy() for value in replicas._cluster.experimental_local_results(variable))
        assert (one == other).all() and np.isfinite(one).all(), variable.name
    seeds = replicas._cluster.run(lambda: replicas._own_seeds(tf.constant([[1, 2], [3, 4]])))
    one, other = (value.numpy() for value in replicas._cluster.experimental_local_results(seeds))
    assert (one != other).any(1).all()
np.savez(f"{folder}/found.npz", **found)
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does_and_resume_exactly(small_data, tmp_path):
    found = {}
    for count in (1, 2):
        (tmp_path / str(count)).mkdir()
        command = [sys.executable, "-c", LOGICAL, str(count), str(small_data), str(tmp_path / str(count))]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        with np.load(tmp_path / str(count) / "found.npz") as file:
            found[count] = [file[name] for name in file.files]
    for one, two in zip(found[1], found[2], strict=True):
        assert np.linalg.norm(one - two) <= 1e-3 * np.linalg.norm(one) + 1e-6  # sums in another order


def free_port():
    """A free port below those that operating systems give out, so that nobody is given it before it is used.

    It cannot be held until then: the server of TensorFlow takes no port that another socket is bound to.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port


def workers(command, folders, **more):
    """Starts a process for each of `folders`, in it, as the workers of one cluster; returns them.

    command: that of all, a list, or a list of such, one for each.
    """
    commands = command if isinstance(command[0], list) else [command] * len(folders)
    addresses = [f"127.0.0.1:{free_port()}" for _ in folders]
    started = []
    for number, (folder, command) in enumerate(zip(folders, commands, strict=True)):
        folder.mkdir(exist_ok=True)
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        environment = os.environ | {"TF_CONFIG": json.dumps(config)} | more
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(list(map(str, command)), cwd=folder, env=environment, **pipes))
    return started


def finish(started):
    """Waits for all of the processes; their exit statuses and what they wrote on standard error."""
    try:
        errors = [process.communicate(timeout=150)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], errors


def script(*arguments):
    return [sys.executable, SCRIPT, "--device", "cpu", *arguments]


# A worker that keeps the weights that it ends with.
KEEP = """
import os, sys
import numpy as np
import wgan_handwritten_digits as wgan
train = wgan.train
def keep(*arguments):
    average, critic = train(*arguments)
    np.savez("weights.npz", *critic.get_weights(), *average.get_weights())
    return average, critic
wgan.train = keep
sys.exit(wgan.main(sys.argv[1:]))
"""


def weights(folder):
    with np.load(folder / "weights.npz") as file:
        return [file[name] for name in file.files]


@pytest.fixture(scope="module")
def pair(small_data, tmp_path_factory):
    """Two workers, each in a folder of its own, that trained to the end."""
    folders = [tmp_path_factory.mktemp("workers") / name for name in ("chief", "other")]
    command = [sys.executable, "-c", KEEP, "--device", "cpu", *TRAIN, "generate", "--data", small_data, "--images", 20]
    statuses, errors = finish(workers(command, folders, PYTHONPATH=str(ROOT)))
    assert statuses == [0, 0], errors
    return folders, errors


@pytest.mark.slow
def test_both_workers_end_with_the_same_weights(pair):
    for one, other in zip(*map(weights, pair[0]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_chief_alone_writes_and_speaks(pair):
    (chief, other), (spoken, silence) = pair
    assert sorted(path.name for path in other.iterdir()) == ["weights.npz"]
    assert silence == ""
    assert all(line.startswith(("wgan trains", "epoch ", "20 digits", "next: ")) for line in spoken.splitlines()), (
        spoken
    )
    assert {"generator.keras", "critic.keras", "training"} <= {path.name for path in (chief / "saved_models").iterdir()}
    assert len(list((chief / "generated_images").glob("*.png"))) == 20
    assert (
        json.loads((chief / "saved_models/training/run.json").read_text(encoding="utf-8"))["about"]["device"][
            "replicas"
        ]
        == 2
    )


def started_and_training(command, folder):
    """Two workers in one folder, when they have saved a checkpoint."""
    started = workers(command, [folder, folder])
    deadline = time.monotonic() + 120
    while not list(folder.glob("saved_models/training/checkpoints/step_*.npz")) and time.monotonic() < deadline:
        time.sleep(0.05)
    if not list(folder.glob("saved_models/training/checkpoints/step_*.npz")):
        pytest.fail(f"no checkpoint: {finish(started)}")
    return started


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are not delivered on Windows")
def test_a_signal_to_one_worker_ends_both_and_both_resume_to_the_same_weights(pair, small_data, tmp_path):
    command = script(*TRAIN, "--data", small_data)
    started = started_and_training(command, tmp_path)
    started[1].send_signal(signal.SIGTERM)
    statuses, errors = finish(started)
    assert statuses == [143, 143], errors
    assert "--resume" in errors[0].splitlines()[-1]
    assert errors[1].splitlines()[-1].endswith("stopped by SIGTERM")  # it knows of no checkpoint, and claims nothing
    statuses, errors = finish(workers([*command, "--resume"], [tmp_path, tmp_path]))
    assert statuses == [0, 0], errors
    checkpoint = "saved_models/training/checkpoints/step_000000064.npz"
    with np.load(tmp_path / checkpoint) as resumed, np.load(pair[0][0] / checkpoint) as whole:
        for name in set(whole.files) - {"record"}:
            np.testing.assert_array_equal(resumed[name], whole[name])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are not delivered on Windows")
def test_a_signal_at_the_end_of_an_epoch_ends_both(small_data, tmp_path):
    """Epochs of two iterations: whenever the workers look for signals, an epoch ends."""
    length = ("--batch-size", 64, "--n-critic", 2, "--epochs", 10_000)
    started = started_and_training(script("train", *length, "--data", small_data), tmp_path)
    started[1].send_signal(signal.SIGTERM)
    statuses, errors = finish(started)
    assert statuses == [143, 143], errors
    assert "--resume" in errors[0].splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_worker_is_killed_the_other_ends_with_a_clear_line(small_data, tmp_path, victim):
    started = started_and_training(script(*TRAIN, "--epochs", 1000, "--data", small_data), tmp_path)
    started[victim].kill()
    killed = time.monotonic()
    statuses, errors = finish(started)
    assert time.monotonic() - killed < 60
    assert statuses[1 - victim] == 1, errors
    assert "another worker was lost" in errors[1 - victim].splitlines()[-1]
    assert "Traceback" not in errors[1 - victim]
    assert list(tmp_path.glob("saved_models/training/checkpoints/step_*.npz"))


@pytest.mark.slow
def test_a_worker_that_never_comes_is_not_waited_for_without_an_end(small_data, tmp_path):
    command = script(*TRAIN, "--data", small_data, "--worker-timeout", 3)
    first, second = workers(command, [tmp_path, tmp_path])
    second.kill()
    (status, _), errors = finish([first, second])
    assert status == 1
    assert errors[0].splitlines()[-1].startswith("worker 0: waited 3 s") and "--worker-timeout" in errors[0]


@pytest.mark.slow
def test_a_batch_that_cannot_be_divided_is_refused(small_data, tmp_path):
    started = workers(script(*TRAIN, "--batch-size", 33, "--data", small_data), [tmp_path, tmp_path])
    statuses, errors = finish(started)
    assert statuses == [2, 2]
    assert all("--batch-size 33" in error.splitlines()[-1] for error in errors)
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize(
    "text",
    [
        '{"cluster": {"worker": "ab"}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": [1, 2]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a", "b:x"]}, "task": {"type": "worker", "index": 0}}',
        *("no json", "[]", '{"cluster": {"worker": ["a:1", "b:1"]}}', '{"cluster": 7, "task": {}}'),
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
    ],
)
def test_a_tf_config_that_cannot_be_meant_is_one_clear_line(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(DeviceError, match="TF_CONFIG") as error:
        replicas.workers_in_environment()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("gpus", "batch", "used"), [(0, 32, 1), (8, 32, 1), (8, 256, 8), (3, 256, 2), (8, 96, 3), (4, 100, 2), (2, 65, 1)]
)
def test_a_batch_is_divided_evenly_among_as_many_gpus_as_it_is_worth(gpus, batch, used):
    assert replicas.share_among(gpus, batch) == used


def test_a_second_training_in_one_process_keeps_to_the_replicas_of_the_first(monkeypatch):
    monkeypatch.setattr(replicas, "_cluster", SimpleNamespace(num_replicas_in_sync=8))
    replicas.join(100, 64)
    with pytest.raises(DeviceError, match="100 is not divisible by 8"):
        replicas.join(100, 100)


@pytest.mark.slow
def test_workers_with_different_options_do_not_train(small_data, tmp_path):
    commands = [script(*TRAIN, "--data", small_data, "--learning-rate", rate) for rate in (0.001, 0.002)]
    statuses, errors = finish(workers(commands, [tmp_path, tmp_path]))
    assert statuses == [1, 1], errors
    assert any("the same options" in error.splitlines()[-1] for error in errors)
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_clear_line(small_data, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = {"cluster": {"worker": [address, "127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}
        command = list(map(str, script(*TRAIN, "--data", small_data, "--worker-timeout", 60)))
        environment = os.environ | {"TF_CONFIG": json.dumps(config)}
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert process.returncode == 2, process.stderr
    assert "port" in process.stderr.splitlines()[-1] and "Traceback" not in process.stderr


def test_tf_config_says_who_is_who(monkeypatch):
    assert replicas.workers_in_environment() == (1, 0)
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}
    for task, number in ((("chief", 0), 0), (("worker", 0), 1), (("worker", 1), 2)):
        config = {"cluster": cluster, "task": dict(zip(("type", "index"), task, strict=True))}
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        assert replicas.workers_in_environment() == (3, number)
        assert replicas.is_chief() == (number == 0)
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}})
    )
    assert replicas.workers_in_environment() == (1, 0)
