"""The README says what the files say."""

import json
import re
import runpy

from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_quality_is_that_of_the_results():
    table = runpy.run_path(str(ROOT / "benchmarks/quality_table.py"))["table"]
    assert table(["wgan", "wgan-gp", "dcgan", "gan", "wgan-paper"]) in README


def test_the_other_tables_are_those_of_the_results():
    for name in ("generation_speed", "published", "recipes", "replicas", "training_speed"):
        assert (ROOT / f"benchmarks/results/{name}.md").read_text(encoding="utf-8").strip() in README


def test_the_times_in_the_text_are_those_of_the_results():
    text = (ROOT / "benchmarks/results/timings.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)
    assert len(quoted) > 8
    for words in quoted:
        assert words in " ".join(README.split()), words


def test_the_speeds_in_the_text_are_those_of_the_table():
    table = (ROOT / "benchmarks/results/training_speed.md").read_text(encoding="utf-8")

    def ratios(loop):
        return re.findall(rf"^\| {re.escape(loop)}[^|]*\|[^|]+\|[^|]+\| ([\d.]+) \|", table, re.MULTILINE)

    for loop, words in (("batchwise ", "as fast as the loops of"), ("PyTorch eager ", "as fast as PyTorch in float32")):
        least, most = sorted(map(float, ratios(loop)))
        assert f"{least:.1f} to {most:.1f} times {words}" in " ".join(README.split())
    assert f"({' and '.join(ratios('PyTorch eager, bfloat16'))} times," in README
    shares = [f"{float(share):.0%}".rstrip("%") for share in ratios("limit")]
    assert f"{shares[0]} and {shares[2]} %" in README and f"{shares[1]} and {shares[3]} %" in README


def test_the_classifiers_accuracy_is_that_of_its_record():
    record = json.loads((ROOT / "support/digit_classifier.json").read_text(encoding="utf-8"))
    assert f"{record['accuracy']:.2%}".replace("%", " %") in README


def test_all_that_the_documents_link_to_is_there():
    for name in ("README.md", "CONTRIBUTING.md", "data/README.md", "benchmarks/results/search.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text):
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name}: {target}"
        for heading in re.findall(r"\]\(#([^)]+)\)", text):
            words = [re.sub(r"[^\w -]", "", line.lstrip("# ").lower()) for line in text.splitlines() if line[:1] == "#"]
            assert heading in [line.replace(" ", "-") for line in words], f"{name}: #{heading}"


def test_no_gap_is_left_to_fill():
    assert not re.search(r"TIME_|TODO|FIXME", README)
    assert "@" not in README.replace("@keras", "").replace("@inproceedings", "")
