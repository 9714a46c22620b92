"""Several devices and several processes: the same training as one alone does, and what happens when one is lost.

Devices are logical ones of the CPU. Processes talk over the loopback address.
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
from conftest import ROOT, run_script

import wgan_handwritten_digits as wgan
from support import cluster
from support.errors import InputError

TWO_DEVICES = """
import sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import wgan_handwritten_digits as wgan
from support import cluster, device
from support.data import load_dataset

device.import_tensorflow("cpu")
device.uses_bfloat16 = lambda: False
data = load_dataset(sys.argv[1])

def train():
    options = wgan.options_from({"batch_size": 16, "latent_dim": 16}, wgan.RECIPES)
    with cluster.strategy().scope():
        training = wgan.build_training(options, 10)
    iterate = wgan.compile_iteration(training, data, options)
    for _ in range(5):
        iterate()
    return training

def without_batch_norm(options, labels):  # it uses the images of its own device
    layers = [keras.Input((16,)), keras.layers.Dense(784, activation="tanh"), keras.layers.Reshape((28, 28, 1))]
    return wgan.build_critic(), keras.Sequential(layers)

def gradient_descent(network, *_):  # RMSprop turns rounding errors of tiny gradients into whole steps
    optimizer = keras.optimizers.SGD(1e-3)
    optimizer.build(network.trainable_variables)
    return optimizer

usual = wgan.build_networks, wgan.build_optimizer
wgan.build_networks, wgan.build_optimizer = without_batch_norm, gradient_descent
initial = [weight.numpy() for weight in wgan.build_training(wgan.options_from({}, wgan.RECIPES), 10).critic.weights]
one = train()
cluster._joined = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
two = train()
assert cluster.count() == 2 and not np.allclose(one.critic.weights[0], initial[0], atol=1e-5)
for alone, both in ((one.critic, two.critic), (one.generator, two.generator), (one.average, two.average)):
    for weight, other in zip(alone.get_weights(), both.get_weights(), strict=True):
        assert np.linalg.norm(weight - other) <= 1e-3 * np.linalg.norm(weight) + 1e-6  # sums in another order
np.testing.assert_allclose(one.sums.numpy(), two.sums.numpy(), rtol=1e-3)

wgan.build_networks, wgan.build_optimizer = usual
for variable in train().variables:
    here, there = (value.numpy() for value in cluster.strategy().experimental_local_results(variable))
    assert np.isfinite(here).all() and (here == there).all()
# Random numbers of dropout and of the gradient penalty.
seeds = cluster.strategy().run(lambda: cluster.own_seeds([tf.constant([1, 2])]))[0]
here, there = cluster.strategy().experimental_local_results(seeds)
assert (here.numpy() != there.numpy()).any()
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does(small_data):
    command = [sys.executable, "-c", TWO_DEVICES, str(small_data)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


# ----------------------------------------------------------------------------------------------------- two processes
# A worker that keeps what it has when the chief saves.
WORKER = """
import sys
import numpy as np
import wgan_handwritten_digits as wgan
from support.outputs.training_folder import TrainingFolder
save = TrainingFolder.save
def keep(folder, **models):
    save(folder, **models)
    np.savez("state.npz", *[variable.numpy() for variable in folder.training.variables])
TrainingFolder.save = keep
sys.exit(wgan.main(sys.argv[1:]))
"""


def free_port():
    """A free port below those that operating systems give out, so that nobody gets it before it is used."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port


def places():
    """TF_CONFIG of each of two workers."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    tasks = [{"type": "worker", "index": number} for number in range(2)]
    return [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]


def checkpoints(folder):
    return sorted(path.name for path in folder.glob("saved_models/training/checkpoints/step_*.npz"))


@contextlib.contextmanager
def two_workers(folders, *arguments):
    """Two processes, each in its folder, when they have saved a checkpoint that was not there."""
    command = [sys.executable, "-c", WORKER, "train", "--device", "cpu", *map(str, arguments)]
    pipes, before = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}, checkpoints(folders[0])
    with contextlib.ExitStack() as stack:
        started = []
        for folder, place in zip(folders, places(), strict=True):
            environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CONFIG": place}
            started.append(stack.enter_context(subprocess.Popen(command, cwd=folder, env=environment, **pipes)))
            stack.callback(started[-1].kill)
        deadline = time.monotonic() + 200
        while checkpoints(folders[0]) == before and all(worker.poll() is None for worker in started):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield started


