"""Measures the program on a GPU and prints three tables in Markdown: training runs, drawing, iterations.

    python benchmarks/gpu_speed.py                                                    takes minutes, needs no attention
    python benchmarks/gpu_speed.py --device cpu --batches 32,64 --seeds 3 --epochs 1  a trial without a GPU

The training runs use the default recipe, each in its own process. Their history.csv has the Fréchet distance after each
epoch, so it says when each level is first reached. They come first, because TensorFlow keeps the GPU memory that a
process has used. Then drawing and iterations with several batch sizes are measured, with and without XLA in turn. Each
line is printed as soon as it is known. A case that fails, for instance because the memory is too small, is marked in
its line, and the rest goes on.

On a GPU the program compiles iterations and drawing with XLA if it can. On a CPU it does not, because that is slower.
"""

import argparse
import functools
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from epochs import LEVELS, read_history, seconds_until  # noqa: E402
from machine import iteration_seconds, machine  # noqa: E402

import wgan_handwritten_digits as wgan  # noqa: E402
from support import drawing  # noqa: E402
from support.datasets import loading  # noqa: E402
from support.errors import InputError  # noqa: E402
from support.machine import devices  # noqa: E402
from support.machine.devices import tf  # noqa: E402

BATCHES = "32,64,128,256,512,1024,2048,4096"
ROUNDS, SECONDS = 5, 1.0  # of each case; the median of the rounds counts


def numbers(text):
    return [int(number) for number in text.split(",")]


def print_row(*cells):
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_head(*names):
    print()
    print_row(*names)
    print(f"{'|---' * len(names)}|")


def attempt(measure, *arguments):
    """What `measure` returns; NaN if TensorFlow or a process fails, with the reason on standard error."""
    try:
        return measure(*arguments)
    except (tf.errors.OpError, subprocess.CalledProcessError) as error:
        print(f"gpu_speed.py: {str(error).splitlines()[0][:200]}", file=sys.stderr)
        return math.nan


def compiled_with(xla):
    """A block in which the program compiles with XLA, or without."""
    return mock.patch.object(devices, "use_xla", lambda: xla)


def prepare_iterations(batch, images, xla):
    """A function that runs iterations of the default recipe for a round and returns the mean milliseconds of one."""
    options = wgan.complete(wgan.Options(batch_size=batch), wgan.RECIPES)
    training = wgan.build_training(options)
    with compiled_with(xla):
        iterate = wgan.compile_iteration(training, images, options, 10**9)  # the learning rate hardly falls
        iteration_seconds(training, iterate, 3)  # compiles
    count = max(3, int(SECONDS / iteration_seconds(training, iterate, 3)))
    return lambda: 1e3 * iteration_seconds(training, iterate, count)


def prepare_drawing(xla, count=25_000):
    """A function that draws digits with an untrained generator, without writing them, and returns seconds."""
    generator = wgan.build_generator()
    with compiled_with(xla):
        next(drawing.draw_digits(generator, 1))  # compiles

    def draw():
        start = time.perf_counter()
        for _ in drawing.draw_digits(generator, count):
            pass
        return time.perf_counter() - start

    return draw


def medians(prepare, ways):
    """For each of `ways`, the median over the rounds of what the function that prepare(way) returns says, in turn."""
    functions = {way: attempt(prepare, way) for way in ways}
    found = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, function in functions.items():
            found[way].append(attempt(function) if callable(function) else math.nan)
    return [statistics.median(found[way]) for way in ways]


def train(device, seed, epochs):
    """The history of a training run of the default recipe: a dictionary for each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "--device", device, "--seed", seed, "--models-dir", folder]
        words += ["--epochs", epochs] if epochs else []
        subprocess.run([sys.executable, ROOT / "wgan_handwritten_digits.py", *map(str, words)], check=True)
        return read_history(Path(folder, "training/history.csv"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--batches", type=numbers, default=numbers(BATCHES))
    parser.add_argument("--seeds", type=numbers, default=[3, 4, 5], help="of the training runs")
    parser.add_argument("--epochs", type=int, help="of the training runs, instead of the recipe's")
    options = parser.parse_args()
    try:
        devices.import_tensorflow(options.device)
    except InputError as error:
        sys.exit(f"gpu_speed.py: {error}")
    print(f"{devices.device_name()}; {machine()}", flush=True)

    print_head("training run", *(f"seconds to {level}" for level in LEVELS), "at the end", "Fréchet distance")
    for seed in options.seeds:
        run = attempt(train, options.device, seed, options.epochs)
        if isinstance(run, list):
            times = [seconds_until(run, level) for level in LEVELS]
            cells = ["not reached" if math.isinf(seconds) else f"{seconds:.0f}" for seconds in times]
            print_row(f"seed {seed}", *cells, f"{run[-1]['seconds']:.0f}", f"{run[-1]['frechet_distance']:.3f}")
        else:
            print_row(f"seed {seed}", *["failed"] * (len(LEVELS) + 2))

    # On some GPUs, compiling with XLA ends the process; the program does not use it there.
    ways = (True, False) if devices.use_xla() or options.device == "cpu" else (False,)
    names = ["with XLA" if xla else "without XLA" for xla in ways]
    print_head("", *names)
    print_row("seconds for drawing 25,000 digits", *(f"{some:.2f}" for some in medians(prepare_drawing, ways)))

    images = loading.load_dataset().train_images
    print_head("batch size", *(f"ms per iteration, {name}" for name in names), "real images/s, the better one")
    for batch in options.batches:
        found = medians(functools.partial(prepare_iterations, batch, images), ways)
        measured = [some for some in found if not math.isnan(some)]
        rate = f"{1e3 * wgan.RECIPES['wgan'].n_critic * batch / min(measured):,.0f}" if measured else "nan"
        print_row(f"{batch:,}", *(f"{some:.2f}" for some in found), rate)


if __name__ == "__main__":
    main()
