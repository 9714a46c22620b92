"""How time and memory grow: with the batch, with the data, with the number of images; and what a start takes.

    python benchmarks/growth.py [--iterations 100] [--picture benchmarks/results/growth.png]

Every figure comes from a process of its own. An epoch is timed on some of its iterations, compiling left out; memory is
the most that the process ever held, TensorFlow's own 500 MiB or so included. More data than MNIST is MNIST repeated.
The command from its start to its first iteration: the whole run of one iteration and the models saved, on 64 digits.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "wgan_handwritten_digits.py"
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from machine import machine  # noqa: E402

import wgan_handwritten_digits as wgan  # noqa: E402
from support import devices, mnist  # noqa: E402

BATCHES = (32, 64, 128, 256, 512, 1024)
REPEATS = (1, 5, 10, 20)
COUNTS = (25_000, 50_000, 100_000, 200_000)


def epoch_seconds(batch, repeats, iterations):
    """Seconds of an epoch of the default recipe with this batch, on MNIST repeated so often."""
    devices.import_tensorflow("cpu")
    images = np.tile(mnist.load().train_images, (repeats, 1, 1))
    options = wgan.complete(wgan.Options(batch_size=batch), wgan.RECIPES)
    training = wgan.build_training(options)
    iterate = wgan.compile_iteration(training, images, options, 10_000)
    iterations = max(5, iterations * 32 // batch)
    with devices.training_precision():
        for _ in range(3):
            iterate()
        training.sums.numpy()
        start = time.perf_counter()
        for _ in range(iterations):
            iterate()
        training.sums.numpy()
    return (time.perf_counter() - start) / iterations * len(images) / (options.n_critic * batch)


def generation_seconds(count):
    """Seconds of the command that draws and writes so many images, from its start to its end."""
    model = ROOT / "saved_models/pretrained/generator.keras"
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        wgan.main(["generate", "--model", str(model), "--images", str(count), "--images-dir", folder])
        return time.perf_counter() - start


def measured(*words):
    """(seconds, MiB at most) of a process that runs this file with `--one` and these words."""
    command = [sys.executable, __file__, "--one", *map(str, words)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return json.loads(lines[-1])


def one(kind, *numbers):
    """Prints what `measured` returns."""
    import resource  # not on Windows

    run = {"epoch": epoch_seconds, "images": generation_seconds}[kind]
    seconds = run(*map(int, numbers))
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit]))


def start_seconds(rounds=5):
    """{what: median seconds} of commands that hardly do anything."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/few.npz", x_train=mnist.load().train_images[:64])
        commands = {
            "`--help`": ["--help"],
            "a mistyped option": ["--epoch", "3"],
            "one iteration, models saved": ["train", "--epochs", "1", "--data", "few.npz", "--models-dir", "models"],
        }
        found = {}
        for name, words in commands.items():
            times = []
            for _ in range(rounds):
                start = time.perf_counter()
                subprocess.run([sys.executable, str(SCRIPT), *words], cwd=folder, capture_output=True)
                times.append(time.perf_counter() - start)
            found[name] = statistics.median(times)
    return found


def draw(path, panels):
    """A picture: for each of `panels` {title, unit: {number: (seconds, MiB)}} time and memory over the number."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, len(panels))
    for (title, points), (upper, lower) in zip(panels.items(), axes.T, strict=True):
        for axis, part, label in ((upper, 0, "seconds"), (lower, 1, "MiB at most")):
            axis.plot(list(points), [values[part] for values in points.values()], marker="o")
            axis.set(title=title if part == 0 else None, xlabel=title.split(",")[1], ylabel=label, ylim=(0, None))
            axis.grid(alpha=0.3)
        for axis in (upper, lower):
            if "batch" in title:
                axis.set_xscale("log", base=2)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--iterations", type=int, default=100, help="of batch 32; fewer of larger ones")
    parser.add_argument("--picture", metavar="FILE")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return one(*options.one)
    starts = start_seconds()
    panels = {
        "an epoch, images in a batch": {batch: measured("epoch", batch, 1, options.iterations) for batch in BATCHES},
        "an epoch, times MNIST": {times: measured("epoch", 32, times, options.iterations) for times in REPEATS},
        "drawing and writing, images": {count: measured("images", count) for count in COUNTS},
    }
    print(machine(), end="\n\n")
    print("| command | seconds, median of 5 |\n|---|---|")
    for name, seconds in starts.items():
        print(f"| {name} | {seconds:.2f} |")
    for title, points in panels.items():
        print(f"\n| {title} | seconds | MiB at most |\n|---|---|---|")
        for number, (seconds, memory) in points.items():
            print(f"| {number:,} | {seconds:.1f} | {memory:.0f} |")
    if options.picture:
        draw(options.picture, panels)


if __name__ == "__main__":
    main()