def finish(started):
    """The exit statuses of the processes and what they wrote on standard error."""
    errors = [process.communicate(timeout=200)[1] for process in started]
    return [process.returncode for process in started], errors


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are not delivered on Windows")
def test_two_workers_train_as_one_end_on_a_signal_resume_and_notice_a_loss(small_data, tmp_path):
    folders = chief, other = tmp_path / "chief", tmp_path / "other"
    chief.mkdir()
    other.mkdir()
    # Epochs of ten iterations: whenever the workers ask each other for signals, an epoch ends.
    options = ("--data", small_data, "--batch-size", 26, "--n-critic", 1, "--epochs", 1000)
    with two_workers(folders, *options) as started:
        started[1].send_signal(signal.SIGTERM)
        statuses, errors = finish(started)
    assert statuses == [143, 143] and "--resume" in errors[0].splitlines()[-1], errors
    assert "epoch 1/" in errors[0] and "epoch 1/" not in errors[1]  # only the chief speaks and writes
    assert [path.name for path in other.iterdir()] == ["state.npz"]
    assert {"generator.keras", "critic.keras"} <= {path.name for path in (chief / "saved_models").iterdir()}
    with np.load(chief / "state.npz") as one, np.load(other / "state.npz") as two:
        assert len(one.files) > 50 and all((one[name] == two[name]).all() for name in one.files)

    saved = int(checkpoints(chief)[-1][5:-4])
    with two_workers(folders, *options, "--resume", "--models-dir", chief / "saved_models") as started:
        started[1].kill()
        (status, _), errors = finish(started)
    assert status == 1 and "another worker was lost" in errors[0].splitlines()[-1], errors
    assert f"resumes after {saved} of" in errors[0] and "Traceback" not in errors[0]
    assert int(checkpoints(chief)[-1][5:-4]) > saved


@pytest.mark.slow
@pytest.mark.parametrize(("taken", "status", "words"), [(False, 1, "waits up to 9 s"), (True, 2, "port")])
def test_a_worker_that_cannot_join_the_others_ends_with_one_line(small_data, tmp_path, taken, status, words):
    """The other one never starts, or its own port is taken."""
    environment = os.environ | {"TF_CONFIG": places()[0]}
    port = int(json.loads(environment["TF_CONFIG"])["cluster"]["worker"][0].split(":")[1])
    with socket.create_server(("127.0.0.1", port)) if taken else contextlib.nullcontext():
        process = run_script("train", "--data", small_data, "--worker-timeout", 9, cwd=tmp_path, env=environment)
    assert process.returncode == status and words in process.stderr.splitlines()[-1], process.stderr
    assert "Traceback" not in process.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        *("no json", "[]", '{"cluster": {"worker": ["a:1", "b:1"]}}', '{"cluster": 7, "task": {}}'),
        '{"cluster": {"worker": [1, 2]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a", "b:x"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
    ],
)
def test_a_tf_config_that_is_nonsense_is_one_line(monkeypatch, tmp_path, capfd, small_data, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CONFIG", text)
    assert wgan.main(["train", "--device", "cpu", "--data", str(small_data)]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "TF_CONFIG" in error
    assert not list(tmp_path.iterdir())


def test_tf_config_says_who_is_who(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.workers() == (1, 0)
    machines = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}
    for kind, index, number in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": machines, "task": {"type": kind, "index": index}}))
        assert cluster.workers() == (3, number) and cluster.is_chief() == (number == 0)


@pytest.mark.parametrize(
    ("gpus", "batch", "used"), [(0, 32, 1), (8, 32, 1), (8, 256, 8), (3, 256, 2), (8, 96, 3), (4, 100, 2), (2, 65, 1)]
)
def test_a_batch_is_divided_evenly_among_as_many_gpus_as_it_is_worth(gpus, batch, used):
    assert cluster.divide(batch, gpus) == used


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch):
    monkeypatch.setattr(cluster, "_joined", SimpleNamespace(num_replicas_in_sync=8))
    cluster.join(SimpleNamespace(batch_size=64))
    with pytest.raises(InputError, match="--batch-size 100 is not divisible by .* 8"):
        cluster.join(SimpleNamespace(batch_size=100))
