"""Prints the README's table of quality, from what `evaluate_digits.py IMAGES --json` printed for some seeds.

python benchmarks/quality_table.py benchmarks/results/default_seed*.json
"""

import json
import statistics
import sys
from pathlib import Path

ROWS = [
    ("frechet_distance", "Fréchet distance * ↓", ".3f"),
    ("precision", "precision * ↑", ".3f"),
    ("recall", "recall * ↑", ".3f"),
    ("density", "density * ↑", ".3f"),
    ("coverage", "coverage * ↑", ".3f"),
    ("sliced_wasserstein", "sliced Wasserstein * ↓", ".4f"),
    ("classifier_score", "classifier score ↑", ".2f"),
    ("confident", "confident ↑", ".3f"),
    ("digit_divergence", "digit divergence ↓", ".4f"),
    ("duplicates", "duplicates ↓", ".0f"),
    ("nearest_distance", "nearest distance * ≈", ".2f"),
    ("copies", "copies * ↓", ".0f"),
]


def table(paths):
    """The table in Markdown: the mean over the files and the standard deviation, beside what real digits get."""
    reports = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    real = reports[0]["real"]
    lines = [
        f"| figure | default run, {len(reports)} seeds: mean ± standard deviation | real digits |",
        "|---|---|---|",
    ]
    for key, name, form in ROWS:
        values = [report["figures"][key] for report in reports]
        lines.append(
            f"| {name} | {statistics.mean(values):{form}} ± {statistics.stdev(values):{form}} | {real[key]:{form}} |"
        )
    shares = [share for report in reports for share in report["figures"]["shares"]]
    low, high = min(real["shares"]), max(real["shares"])
    lines.append(
        f"| least and largest share of a digit | {min(shares):.1%}, {max(shares):.1%} | {low:.1%}, {high:.1%} |"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    print(table(sys.argv[1:]))
