"""Images per second on one and on two replicas of one machine, measured in turn. The replicas share its cores.

    python benchmarks/replicas_speed.py [--rounds 3] [--iterations 40]

So this does not measure the speedup of two GPUs or two machines. It measures the cost of replicas: each has half of the
batch, and they also sum their gradients. Rows: one device; two devices in one process (MirroredStrategy, as for several
GPUs); two processes over the loopback address (MultiWorkerMirroredStrategy, as for several machines). No row fuses the
updates (devices.fused), because strategies do not allow it.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

ROWS = ("one device", "two devices", "two processes")


def measure(row, batch, iterations):
    """Real images per second that the critic sees in all replicas, measured in this process."""
    import tensorflow as tf
    from machine import iteration_seconds

    import wgan_handwritten_digits as wgan
    from support.datasets import loading
    from support.machine import devices, replicas

    if row == "two devices":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices.import_tensorflow("cpu", lambda: replicas.join(100, batch))
    if row == "two devices":
        replicas._cluster = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    devices.fused = lambda function: function
    options = wgan.complete(wgan.Options(batch_size=batch), wgan.RECIPES)
    with replicas.scope():
        training = wgan.build_training(options)
    iterate = wgan.compile_iteration(training, loading.load_dataset().train_images, options, 10_000)
    iteration_seconds(training, iterate, 3)  # compiles
    return options.n_critic * batch / iteration_seconds(training, iterate, iterations)


def run(row, batch, iterations):
    """The result of `measure` in one or two new processes."""
    command = [sys.executable, __file__, "--row", row, "--batch", str(batch), "--iterations", str(iterations)]
    environments = [os.environ]
    if row == "two processes":
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
        for server in servers:
            server.close()
        tasks = [{"type": "worker", "index": number} for number in range(2)]
        configs = [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]
        environments = [os.environ | {"TF_CONFIG": config} for config in configs]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    started = [subprocess.Popen(command, env=environment, **pipes) for environment in environments]
    return [float(process.communicate()[0]) for process in started][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(measure(options.row, options.batch, options.iterations))
        return
    from machine import machine

    batches = (32, 256)
    found = {(row, batch): [] for batch in batches for row in ROWS}
    for _ in range(options.rounds):
        for row, batch in found:
            found[row, batch].append(run(row, batch, max(5, options.iterations * 32 // batch)))
    print(f"Real images per second seen by the critic, median of {options.rounds} rounds; {machine()}\n")
    print("| replicas | " + " | ".join(f"batch {batch}" for batch in batches) + " |")
    print("|---" * (len(batches) + 1) + "|")
    for row in ROWS:
        cells = []
        for batch in batches:
            median, base = (statistics.median(found[name, batch]) for name in (row, ROWS[0]))
            cells.append(f"{median:.0f} ({median / base:.2f}×)")
        print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
