"""Seconds per epoch of each recipe, measured in turn in one process, and minutes of its default training run.

python benchmarks/recipes_speed.py [--rounds 5] [--iterations 20]
"""

import argparse
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from machine import iteration_seconds, machine  # noqa: E402

import wgan_handwritten_digits as wgan  # noqa: E402
from support.datasets import loading  # noqa: E402
from support.machine import devices  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=20, help="of each recipe in each round")
    options = parser.parse_args()
    devices.import_tensorflow("cpu")
    dataset = loading.load_dataset()
    images, labels = dataset.train_images, dataset.train_labels
    asked = {name: wgan.complete(wgan.Options(recipe=name), wgan.RECIPES) for name in wgan.RECIPES}
    training = {name: wgan.build_training(some) for name, some in asked.items()}
    iterate = {
        name: wgan.compile_iteration(training[name], images, some, 10_000, labels) for name, some in asked.items()
    }
    seconds = {name: [] for name in asked}
    for name in asked:
        iteration_seconds(training[name], iterate[name], 3)  # compiles
    for _ in range(options.rounds):
        for name, found in seconds.items():
            found.append(iteration_seconds(training[name], iterate[name], options.iterations))
    print(f"Median of {options.rounds} rounds of {options.iterations} iterations; {machine()}\n")
    print("| recipe | iterations per epoch | ms per iteration | seconds per epoch | epochs | minutes |")
    print("|---|---|---|---|---|---|")
    for name, found in seconds.items():
        some, each = asked[name], statistics.median(found)
        number = -(-len(images) // (some.batch_size * some.n_critic))
        epoch = each * number
        cells = f"{number:,} | {each * 1e3:.1f} | {epoch:.1f} | {some.epochs} | {epoch * some.epochs / 60:.1f}"
        print(f"| {name} | {cells} |")


if __name__ == "__main__":
    main()
