"""Trains recipes with several seeds and keeps what the tables are made from.

python benchmarks/runs.py wgan cwgan --seeds 3,4,5 [--epochs 60]

For each run: benchmarks/results/NAME_seedN.csv, its history.csv, and NAME_seedN.json, what `evaluate_digits.py --json`
says about 25,000 digits; of a recipe with labels about 60,000, with --gan-train. NAME is the recipe, with
--epochs 60 RECIPE_60_epochs. Everything runs one after the other: on a machine with nothing else to do, the seconds in
history.csv can be compared.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
sys.path.insert(0, str(ROOT))

from wgan_handwritten_digits import RECIPES  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", type=lambda text: text.split(","), default=["3", "4", "5"])
    parser.add_argument("--epochs", help="instead of the recipe's")
    options = parser.parse_args()
    for recipe in options.recipes:
        for seed in options.seeds:
            keep(recipe, seed, options.epochs)


def keep(recipe, seed, epochs):
    """Trains, evaluates, and copies the two files."""
    name = f"{recipe}{f'_{epochs}_epochs' if epochs else ''}_seed{seed}"
    with tempfile.TemporaryDirectory() as folder:
        train = ["train", "--recipe", recipe, "--seed", seed, "--models-dir", folder, "--device", "cpu"]
        run("wgan_handwritten_digits.py", *train, *(["--epochs", epochs] if epochs else []))
        shutil.copyfile(Path(folder, "training/history.csv"), RESULTS / f"{name}.csv")
        gan_train = ["--gan-train"] if RECIPES[recipe].conditional else []
        figures = run("evaluate_digits.py", "generator.keras", "--json", *gan_train, cwd=folder)
        (RESULTS / f"{name}.json").write_text(figures, encoding="utf-8")


def run(script, *arguments, cwd=None):
    """What the script prints to standard output. Its progress goes to standard error."""
    command = [sys.executable, ROOT / script, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", cwd=cwd).stdout


if __name__ == "__main__":
    main()
