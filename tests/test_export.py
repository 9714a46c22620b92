"""docs/use-elsewhere.md: the generator as ONNX. Skipped where the packages for it are not installed."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

PAGE = ROOT / "docs/use-elsewhere.md"
COMPARE = """
generator = keras.models.load_model("generator.keras")
expected = np.asarray(generator(latent))
assert images.shape == expected.shape == (16, 28, 28, 1)
assert np.abs(images - expected).max() < 1e-4
"""


def test_onnx_draws_what_keras_draws(tmp_path):
    for package in ("tf2onnx", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    section = PAGE.read_text(encoding="utf-8").split("## ONNX")[1].split("\n## ")[0]
    export, draw = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    shutil.copy(ROOT / "saved_models/pretrained/wgan/generator.keras", tmp_path)
    command = [sys.executable, "-c", export + draw + COMPARE]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
