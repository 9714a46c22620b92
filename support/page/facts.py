"""What a page says about its generator: the run that made it, and how good its digits are. Both may be unknown."""

import contextlib
import html
from pathlib import Path

from support.evaluation.definitions import FIGURES
from support.outputs.files import read_json

METHODS = {
    "wgan": "Wasserstein GAN with weight clipping",
    "cwgan": "Wasserstein GAN with weight clipping and labels",
    "wgan-paper": "Wasserstein GAN with weight clipping, settings of Arjovsky et al. 2017",
    "wgan-gp": "Wasserstein GAN with gradient penalty",
    "dcgan": "GAN with convolutions",
    "gan": "GAN with dense layers",
}
DAMAGED = (AttributeError, KeyError, TypeError, ValueError)  # what reading a damaged record may raise
SHOWN = ("frechet_distance", "precision", "recall", "coverage", "confident", "gan_test")


def describe(generator, model, checksum):
    """HTML: a table of facts and, if figures.json beside the file `model` has this SHA-256, one of figures."""
    folder = Path(model).parent
    facts = [
        *_run(folder, generator.input_shape[-1]),
        ("Weights", f"{generator.count_params():,} numbers"),
        ("Model file", f"{Path(model).name}, SHA-256 {checksum[:16]}…"),
    ]
    report = read_json(folder / "figures.json") or {}
    quality = ""
    with contextlib.suppress(*DAMAGED):
        quality = _quality(report) if report.get("sha256") == checksum else ""
    return _table(facts) + quality


def _run(folder, latent_dim):
    """Rows about the run whose record is in the folder, unless it is damaged or that of another network."""
    for name in ("training/run.json", "run.json"):
        record = read_json(folder / name)
        with contextlib.suppress(*DAMAGED):  # or there is no record
            about, epochs = record["about"], record["final"].get("epoch", 0)
            options, data = about["options"], about["data"]
            source = Path(data["source"].replace("\\", "/")).name  # its folder is nobody's business
            if options["latent_dim"] == latent_dim:
                return [
                    ("Network", f"generator of a {METHODS.get(options['recipe'], 'GAN')}"),
                    ("Recipe", str(options["recipe"])),
                    ("Training", f"{epochs} epochs, {data['images']:,} images, {source}, seed {options['seed']}"),
                    ("Time", f"{max(record['seconds'] / 60, 1):,.0f} minutes, {about['device']['name']}"),
                    ("Program", f"wgan_handwritten_digits {about['versions']['program']}"),
                ]
    return [("Training", "not recorded")]


def _quality(report):
    """HTML: the figures in the content of figures.json, and what they mean."""
    rows, meanings = [], []
    for figure in FIGURES:
        values = [report[part].get(figure.key) for part in ("figures", "real")]
        if figure.key in SHOWN and None not in values:
            name = figure.name.removesuffix(" *")
            rows.append((f"{name} {figure.better}", *(format(value, figure.form).strip() for value in values)))
            meanings.append((name, figure.definition))
    measured = f"measured on {report['images']:,} of them"
    title = f"How good its digits are, {measured} (↑ higher is better, ↓ lower is better)"
    table = _table(rows, title, ("figure", "this network", "real digits"))
    return f"\n{table}\n<details><summary>What the figures mean</summary>\n{_table(meanings)}\n</details>"


def _table(rows, title="", heading=()):
    """An HTML table. The first cell of each row names it. heading: the names of the columns."""
    lines = ["<table>"]
    if title:
        cells = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in heading)
        lines += [f"<caption>{html.escape(title)}</caption>", f"<thead><tr>{cells}</tr></thead>"]
    lines.append("<tbody>")
    for name, *cells in rows:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    text = "\n".join([*lines, "</tbody>", "</table>"])
    return text.encode("utf-8", "replace").decode()  # half a character cannot be written
