"""The documents agree with the files that they are about: figures, links, commands. Their words are free."""

import json
import re
import runpy
import subprocess

import pytest
from conftest import ROOT

RESULTS = ROOT / "benchmarks/results"
RECIPES = ["wgan", "cwgan", "wgan-gp", "dcgan", "gan", "wgan-paper"]
IN_README = ["figure", "Fréchet distance", "precision", "recall", "coverage"]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "data/README.md",
    "saved_models/pretrained/wgan/README.md",
    "saved_models/pretrained/cwgan/README.md",
    *(str(path.relative_to(ROOT)) for folder in (ROOT / "docs", RESULTS) for path in sorted(folder.glob("*.md"))),
]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text):
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 10_240


def test_the_readme_has_both_commands_and_the_notebook():
    lines = read("README.md").splitlines()
    assert "python -m pip install -r requirements.txt && python wgan_handwritten_digits.py" in lines
    # CI takes these two from the README.
    (tests,) = (line for line in lines if line.startswith("python -m pip install") and "pytest" in line)
    assert tests.endswith("python -m pytest -n auto --dist loadfile")
    (notebook,) = (line for line in lines if line.startswith("python -m pip install nbconvert"))
    assert "tour.ipynb" in notebook and "my_tour.ipynb" in notebook


@pytest.mark.parametrize("name", DOCUMENTS)
def test_all_links_lead_somewhere(name):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", read(name)):
        path, _, anchor = target.partition("#")
        linked = (ROOT / name).parent / path if path else ROOT / name
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), target


def test_the_readme_leads_to_every_page():
    for path in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{path.name})" in read("README.md"), path.name


def test_quality_is_that_of_the_results():
    whole = runpy.run_path(str(ROOT / "benchmarks/quality_table.py"))["table"](RECIPES)
    assert whole in read("docs/quality.md")
    rows = {line.split("|")[1].strip(" *↑↓≈"): line.replace(" *", "") for line in whole.splitlines() if line[:1] == "|"}
    for name in IN_README:
        assert rows[name] in read("README.md").splitlines(), rows[name]
    assert read("benchmarks/results/published.md").strip() in read("docs/quality.md")


@pytest.mark.parametrize(
    "name", ["recipes", "time_to_quality", "training_speed", "generation_speed", "growth", "replicas"]
)
def test_speeds_are_those_of_the_results(name):
    assert read(f"benchmarks/results/{name}.md").strip() in read("docs/speed.md")


def test_speeds_in_the_text_are_those_of_the_table():
    table, text = read("benchmarks/results/training_speed.md"), read("docs/speed.md")

    def ratios(loop):
        return re.findall(rf"^\| {re.escape(loop)}[^|]*\|[^|]+\|[^|]+\| ([\d.]+) \|", table, re.MULTILINE)

    for loop in ("batchwise ", "PyTorch eager "):
        least, *_, most = sorted(map(float, ratios(loop)))
        assert f"{least:.1f} to {most:.1f} times" in text, loop
    first, second, third = (f"{float(share):.0%}".replace("%", " %") for share in ratios("limit"))
    assert f"{first}, {second} and {third} of" in text


def test_times_and_sizes_in_the_text_are_those_of_the_results():
    rows = re.findall(r"^\| (\S+\.md) \| `(.+?)` \|", read("benchmarks/results/timings.md"), re.MULTILINE)
    assert len(rows) > 8
    for name, quoted in rows:
        assert quoted in read(name), (name, quoted)


def test_shares_of_real_digits_are_those_of_the_record():
    record = json.loads(next(ROOT.glob("support/**/digit_classifier.json")).read_text(encoding="utf-8"))
    for share in (record["accuracy"], record["real"]["gan_test"], record["real"]["gan_train"]):
        assert f"{share:.2%}".replace("%", " %") in read("docs/quality.md")


def test_the_table_of_quality_has_rows_for_labels_if_some_images_have_labels(tmp_path):
    table = runpy.run_path(str(ROOT / "benchmarks/quality_table.py"))["table"]
    for recipe, more in (("wgan", {}), ("cwgan", {"gan_test": 0.5, "gan_train": None})):
        for seed in (3, 4):
            report = json.loads(read("benchmarks/results/wgan_seed3.json"))
            report["figures"] |= more
            (tmp_path / f"{recipe}_seed{seed}.json").write_text(json.dumps(report))
    table.__globals__["RESULTS"] = tmp_path
    assert "GAN" not in table(["wgan"])
    assert "| GAN-test ↑ |  | 0.5000 ± 0.0000 | 0.99" in table(["wgan", "cwgan"])
    assert "GAN-train" not in table(["wgan", "cwgan"])


def test_how_it_works_names_functions_of_the_script_and_figures_of_the_search():
    text, script = read("docs/how-it-works.md"), read("wgan_handwritten_digits.py")
    section = text.split("## The equations and their functions")[1].split("\n## ")[0]
    names = re.findall(r"\| `(\w+)` \|$", section, re.MULTILINE)
    assert len(names) > 5
    for name in names:
        assert f"\ndef {name}(" in script, name
    for number in {number for pair in re.findall(r"([\d.]+) → ([\d.]+)", text) for number in pair}:
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]*\d)", read("benchmarks/results/search.md")), number


def test_git_ignores_what_the_examples_of_the_readme_write():
    written = set(re.findall(r"\bmy_\w+(?:\.\w+)?", read("README.md")))
    written |= set(re.findall(r"--(?:labels|page|copy-to) (\S+)", read("README.md")))
    assert len(written) > 5
    for name in written:
        command = ["git", "check-ignore", "-q", "--no-index", name + ("" if "." in name else "/")]
        status = subprocess.run(command, cwd=ROOT, capture_output=True).returncode
        if status == 128:
            pytest.skip("not a git repository")
        assert status == 0, name


def test_no_gap_is_left_to_fill():
    for name in DOCUMENTS:
        assert not re.search(r"TIME_|TODO|FIXME", read(name)), name
