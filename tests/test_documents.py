"""The documents agree with the files that they are about: links, commands, measured figures. Their words are free."""

import json
import re
import statistics
import tomllib

import pytest
from conftest import ROOT

from support.evaluation import classifier
from support.evaluation.definitions import FIGURES

RESULTS = ROOT / "benchmarks/results"
DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md"),
    *(f"saved_models/pretrained/{name}/README.md" for name in ("wgan", "cwgan")),
    *(str(path.relative_to(ROOT)) for folder in (ROOT / "docs", RESULTS) for path in sorted(folder.glob("*.md"))),
]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text):
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_all_links_lead_somewhere(name):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", read(name)):
        path, _, anchor = target.partition("#")
        linked = (ROOT / name).parent / path if path else ROOT / name
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), target
    assert not re.search(r"TIME_|TODO|FIXME", read(name)), "no gap is left to fill"


def test_the_documents_are_short_and_the_readme_leads_to_every_page():
    pages = sorted((ROOT / "docs").glob("*.md"))
    for path in pages:
        assert f"(docs/{path.name}" in read("README.md"), path.name
    sizes = {path.name: path.stat().st_size for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *pages)}
    assert sizes["README.md"] <= 10_000 and sum(sizes.values()) <= 60_000, sizes


def test_the_readme_has_the_commands_that_people_and_ci_run():
    lines = read("README.md").splitlines()
    assert "python -m pip install -r requirements.txt && python wgan_handwritten_digits.py" in lines
    # .ci/run takes these two from the README.
    (tests,) = (line for line in lines if line.startswith("python -m pip install") and "pytest" in line)
    assert "python -m pytest -n auto --dist loadfile" in tests
    (notebook,) = (line for line in lines if line.startswith("python -m pip install nbconvert"))
    assert "tour.ipynb" in notebook and "my_tour.ipynb" in notebook


# --------------------------------------------------------------------------------------------------- measured figures
def cells(line):
    """The cells of a row of a table in Markdown."""
    return [cell.strip(" *↑↓≈") for cell in line.split("|")[1:-1]]


def measured(recipe, figure):
    """The mean and the standard deviation of a figure over the seeds of a recipe, as the table has them."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob(f"{recipe}_seed*.json"))]
    values = [report["figures"].get(figure.key) for report in reports]
    if None in values:
        return ""
    form = figure.form.removeprefix("10").replace("d", ".0f")
    return f"{statistics.mean(values):{form}} ± {statistics.stdev(values):{form}}"


def test_the_table_of_quality_is_that_of_the_results():
    lines = read("docs/quality.md").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| figure | wgan |"))
    recipes = [cell for cell in cells(lines[start])[1:] if cell != "real digits"]
    table = {cells(line)[0]: cells(line)[1:] for line in lines[start:] if line.startswith("|")}
    real = classifier.read_record()["real"]
    assert {"wgan", "cwgan", "wgan-paper"} <= set(recipes)
    for figure in FIGURES:
        expected = [measured(recipe, figure) for recipe in recipes]
        if any(expected):
            assert table[figure.name.strip(" *")] == [*expected, format(real[figure.key], figure.form).strip()]
    figures = {figure.name.strip(" *"): figure for figure in FIGURES}
    rows = {cells(line)[0].split("`")[1]: cells(line) for line in read("README.md").splitlines() if line[:3] == "| `"}
    for recipe in recipes:
        for name in ("Fréchet distance", "recall"):
            assert measured(recipe, figures[name]) in rows[recipe], (recipe, name)
    for share in (classifier.read_record()["accuracy"], real["gan_test"], real["gan_train"]):
        assert f"{share:.2%}".replace("%", " %") in read("docs/quality.md")


def tables(text):
    """The tables in a document: lists of lines, the heading first."""
    return [block.splitlines() for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)]


def test_tables_of_speed_are_those_of_the_results():
    """A table with the heading of a measured one has only rows of that."""
    results = [table for path in RESULTS.glob("*.md") for table in tables(path.read_text(encoding="utf-8"))]
    compared = 0
    for table in tables(read("docs/speed.md")):
        sources = [set(result) for result in results if result[0] == table[0]]
        assert not sources or any(set(table) <= rows for rows in sources), table
        compared += bool(sources)
    assert compared >= 2


def test_times_in_the_text_are_those_of_the_results():
    for name, quoted in re.findall(r"^\| (\S+\.md) \| `(.+?)` \|", read("benchmarks/results/timings.md"), re.MULTILINE):
        assert quoted in read(name), (name, quoted)


def test_the_scripts_name_the_requirements():
    """What the scripts tell tools that run scripts (PEP 723) is what requirements.txt tells pip."""
    blocks = []
    for name in ("wgan_handwritten_digits.py", "evaluate_digits.py"):
        (block,) = re.findall(r"(?m)^# /// script$\n((?:^#(?: .*)?$\n)+?)^# ///$", read(name))
        blocks.append(tomllib.loads("".join(line[2:] or "\n" for line in block.splitlines(keepends=True))))
    lines = [line.split("#")[0].strip() for line in read("requirements.txt").splitlines()]
    assert blocks[0] == blocks[1] and sorted(blocks[0]["dependencies"]) == sorted(filter(None, lines))
    oldest = blocks[0]["requires-python"].split(",")[0].removeprefix(">=")
    assert f"Python {oldest}" in read("README.md")
