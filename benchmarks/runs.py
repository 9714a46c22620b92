"""Trains recipes with several seeds, keeps what the tables are made from, and prints the tables.

    python benchmarks/runs.py wgan cwgan --seeds 3,4,5       trains, evaluates, prints the tables
    python benchmarks/runs.py wgan --epochs 60               the same with another number of epochs
    python benchmarks/runs.py wgan wgan_60_epochs --tables   trains nothing: prints the tables of earlier runs

Writes to benchmarks/results, for each run: NAME_seedN.csv, its history; NAME_seedN.json, what `evaluate_digits.py
--json` says about 25,000 digits (with labels: about 60,000, with --gan-train), with the CPU seconds of training and the
machine. For each name: NAME.png, the first 20 digits of the first seed. NAME is the recipe; with --epochs 60 it is
RECIPE_60_epochs.

Prints two tables in Markdown: the quality, and the time until it is reached. The runs follow each other. Their seconds
mean something if the machine has nothing else to do. The CPU seconds are those of the whole training process.
"""

import argparse
import csv
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
sys.path.append(str(ROOT))

import machine  # noqa: E402

from support import drawing, models, pictures  # noqa: E402
from support.evaluation.classifier import read_record  # noqa: E402
from support.evaluation.definitions import FIGURES  # noqa: E402
from wgan_handwritten_digits import RECIPES  # noqa: E402

SEEDS = ("3", "4", "5")
LEVELS = (0.5, 0.2, 0.17)  # Fréchet distances of 5,000 digits


# ----------------------------------------------------------------------------------------------------------- the runs
def keep(recipe, name, seed, options):
    """Trains and evaluates; leaves the files of a run in RESULTS. The first seed also leaves a picture."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.times()
        train = ["train", "--recipe", recipe, "--seed", seed, "--models-dir", folder, "--device", options.device]
        run("wgan_handwritten_digits.py", *train, *(["--epochs", options.epochs] if options.epochs else []))
        after = os.times()
        shutil.copyfile(Path(folder, "training/history.csv"), RESULTS / f"{name}_seed{seed}.csv")
        gan_train = ["--gan-train"] if RECIPES[recipe].conditional else []
        figures = json.loads(run("evaluate_digits.py", "generator.keras", "--json", *gan_train, cwd=folder))
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        figures |= {"cpu_seconds": round(spent, 1), "machine": machine.describe(gpu=options.device == "gpu")}
        (RESULTS / f"{name}_seed{seed}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        if seed == options.seeds[0]:
            digits = next(drawing.draw_digits(models.load_generator(Path(folder, "generator.keras")), 20))
            pictures.save_grid(RESULTS / f"{name}.png", digits, columns=20)


def run(script, *arguments, cwd=None):
    """What a script prints to standard output. Its progress goes to standard error."""
    command = [sys.executable, ROOT / script, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", cwd=cwd).stdout


# --------------------------------------------------------------------------------------------------------- the tables
def read_results(name, seeds, ending):
    """The texts of NAME_seedN and this ending, a list. A seed without such a file is left out."""
    paths = [RESULTS / f"{name}_seed{seed}{ending}" for seed in seeds]
    found = [path.read_text(encoding="utf-8") for path in paths if path.exists()]
    return found or sys.exit(f"runs.py: there is no {paths[0]}; train this run first")


def read_reports(name, seeds):
    """What evaluate_digits.py said about the runs of a name, one dictionary for each seed."""
    return [json.loads(text) for text in read_results(name, seeds, ".json")]


def read_histories(name, seeds):
    """The histories of a name's runs, one for each seed: lists of dictionaries of floats, one for each epoch."""
    histories = [csv.DictReader(text.splitlines()) for text in read_results(name, seeds, ".csv")]
    return [[{key: float(value) for key, value in row.items() if value} for row in rows] for rows in histories]


def quality_table(names, seeds=SEEDS):
    """The table of quality: for each name the mean and standard deviation over the seeds; and real digits.

    Figures that need labels are left out if no images have labels.
    """
    record, runs = read_record(), [read_reports(name, seeds) for name in names]
    counts = {name: len(some) for name, some in zip(names, runs, strict=True)}
    if len(set(counts.values())) > 1 or any(one["classifier"] != record["sha256"] for some in runs for one in some):
        sys.exit(f"runs.py: only runs of the same seeds and the same classifier can be compared; seeds: {counts}")
    rows, real = [], record["real"]
    for key, name, better, form, _ in FIGURES:
        form = form.removeprefix("10").replace("d", ".0f")  # without the width; a mean is not a whole number
        cells = []
        for some in runs:
            values = [report["figures"].get(key) for report in some]
            spread = f" ± {statistics.stdev(values):{form}}" if None not in values and len(values) > 1 else ""
            cells.append("" if None in values else f"{statistics.mean(values):{form}}{spread}")
        if any(cells):
            rows.append([f"{name} {better}", *cells, format(real[key], form)])
    shares = [[share for report in some for share in report["figures"]["shares"]] for some in runs]
    cells = [f"{min(some):.1%}, {max(some):.1%}" for some in [*shares, real["shares"]]]
    rows.append(["smallest and largest share of a digit", *cells])
    note = f"Mean ± standard deviation over {len(runs[0])} seeds."
    return f"{machine.table(['figure', *names, 'real digits'], rows)}\n\n{note}"


def time_table(names, seeds=SEEDS):
    """The table of time: median minutes until each of LEVELS is reached at an epoch's end; CPU seconds of the run."""
    rows = []
    for name in names:
        runs, cells = read_histories(name, seeds), []
        for level in LEVELS:
            until = [(row["seconds"] for row in run if row["frechet_distance"] <= level) for run in runs]
            found = statistics.median(next(seconds, math.inf) for seconds in until)
            cells.append("not reached" if found == math.inf else f"{found / 60:.1f}")
        seconds, distance = (statistics.median(run[-1][key] for run in runs) for key in ("seconds", "frechet_distance"))
        spent = [report["cpu_seconds"] for report in read_reports(name, seeds) if "cpu_seconds" in report]
        cpu = f"{statistics.mean(spent):.0f}" if spent else ""
        rows.append([name, len(runs), *cells, f"{seconds / 60:.1f}", cpu, f"{distance:.3f}"])
    levels = [f"minutes to {level}" for level in LEVELS]
    return machine.table(["run", "seeds", *levels, "at the end", "CPU seconds", "Fréchet distance"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="recipes; with --tables, names of earlier runs")
    parser.add_argument("--seeds", type=lambda text: text.split(","), default=SEEDS, metavar="N,N,...")
    parser.add_argument("--epochs", metavar="N", help="instead of the recipe's")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--tables", action="store_true", help="train nothing")
    options = parser.parse_args()
    names = options.names
    if not options.tables:
        names = [f"{recipe}_{options.epochs}_epochs" if options.epochs else recipe for recipe in options.names]
        for recipe, name in zip(options.names, names, strict=True):
            for seed in options.seeds:
                keep(recipe, name, seed, options)
    print(f"{quality_table(names, options.seeds)}\n\n{time_table(names, options.seeds)}")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
