"""What a page says about its generator: the run, how good the digits are, those of each epoch. All may be unknown."""

import base64
import contextlib
import html
import io
from pathlib import Path

from support.data import MNIST, MNIST_SHA256, load_dataset
from support.evaluation.definitions import FIGURES
from support.labels import DIGITS
from support.lazy import Image, np
from support.outputs.files import read_json
from support.pictures import spread

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
REAL_OF_EACH = 20  # real images of each digit
MOST_EPOCHS = 12  # pictures


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


# ------------------------------------------------------------------------------------------------------------ images
def real_digits(folder, labels):
    """Test images of MNIST, 20 of each digit, as bytes in base64; "" if the run in `folder` learned something else."""
    with contextlib.suppress(*DAMAGED):  # or there is no record
        if read_json(folder / "training/run.json")["about"]["data"]["sha256"] != MNIST_SHA256:
            return ""
    if not set(labels) <= set(DIGITS) or not MNIST.exists():
        return ""
    mnist = load_dataset()
    chosen = [np.flatnonzero(mnist.test_labels == digit)[:REAL_OF_EACH] for digit in DIGITS]
    return base64.b64encode(mnist.test_images[np.concatenate(chosen)].tobytes()).decode()


def epoch_pictures(folder):
    """The pictures of a run's epochs, at most 12: dictionaries with the number of the epoch, and a PNG in base64."""
    found = sorted(Path(folder, "training/samples").glob("epoch_*.png"))
    pictures = []
    for place in spread(len(found), MOST_EPOCHS):
        path = found[place]
        with contextlib.suppress(Exception), Image.open(path, formats=["PNG"]) as picture:  # a damaged one is left out
            small, file = picture.convert("L").resize((280, 280), Image.NEAREST), io.BytesIO()
            small.save(file, "PNG", optimize=True)
            png = base64.b64encode(file.getvalue()).decode()
            pictures.append({"epoch": int(path.stem.removeprefix("epoch_")), "png": png})
    return pictures
