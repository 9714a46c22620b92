"""The README says what the files say."""

import re
import runpy

from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_quality_is_that_of_the_results():
    table = runpy.run_path(str(ROOT / "benchmarks/quality_table.py"))["table"]
    assert table(["wgan", "wgan-gp", "dcgan", "gan", "wgan-paper"]) in README


def test_what_replicas_cost_on_one_machine_is_what_was_measured():
    assert (ROOT / "benchmarks/results/replicas.md").read_text(encoding="utf-8").strip() in README


def test_no_gap_is_left_to_fill():
    assert not re.search(r"@[A-Z]+@", README)
