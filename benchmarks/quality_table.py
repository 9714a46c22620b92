"""Prints the README's table of quality, from what `evaluate_digits.py IMAGES --json` printed for some seeds.

python benchmarks/quality_table.py wgan wgan-paper
"""

import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
sys.path.insert(0, str(ROOT))

from evaluate_digits import FIGURES  # noqa: E402


def table(names):
    """The table in Markdown: for each of the `names` of runs the mean over the seeds and the standard deviation.

    A run is the files NAME_seed*.json in benchmarks/results. The last column is what real digits get.
    """
    runs = [
        [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob(f"{name}_seed*.json"))]
        for name in names
    ]
    real, [seeds] = runs[0][0]["real"], {len(reports) for reports in runs}
    lines = [f"| figure | {' | '.join(names)} | real digits |", "|---" * (len(names) + 2) + "|"]
    for key, name, better, form, _ in FIGURES:
        form = form.removeprefix("10").replace("d", ".0f")  # without the width; a mean is no whole number
        cells = []
        for reports in runs:
            values = [report["figures"][key] for report in reports]
            cells.append(f"{statistics.mean(values):{form}} ± {statistics.stdev(values):{form}}")
        lines.append(f"| {' | '.join([f'{name} {better}', *cells, format(real[key], form)])} |")
    shares = [[share for report in reports for share in report["figures"]["shares"]] for reports in runs]
    cells = [f"{min(some):.1%}, {max(some):.1%}" for some in [*shares, real["shares"]]]
    lines.append(f"| least and largest share of a digit | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Mean ± standard deviation over {seeds} seeds."])


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    print(table(sys.argv[1:]))
