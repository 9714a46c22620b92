"""How time and memory grow with the batch, the data and the number of images; and how long a start takes.

    python benchmarks/growth.py [--rounds 3] [--iterations 100] [--picture benchmarks/results/growth.png]

Each number comes from a separate process on the CPU and is the median of several rounds. The time of an epoch is
computed from some of its iterations, without compiling. The time of drawing includes the import of TensorFlow and ends
with the last renamed file. Memory is the peak of the process; TensorFlow alone takes about 500 MiB. Datasets larger
than MNIST are MNIST repeated. The time from the command to the first iteration cannot be seen from outside. So a whole
run of one iteration on 64 digits is timed, which also writes its checkpoint, pictures and models.
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
from machine import iteration_seconds, machine  # noqa: E402

import wgan_handwritten_digits as wgan  # noqa: E402
from support.datasets import loading  # noqa: E402
from support.machine import devices  # noqa: E402

BATCHES = (32, 64, 128, 256, 512, 1024)
REPEATS = (1, 5, 10, 20)
COUNTS = (25_000, 50_000, 100_000, 200_000)
STARTS = 5  # of each command


def epoch_seconds(batch, repeats, iterations):
    """Seconds per epoch of the default recipe with this batch size, on MNIST repeated `repeats` times."""
    devices.import_tensorflow("cpu")
    images = np.tile(loading.load_dataset().train_images, (repeats, 1, 1))
    options = wgan.complete(wgan.Options(batch_size=batch), wgan.RECIPES)
    training = wgan.build_training(options)
    iterate = wgan.compile_iteration(training, images, options, 10_000)
    iterations = max(10, iterations * 32 // batch)
    iteration_seconds(training, iterate, 3)  # compiles
    seconds = iteration_seconds(training, iterate, iterations)
    return seconds * len(images) / (options.n_critic * batch)


def generation_seconds(count):
    """Seconds to draw and write `count` images, including TensorFlow's import."""
    model = ROOT / "saved_models/pretrained/wgan/generator.keras"
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        words = ["generate", "--device", "cpu", "--model", model, "--images", count, "--images-dir", folder]
        assert wgan.main(list(map(str, words))) == 0
        return time.perf_counter() - start


def measured(*words):
    """[seconds, peak MiB] of a process that runs this file with `--one` and these words."""
    command = [sys.executable, __file__, "--one", *map(str, words)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return json.loads(lines[-1])


def one(kind, *numbers):
    """Prints what `measured` returns."""
    import resource  # not on Windows

    run = {"epoch": epoch_seconds, "images": generation_seconds}[kind]
    seconds = run(*map(int, numbers))
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit]))


def start_seconds():
    """{name: median seconds} of commands that do little besides starting."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/few.npz", x_train=loading.load_dataset().train_images[:64])
        train = ["train", "--device", "cpu", "--epochs", "1", "--data", "few.npz", "--models-dir", "models"]
        commands = {"`--help`": (0, ["--help"]), "a mistyped option": (2, ["--epoch", "3"])}
        commands |= {"a run of one iteration": (0, train)}
        found = {name: [] for name in commands}
        for _ in range(STARTS):
            for name, (status, words) in commands.items():
                start = time.perf_counter()
                process = subprocess.run([sys.executable, str(SCRIPT), *words], cwd=folder, capture_output=True)
                found[name].append(time.perf_counter() - start)
                assert process.returncode == status, process.stderr
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def draw(path, panels):
    """Writes plots of time and memory to `path`. panels: {"title, x axis": {number: (seconds, MiB)}}."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, len(panels))
    for (title, points), (upper, lower) in zip(panels.items(), axes.T, strict=True):
        for axis, part, label in ((upper, 0, "seconds"), (lower, 1, "peak memory, MiB")):
            axis.plot(list(points), [values[part] for values in points.values()], marker="o")
            axis.set(title=title if part == 0 else None, xlabel=title.split(",")[1], ylabel=label, ylim=(0, None))
            axis.grid(alpha=0.3)
            if "batch" in title:
                axis.set_xscale("log", base=2)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--iterations", type=int, default=100, help="of batch 32; fewer of larger ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--picture", metavar="FILE")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return one(*options.one)
    starts = start_seconds()
    points = {
        "one epoch, batch size": {batch: ("epoch", batch, 1, options.iterations) for batch in BATCHES},
        "one epoch, multiples of MNIST": {times: ("epoch", 32, times, options.iterations) for times in REPEATS},
        "drawing and writing, images": {count: ("images", count) for count in COUNTS},
    }
    found = {title: {number: [] for number in some} for title, some in points.items()}
    for _ in range(options.rounds):
        for title, some in points.items():
            for number, words in some.items():
                found[title][number].append(measured(*words))
    panels = {
        title: {number: tuple(map(statistics.median, zip(*pairs, strict=True))) for number, pairs in some.items()}
        for title, some in found.items()
    }
    print(machine(), end="\n\n")
    print(f"| command | seconds, median of {STARTS} |\n|---|---|")
    for name, seconds in starts.items():
        print(f"| {name} | {seconds:.2f} |")
    for title, points in panels.items():
        print(f"\n| {title} | seconds | peak memory, MiB |\n|---|---|---|")
        for number, (seconds, memory) in points.items():
            print(f"| {number:,} | {seconds:.1f} | {memory:.0f} |")
    if options.picture:
        draw(options.picture, panels)


if __name__ == "__main__":
    main()
