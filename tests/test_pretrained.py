"""The generators that come with the repository."""

import hashlib
import json
import math
import re
import zipfile

import pytest
from conftest import ROOT

import evaluate_digits
from support.evaluation.definitions import FIGURES
from support.models import PRETRAINED


@pytest.fixture(params=PRETRAINED)
def folder(request):
    """The folder of a pretrained generator."""
    return PRETRAINED[request.param].parent


@pytest.fixture
def report(folder):
    """Its recorded figures."""
    return json.loads((folder / "figures.json").read_text(encoding="utf-8"))


def test_it_is_saved_by_the_oldest_keras_that_is_allowed_so_that_all_can_load_it(folder):
    with zipfile.ZipFile(folder / "generator.keras") as file:
        saved_by = json.loads(file.read("metadata.json"))["keras_version"]
        modules = re.findall(r'"module": "([\w.]+)"', file.read("config.json").decode())
    assert len(modules) > 10 and all(module.startswith("keras") for module in modules)
    lowest = re.search(r"^keras>=([\d.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert saved_by.split(".")[:2] == lowest.split(".")[:2]


@pytest.mark.slow
def test_it_gets_its_figures(folder, report, capsys):
    """2,000 images against the recorded figures of 25,000 or more.

    Means over images only spread with fewer of them: the tolerance is five standard deviations. The Fréchet distance of
    few images is larger, by up to 0.1. A generator after one epoch lies far outside: Fréchet distance 3.2.
    """
    words = [str(folder / "generator.keras"), "--device", "cpu", "--images", "2000", "--json"]
    assert evaluate_digits.main(words) == 0
    found, recorded = json.loads(capsys.readouterr().out)["figures"], report["figures"]

    def agree(few, many):
        return abs(few - many) < 5 * math.sqrt(many * (1 - many) / 2000)

    assert 0.01 < found["frechet_distance"] - recorded["frechet_distance"] < 0.2
    assert agree(found["precision"], recorded["precision"]) and agree(found["confident"], recorded["confident"])
    assert all(map(agree, found["shares"], recorded["shares"])), found["shares"]
    if recorded.get("gan_test"):
        assert agree(found["gan_test"], recorded["gan_test"])


def test_the_model_card_has_its_figures_and_the_head_that_model_hubs_read(folder, report):
    assert report["sha256"] == hashlib.sha256((folder / "generator.keras").read_bytes()).hexdigest()
    card = (folder / "README.md").read_text(encoding="utf-8")
    for key, name, better, form, _ in FIGURES:
        if report["figures"].get(key) is not None:
            these, real = (format(report[part][key], form).strip() for part in ("figures", "real"))
            assert f"| {name.replace(' *', '')} {better} | {these} | {real} |" in card
    for key in ("library_name", "license", "tags", "datasets"):
        assert re.search(rf"^{key}:", card.split("---\n")[1], re.MULTILINE), key
