"""What a GPU brings: tables in Markdown of iterations, of drawing, and of the time until the digits are good.

    python benchmarks/gpu_speed.py                                                    takes minutes, needs no attention
    python benchmarks/gpu_speed.py --device cpu --batches 32,64 --seeds 3 --epochs 1  a trial without a GPU

Iterations of the default recipe with several batch sizes, with and without XLA, are measured in one process, in turn.
So is drawing. Then default training runs follow, each in its own process; their history.csv says when the Fréchet
distance is below each level, at an epoch's end. Each line is printed as soon as it is known. A case that fails, for
instance because the memory is too small, is named in its line, and the rest goes on.

The program always uses XLA on a GPU, where it can, and never on a CPU: there its convolutions are many times slower.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from epochs import LEVELS, history, seconds_until  # noqa: E402
from machine import iteration_seconds, machine  # noqa: E402

import wgan_handwritten_digits as wgan  # noqa: E402
from support import drawing  # noqa: E402
from support.datasets import loading  # noqa: E402
from support.errors import InputError  # noqa: E402
from support.machine import devices  # noqa: E402
from support.machine.devices import tf  # noqa: E402

BATCHES = "32,64,128,256,512,1024,2048,4096"
ROUND = 2.0  # seconds that a round of iterations should take
XLA = (True, False)


def numbers(text):
    return [int(number) for number in text.split(",")]


def compiled_with(xla):
    """A block in which the program compiles with XLA, or without."""
    return mock.patch.object(devices, "use_xla", lambda: xla)


def iterations(batch, images, rounds):
    """Median seconds per iteration {with XLA: seconds} of the default recipe with this batch size."""
    options, runs, seconds = wgan.complete(wgan.Options(batch_size=batch), wgan.RECIPES), {}, {}
    for xla in XLA:
        with compiled_with(xla):
            training = wgan.build_training(options)
            iterate = wgan.compile_iteration(training, images, options, 10_000)
            iteration_seconds(training, iterate, 3)  # compiles
        once = iteration_seconds(training, iterate, 3)
        runs[xla] = training, iterate, max(3, int(ROUND / once))
        seconds[xla] = []
    for _ in range(rounds):
        for xla, run in runs.items():
            seconds[xla].append(iteration_seconds(*run))
    return {xla: statistics.median(found) for xla, found in seconds.items()}


def drawing_rate(xla, rounds, count=25_000):
    """Images per second that an untrained generator draws, without writing them; median."""
    generator, seconds = wgan.build_generator(), []
    with compiled_with(xla):
        next(drawing.draw_digits(generator, 1))  # compiles
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in drawing.draw_digits(generator, count):
            pass
        seconds.append(time.perf_counter() - start)
    return count / statistics.median(seconds)


def trained(device, seed, epochs):
    """The history of a training run of the default recipe, one dictionary for each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "--device", device, "--seed", seed, "--models-dir", folder]
        words += ["--epochs", epochs] if epochs else []
        subprocess.run([sys.executable, ROOT / "wgan_handwritten_digits.py", *map(str, words)], check=True)
        return history(Path(folder, "training/history.csv"))


def row(name, measure, cells):
    """Prints a line of a table: the name, and cells(measure()); or why it could not be measured."""
    try:
        print(f"| {name} | {' | '.join(cells(measure()))} |", flush=True)
    except (tf.errors.OpError, subprocess.CalledProcessError) as error:
        print(f"| {name} | failed: {str(error).splitlines()[0][:100]} |", flush=True)


def head(*names):
    print(f"\n| {' | '.join(names)} |\n{'|---' * len(names)}|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--batches", type=numbers, default=numbers(BATCHES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=numbers, default=[3, 4, 5], help="of the training runs")
    parser.add_argument("--epochs", type=int, help="of the training runs, instead of the recipe's")
    options = parser.parse_args()
    try:
        devices.import_tensorflow(options.device)
    except InputError as error:
        sys.exit(f"gpu_speed.py: {error}")
    images = loading.load_dataset().train_images
    print(f"{devices.device_name()}; {machine()}", flush=True)

    head("batch size", "ms per iteration, with XLA", "without XLA", "real images/s, the better one")
    n_critic = wgan.RECIPES["wgan"].n_critic
    for batch in options.batches:

        def cells(found, batch=batch):
            return [f"{found[xla] * 1e3:.2f}" for xla in XLA] + [f"{n_critic * batch / min(found.values()):,.0f}"]

        row(f"{batch:,}", lambda batch=batch: iterations(batch, images, options.rounds), cells)

    head("drawing 25,000 digits", "images/s")
    for xla in XLA:
        rate = lambda xla=xla: drawing_rate(xla, options.rounds)  # noqa: E731
        row("with XLA" if xla else "without XLA", rate, lambda rate: [f"{rate:,.0f}"])

    head("default run", *(f"seconds to {level}" for level in LEVELS), "at the end", "Fréchet distance")
    for seed in options.seeds:
        row(
            f"seed {seed}",
            lambda seed=seed: trained(options.device, seed, options.epochs),
            lambda run: [
                *(f"{seconds_until(run, level):.0f}" for level in LEVELS),
                f"{run[-1]['seconds']:.0f}",
                f"{run[-1]['frechet_distance']:.3f}",
            ],
        )


if __name__ == "__main__":
    main()
