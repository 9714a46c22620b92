"""The generator that comes with the repository."""

import json
import re
import subprocess
import sys
import zipfile

from conftest import ROOT

FOLDER = ROOT / "saved_models/pretrained"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_saved_by_the_oldest_keras_that_is_allowed_so_that_all_can_load_it():
    with zipfile.ZipFile(FOLDER / "generator.keras") as file:
        saved_by = json.loads(file.read("metadata.json"))["keras_version"]
    lowest = re.search(r"^keras>=([\d.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]
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


def test_the_readme_has_its_figures():
    figures = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))["figures"]
    record = json.loads((FOLDER / "run.json").read_text(encoding="utf-8"))
    assert f"`train --epochs {record['about']['options']['epochs']}`" in README
    words = {"frechet_distance": "Fréchet distance", "precision": "precision", "recall": "recall"}
    for key, name in (words | {"coverage": "coverage"}).items():
        assert f"{name} {figures[key]:.3f}" in README, (name, figures[key])
