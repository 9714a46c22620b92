"""What a page says about its generator: the run that made it, and how good its digits are. Both may be unknown."""

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
    return _table(facts) + (_quality(report) if report.get("sha256") == checksum else "")


def find(record, kind, *keys):
    """The value that `keys` lead to in nested dictionaries; None if it is long, no number, or not of type `kind`."""
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    fits = isinstance(record, kind) and not isinstance(record, bool) and len(str(record)) < 200
    return record if fits and str(record) not in ("nan", "inf", "-inf") else None


def _run(folder, latent_dim):
    """Rows about the run whose record is in the folder, unless it is that of another network."""
    records = [read_json(folder / name) for name in ("training/run.json", "run.json")]
    fitting = [record for record in records if find(record, int, "about", "options", "latent_dim") == latent_dim]
    if not fitting:
        return [("Training", "not recorded")]

    def in_words(form, kind, *keys):
        value = find(fitting[0], kind, *keys)
        return "" if value is None else form.format(value)

    recipe = in_words("{}", str, "about", "options", "recipe")
    source = in_words("{}", str, "about", "data", "source")
    seconds = find(fitting[0], (int, float), "seconds")
    training = [
        in_words("{} epochs", int, "final", "epoch"),
        in_words("{:,} images", int, "about", "data", "images"),
        Path(source.replace("\\", "/")).name,  # its folder is nobody's business
        in_words("seed {}", int, "about", "options", "seed"),
    ]
    time = [f"{max(seconds / 60, 1):,.0f} minutes" if seconds else "", in_words("{}", str, "about", "device", "name")]
    rows = [
        ("Network", f"generator of a {METHODS.get(recipe, 'GAN')}"),
        ("Recipe", recipe),
        ("Training", ", ".join(filter(None, training))),
        ("Time", ", ".join(filter(None, time))),
        ("Program", in_words("wgan_handwritten_digits {}", str, "about", "versions", "program")),
    ]
    return [row for row in rows if row[1]]


def _quality(report):
    """HTML: the figures in the content of figures.json, and what they mean."""
    rows, meanings = [], []
    for figure in FIGURES:
        pair = [find(report, (int, float), part, figure.key) for part in ("figures", "real")]
        if figure.key in SHOWN and None not in pair:
            name = figure.name.removesuffix(" *")
            rows.append((f"{name} {figure.better}", *(format(value, figure.form).strip() for value in pair)))
            meanings.append((name, figure.definition))
    if not rows:
        return ""
    images = find(report, int, "images")
    measured = f", measured on {images:,} of them" if images else ""
    title = f"How good its digits are{measured} (↑ higher is better, ↓ lower is better)"
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
