"""Trains recipes with several seeds and keeps what the tables are made from.

python benchmarks/runs.py wgan cwgan --seeds 3,4,5 [--epochs 60]

Writes to benchmarks/results, for each run, NAME_seedN.csv: its history.csv; and NAME_seedN.json: what
`evaluate_digits.py --json` says about 25,000 digits; of a recipe with labels about 60,000, with --gan-train. Once,
NAME.png: the first 20 digits of the first seed. NAME is the recipe, with --epochs 60 RECIPE_60_epochs.

The runs follow each other. The seconds in the histories mean something if the machine has nothing else to do.
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

from support.drawing import draw_digits  # noqa: E402
from support.results.models import load_generator  # noqa: E402
from support.results.pictures import save_grid  # noqa: E402
from wgan_handwritten_digits import RECIPES  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", type=lambda text: text.split(","), default=["3", "4", "5"])
    parser.add_argument("--epochs", help="instead of the recipe's")
    options = parser.parse_args()
    for recipe in options.recipes:
        for seed in options.seeds:
            keep(recipe, seed, options.epochs, picture=seed == options.seeds[0])


def keep(recipe, seed, epochs, picture):
    """Trains, evaluates, and keeps the files."""
    name = f"{recipe}{f'_{epochs}_epochs' if epochs else ''}"
    with tempfile.TemporaryDirectory() as folder:
        train = ["train", "--recipe", recipe, "--seed", seed, "--models-dir", folder, "--device", "cpu"]
        run("wgan_handwritten_digits.py", *train, *(["--epochs", epochs] if epochs else []))
        shutil.copyfile(Path(folder, "training/history.csv"), RESULTS / f"{name}_seed{seed}.csv")
        if picture:
            save_grid(
                RESULTS / f"{name}.png", next(draw_digits(load_generator(Path(folder, "generator.keras")), 20)), 20
            )
        gan_train = ["--gan-train"] if RECIPES[recipe].conditional else []
        figures = run("evaluate_digits.py", "generator.keras", "--json", *gan_train, cwd=folder)
        (RESULTS / f"{name}_seed{seed}.json").write_text(figures, encoding="utf-8")


def run(script, *arguments, cwd=None):
    """What the script prints to standard output. Its progress goes to standard error."""
    command = [sys.executable, ROOT / script, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", cwd=cwd).stdout


if __name__ == "__main__":
    main()
