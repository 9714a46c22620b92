"""Seconds and memory of drawing digits and of an epoch; how both grow; how long a start takes.

    python benchmarks/drawing_and_growth.py [--rounds 3] [--iterations 100]

Prints tables in Markdown and writes no files. Each number comes from a process of its own and is the median of the
rounds. The time of drawing is that of the whole command, which imports TensorFlow first. The time of an epoch of wgan
is computed from some iterations, without compiling. Memory is the peak of the process, but never less than that of this
one, about 140 MiB. Larger datasets are MNIST repeated. Linux and macOS only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

import machine  # noqa: E402
from loops_speed import Worker, median_of  # noqa: E402

from support.lazy import np  # noqa: E402
from wgan_handwritten_digits import RECIPES, load_dataset  # noqa: E402

COUNTS = (25_000, 50_000, 100_000, 200_000)
BATCHES = (16, 32, 64, 128, 256, 512, 1024)
TIMES = (1, 5, 10, 20)


def command(*words, status=0):
    """Seconds and peak MiB of a command of the program, in a folder that holds few.npz alone, 64 digits of MNIST."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/few.npz", x_train=load_dataset().train_images[:64])
        words = [sys.executable, str(ROOT / "wgan_handwritten_digits.py"), *map(str, words)]
        start = time.perf_counter()
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, ended, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != status:
        sys.exit(f"drawing_and_growth.py: status {process.returncode} of {' '.join(words)}")
    return seconds, machine.peak_mib(usage)


def epoch(options, batch=RECIPES["wgan"].batch_size, times=1):
    """Seconds and peak MiB of an epoch of wgan with this batch size, on MNIST repeated `times` times."""
    settings = {"recipe": "wgan", "device": options.device, "batch_size": batch}
    worker = Worker("ours", {"loop": "ours", "settings": settings, "repeats": times})
    milliseconds, _ = worker.measure(max(10, options.iterations * 32 // batch))
    worker.end()
    images = times * len(load_dataset().train_images)
    return milliseconds / 1000 * images / (RECIPES["wgan"].n_critic * batch), worker.memory


def cases(options):
    """What is measured, a list: the title of a table, the first cell of its row, a function for the others."""
    few = ["train", "--device", options.device, "--epochs", 1, "--data", "few.npz"]
    generate = ["generate", "--model", "wgan", "--device", options.device, "--images"]
    png, npz, batch, data = "drawing, PNG files", "drawing, an .npz file", "an epoch, batch", "an epoch, MNIST times"
    return [
        ("command", "`--help`", partial(command, "--help")),
        ("command", "a mistyped option", partial(command, "--epoch", 3, status=2)),
        ("command", "a run of one iteration", partial(command, *few)),
        *((png, count, partial(command, *generate, count)) for count in COUNTS),
        *((npz, count, partial(command, *generate, count, "--npz", "digits.npz")) for count in COUNTS),
        *((batch, size, partial(epoch, options, batch=size)) for size in BATCHES),
        *((data, times, partial(epoch, options, times=times)) for times in TIMES),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--iterations", type=int, default=100, metavar="N", help="of batch 32; fewer of larger ones")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--only", metavar="WORD", default="", help="only the tables with this word in the title")
    options = parser.parse_args()
    asked, found = [case for case in cases(options) if options.only in case[0]], {}
    for _ in range(options.rounds):
        for title, name, measure in asked:
            found.setdefault(title, {}).setdefault(name, []).append(measure())
    print(f"{options.rounds} rounds; {machine.describe(gpu=options.device == 'gpu')}")
    medians = {title: {name: median_of(pairs) for name, pairs in some.items()} for title, some in found.items()}
    for title, points in medians.items():
        rows = [[name, f"{seconds:.2f}", f"{memory:.0f}"] for name, (seconds, memory) in points.items()]
        print(f"\n{machine.table([title, 'seconds', 'peak memory, MiB'], rows)}")


if __name__ == "__main__":
    main()
