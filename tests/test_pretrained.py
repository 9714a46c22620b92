"""The generators that come with the repository."""

import hashlib
import json
import math
import re
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

from support.evaluation.definitions import FIGURES

FOLDERS = sorted(path.parent for path in ROOT.glob("saved_models/pretrained/*/generator.keras"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    """The folder of a pretrained generator."""
    return request.param


@pytest.fixture
def card(folder):
    """Its model card."""
    return (folder / "README.md").read_text(encoding="utf-8")


def test_it_is_saved_by_the_oldest_keras_that_is_allowed_so_that_all_can_load_it(folder):
    with zipfile.ZipFile(folder / "generator.keras") as file:
        saved_by = json.loads(file.read("metadata.json"))["keras_version"]
    lowest = re.search(r"^keras>=([\d.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert saved_by.split(".")[:2] == lowest.split(".")[:2]


def test_its_figures_name_it(folder):
    """Figures cannot tell two good generators from each other."""
    report = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    assert report["sha256"] == hashlib.sha256((folder / "generator.keras").read_bytes()).hexdigest()


@pytest.mark.slow
def test_it_gets_its_figures(folder):
    """2,000 images against the recorded figures of 25,000; any 2,000 will do, so the latent vectors do not matter.

    precision, confident and the shares of the digits are means over images, so fewer images only spread them: the
    tolerance is five standard deviations of such a mean. The Fréchet distance of few images is too large: by 0.11 for
    2,000 real ones instead of 10,000 (0.169 and 0.058), by 0.08 to 0.12 for this generator and three seeds (0.151 to
    0.191, and 0.074 recorded). The generator after one epoch lies far outside: Fréchet distance 3.2, precision 0.78,
    confident 0.83.
    """
    recorded = json.loads((folder / "figures.json").read_text(encoding="utf-8"))["figures"]
    command = [sys.executable, str(ROOT / "evaluate_digits.py"), str(folder / "generator.keras"), "--device", "cpu"]
    command += ["--images", "2000", "--json"]
    process = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)["figures"]

    def agree(few, many):
        return abs(few - many) < 5 * math.sqrt(many * (1 - many) / 2000)

    assert 0.02 < found["frechet_distance"] - recorded["frechet_distance"] < 0.2
    assert agree(found["precision"], recorded["precision"]) and agree(found["confident"], recorded["confident"])
    assert all(map(agree, found["shares"], recorded["shares"])), found["shares"]


@pytest.mark.slow
def test_it_draws_in_a_fresh_shell_outside_the_repository(folder, tmp_path):
    code = f"""
import keras, numpy as np
generator = keras.models.load_model({str(folder / "generator.keras")!r})
images = generator.predict(np.random.normal(size=(16, generator.input_shape[1])), verbose=0)
assert images.shape == (16, 28, 28, 1) and images.min() < -0.99 and images.max() > 0.9
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr


def test_the_model_card_has_its_figures(folder, card):
    report = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert re.search(rf"train .*--epochs {record['about']['options']['epochs']}`", card)
    for key, name, better, form, _ in FIGURES:
        if report["figures"].get(key) is None:  # it needs labels
            continue
        these, real = (format(report[part][key], form).strip() for part in ("figures", "real"))
        assert f"| {name.replace(' *', '')} {better} | {these} | {real} |" in card
    assert f"{1 - report['figures']['confident']:.0%}".replace("%", " %") in card


def test_the_model_card_has_the_head_that_model_hubs_read(card):
    head = card.split("---\n")[1]
    for key in ("library_name", "license", "tags", "datasets"):
        assert re.search(rf"^{key}:", head, re.MULTILINE), key
