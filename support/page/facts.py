"""What a page says about its generator: the run that made it, and how good its digits are. Both may be unknown."""

import html
import math
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
SHOWN = ("frechet_distance", "precision", "recall", "coverage", "confident", "gan_test")


def describe(generator, model, checksum):
    """HTML about a generator: a table of facts and, if known, one of figures.

    model: the path of its file. checksum: its SHA-256. The record of the run is training/run.json or run.json beside
    the file. The figures are those of figures.json beside it, if that has the checksum. Both may contain any text.
    """
    folder = Path(model).parent
    records = [read_json(folder / name) for name in ("training/run.json", "run.json")]
    lengths = [_find(record, int, "about", "options", "latent_dim") for record in records]
    fitting = [record for record, length in zip(records, lengths, strict=True) if length == generator.input_shape[-1]]
    facts = [
        *_run(fitting[0] if fitting else None),
        ("Weights", f"{generator.count_params():,} numbers"),
        ("Model file", f"{Path(model).name}, SHA-256 {checksum[:16]}…"),
    ]
    parts = [_table(facts)]
    report = read_json(folder / "figures.json")
    if report and report.get("sha256") == checksum:
        parts.append(_quality(report))
    return "\n".join(parts)


def _find(record, kind, *keys):
    """The value that `keys` lead to in nested dictionaries, if it is of type `kind` and, as text, short; else None."""
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record if isinstance(record, kind) and not isinstance(record, bool) and len(str(record)) < 200 else None


def _run(record):
    """Rows about the run, from the content of run.json or None."""
    if not record:
        return [("Training", "not recorded")]
    recipe = _find(record, str, "about", "options", "recipe")
    epochs = _find(record, int, "final", "epoch")
    images = _find(record, int, "about", "data", "images")
    source = _find(record, str, "about", "data", "source")
    seed = _find(record, int, "about", "options", "seed")
    seconds = _find(record, (int, float), "seconds")
    device = _find(record, str, "about", "device", "name")
    version = _find(record, str, "about", "versions", "program")
    training = [f"{epochs} epochs" if epochs else "", f"{images:,} images" if images else ""]
    source = Path(source.replace("\\", "/")).name if source else ""  # its folder is nobody's business
    minutes = f"{max(seconds / 60, 1):,.0f} minutes" if seconds and math.isfinite(seconds) else ""
    rows = [
        ("Network", f"generator of a {METHODS.get(recipe, 'GAN')}"),
        ("Recipe", recipe),
        ("Training", ", ".join(filter(None, [*training, source, f"seed {seed}" if seed is not None else ""]))),
        ("Time", ", ".join(filter(None, [minutes, device]))),
        ("Program", f"wgan_handwritten_digits {version}" if version else None),
    ]
    return [(name, value) for name, value in rows if value]


def _quality(report):
    """HTML: the figures in the content of figures.json, and what they mean."""
    rows, meanings = [], []
    for figure in FIGURES:
        pair = [_find(report, (int, float), part, figure.key) for part in ("figures", "real")]
        if figure.key in SHOWN and all(value is not None and math.isfinite(value) for value in pair):
            name = figure.name.removesuffix(" *")
            rows.append((f"{name} {figure.better}", *(format(value, figure.form).strip() for value in pair)))
            meanings.append((name, figure.definition))
    if not rows:
        return ""
    images = _find(report, int, "images")
    measured = f", measured on {images:,} of them" if images else ""
    title = f"How good its digits are{measured} (↑ higher is better, ↓ lower is better)"
    table = _table(rows, title, ("figure", "this network", "real digits"))
    return f"{table}\n<details><summary>What the figures mean</summary>\n{_table(meanings)}\n</details>"


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
