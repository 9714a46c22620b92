"""What the scripts tell tools that run scripts (PEP 723) is what requirements.txt tells pip."""

import re
import tomllib

from conftest import ROOT


def metadata(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    [block] = re.findall(r"(?m)^# /// script$\n((?:^#(?: .*)?$\n)+?)^# ///$", text)
    return tomllib.loads("".join(line[2:] or "\n" for line in block.splitlines(keepends=True)))


def test_the_scripts_name_the_requirements():
    program, evaluation = metadata("wgan_handwritten_digits.py"), metadata("evaluate_digits.py")
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = {line for line in lines if not line.startswith("#")}
    assert set(program["dependencies"]) == set(evaluation["dependencies"]) == required
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    oldest = program["requires-python"].split(",")[0].removeprefix(">=")
    assert program["requires-python"] == evaluation["requires-python"]
    assert f"With Python {oldest}," in readme
