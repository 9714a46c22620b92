"""The generator that comes with the repository."""

import json
import re
import subprocess
import sys
import zipfile

from conftest import ROOT

import evaluate_digits

FOLDER = ROOT / "saved_models/pretrained"
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_it_is_saved_by_the_oldest_keras_that_is_allowed_so_that_all_can_load_it():
    with zipfile.ZipFile(FOLDER / "generator.keras") as file:
        saved_by = json.loads(file.read("metadata.json"))["keras_version"]
    lowest = re.search(r"^keras>=(.*)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[1]
    assert saved_by.split(".")[:2] == lowest.split(".")[:2]


def test_it_draws_in_a_fresh_shell_outside_the_repository(tmp_path):
    code = f"""
import keras, numpy as np
generator = keras.models.load_model({str(FOLDER / "generator.keras")!r})
images = generator.predict(np.random.normal(size=(16, generator.input_shape[1])), verbose=0)
assert images.shape == (16, 28, 28, 1) and images.min() < -0.99 and images.max() > 0.9
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr


def test_the_model_card_has_its_figures():
    report = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))
    record = json.loads((FOLDER / "run.json").read_text(encoding="utf-8"))
    assert f"train --epochs {record['about']['options']['epochs']}`" in CARD
    for key, name, better, form, _ in evaluate_digits.FIGURES:
        these, real = (format(report[part][key], form).strip() for part in ("figures", "real"))
        assert f"| {name.replace(' *', '')} {better} | {these} | {real} |" in CARD
    assert f"{1 - report['figures']['confident']:.0%}".replace("%", " %") in CARD


def test_the_model_card_has_the_head_that_model_hubs_read():
    head = CARD.split("---\n")[1]
    for key in ("library_name", "license", "tags", "datasets"):
        assert re.search(rf"^{key}:", head, re.MULTILINE), key
