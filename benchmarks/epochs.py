"""What the runs of benchmarks/runs.py show over their epochs: tables in Markdown, and two pictures.

python benchmarks/epochs.py time wgan cwgan wgan-gp     minutes until the digits are good; results/time_to_quality.png
python benchmarks/epochs.py estimate wgan cwgan         do the Wasserstein estimates fall as the digits get better?
                                                        results/estimate.png

A name such as wgan stands for the files wgan_seed*.csv in benchmarks/results: copies of history.csv. Epochs without
an estimate are left out.
"""

import csv
import math
import statistics
import sys
from pathlib import Path

from matplotlib.figure import Figure
from scipy.stats import spearmanr

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
sys.path.insert(0, str(ROOT))

from support.evaluation.epoch_figures import real_distance  # noqa: E402

LEVELS = (0.5, 0.2, 0.17)  # Fréchet distances of 5,000 digits; 0.17 is that of the default of version 0.2
ESTIMATES = {"wasserstein_estimate": "E[C(real)] - E[C(generated)]", "wasserstein_in_pixels": "estimate in pixels"}


def histories(name):
    """The histories of a name's runs, one per seed: lists of dictionaries of floats, one per epoch."""
    paths = sorted(RESULTS.glob(f"{name}_seed*.csv"))
    if not paths:
        sys.exit(f"epochs.py: there is no {RESULTS / name}_seed*.csv")
    return [read_history(path) for path in paths]


def read_history(path):
    """The rows of a history.csv: a dictionary of floats for each epoch, without the empty cells."""
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return [{key: float(value) for key, value in row.items() if value} for row in rows]


def seconds_until(run, level):
    """Seconds until the Fréchet distance is `level` or less at an epoch's end; infinite if it never is."""
    return next((row["seconds"] for row in run if row["frechet_distance"] <= level), math.inf)


def time_to_quality(names):
    """The table: median minutes over the seeds until the Fréchet distance is below each level, at an epoch's end."""
    lines = [f"| run | seeds | {' | '.join(f'to {level}' for level in LEVELS)} | at the end | Fréchet distance |"]
    lines.append("|---" * (len(LEVELS) + 4) + "|")
    for name in names:
        runs = histories(name)
        cells = []
        for level in LEVELS:
            times = [seconds_until(run, level) for run in runs]
            cells.append("not reached" if math.inf == (found := statistics.median(times)) else f"{found / 60:.1f}")
        ends = [statistics.median(run[-1][column] for run in runs) for column in ("seconds", "frechet_distance")]
        lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} | {ends[0] / 60:.1f} | {ends[1]:.3f} |")
    return "\n".join(lines)


def correlations(names):
    """The table: Spearman's correlation of each estimate with the Fréchet distance over the epochs, for each seed."""
    lines = [f"| run | epochs | {' | '.join(ESTIMATES.values())} |", "|---" * (len(ESTIMATES) + 2) + "|"]
    for name in names:
        runs = [[row for row in run if row.keys() >= ESTIMATES.keys()] for run in histories(name)]
        lengths, cells = sorted({len(run) for run in runs}), []
        for column in ESTIMATES:
            found = [spearmanr(_column(run, column), _column(run, "frechet_distance")).statistic for run in runs]
            cells.append(", ".join(f"{value:.2f}" for value in found))
        lines.append(f"| {name} | {', '.join(map(str, lengths))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _column(run, name):
    return [row[name] for row in run]


def draw_time(names):
    """Fréchet distance over minutes, the median of the seeds at each epoch, with the spread as a band."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    for name in names:
        epochs = list(zip(*histories(name), strict=True))
        minutes = [statistics.median(_column(epoch, "seconds")) / 60 for epoch in epochs]
        found = [sorted(_column(epoch, "frechet_distance")) for epoch in epochs]
        [line] = axis.plot(minutes, [statistics.median(some) for some in found], marker="o", markersize=3, label=name)
        axis.fill_between(minutes, [some[0] for some in found], [some[-1] for some in found], alpha=0.15, lw=0)
    axis.axhline(real_distance(), color="grey", linestyle="--", label="real digits")
    axis.set(yscale="log", xlabel="minutes", ylabel="Fréchet distance of 5,000 digits")
    axis.grid(alpha=0.3, which="both")
    figure.legend(loc="outside right upper")
    figure.savefig(RESULTS / "time_to_quality.png", dpi=110)


def draw_estimates(names):
    """Over the epochs of the first seed of each name: the Fréchet distance and both estimates."""
    columns = {"frechet_distance": "Fréchet distance"} | ESTIMATES
    figure = Figure(figsize=(8, 7.5), layout="constrained")
    for axis, (column, title) in zip(figure.subplots(len(columns), sharex=True), columns.items(), strict=True):
        for name in names:
            run = [row for row in histories(name)[0] if column in row]
            axis.plot(_column(run, "epoch"), _column(run, column), marker="o", markersize=3, label=name)
        axis.set(title=title)
        if column != "wasserstein_estimate":
            axis.set_yscale("symlog", linthresh=0.01)  # an estimate in pixels can be negative
        axis.grid(alpha=0.3, which="both")
    axis.set(xlabel="epoch")
    axis.legend()
    figure.savefig(RESULTS / "estimate.png", dpi=110)


if __name__ == "__main__":
    what, names = sys.argv[1], sys.argv[2:]
    table, draw = {"time": (time_to_quality, draw_time), "estimate": (correlations, draw_estimates)}[what]
    print(table(names))
    draw(names)
