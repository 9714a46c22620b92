"""What the script tells tools that run scripts (PEP 723) is what requirements.txt tells pip."""

import re
import tomllib

from conftest import ROOT


def test_the_script_names_the_requirements():
    text = (ROOT / "wgan_handwritten_digits.py").read_text(encoding="utf-8")
    [block] = re.findall(r"(?m)^# /// script$\n((?:^#(?: .*)?$\n)+?)^# ///$", text)
    metadata = tomllib.loads("".join(line[2:] or "\n" for line in block.splitlines(keepends=True)))
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert metadata["dependencies"] == [line for line in lines if not line.startswith("#")]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    oldest = metadata["requires-python"].removeprefix(">=")
    assert f"With Python {oldest}," in readme
