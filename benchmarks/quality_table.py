"""Prints the table of docs/quality.md from the output of `evaluate_digits.py IMAGES --json` for several seeds.

python benchmarks/quality_table.py wgan cwgan wgan-gp dcgan gan wgan-paper

A name such as wgan stands for the files wgan_seed*.json in benchmarks/results, which benchmarks/runs.py writes.
"""

import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
sys.path.insert(0, str(ROOT))

from support.evaluation.classifier import read_record  # noqa: E402
from support.evaluation.definitions import FIGURES  # noqa: E402


def table(names):
    """The table in Markdown: for each name, the mean and standard deviation over the seeds.

    The last column has the figures of real digits. Figures that need labels are left out if no images have labels.
    """
    runs = [[_read(path) for path in sorted(RESULTS.glob(f"{name}_seed*.json"))] for name in names]
    counts = {name: len(reports) for name, reports in zip(names, runs, strict=True)}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        sys.exit(f"quality_table.py: all names need the same number of seeds, but have {counts}")
    record, seeds = read_record(), counts[names[0]]
    real = record["real"]
    assert all(report["classifier"] == record["sha256"] for reports in runs for report in reports)
    lines = [f"| figure | {' | '.join(names)} | real digits |", "|---" * (len(names) + 2) + "|"]
    for key, name, better, form, _ in FIGURES:
        form = form.removeprefix("10").replace("d", ".0f")  # without the width; a mean is not an integer
        cells = []
        for reports in runs:
            values = [report["figures"].get(key) for report in reports]
            known = None not in values
            cells.append(f"{statistics.mean(values):{form}} ± {statistics.stdev(values):{form}}" if known else "")
        if any(cells):
            lines.append(f"| {' | '.join([f'{name} {better}', *cells, format(real[key], form)])} |")
    shares = [[share for report in reports for share in report["figures"]["shares"]] for reports in runs]
    cells = [f"{min(some):.1%}, {max(some):.1%}" for some in [*shares, real["shares"]]]
    lines.append(f"| smallest and largest share of a digit | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Mean ± standard deviation over {seeds} seeds."])


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    print(table(sys.argv[1:]))
