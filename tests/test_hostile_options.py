"""Options that make no sense: status 2, one line, nothing written."""

import pytest
from hostile import Row, check

ROWS = [
    Row("no number", None, "wgan --epochs x", 2, "'x' is not a whole number"),
    Row("an unknown option", None, "wgan --nonsense", 2, "--nonsense"),
    Row("an unknown option", None, "evaluate --nonsense", 2, "--nonsense"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.what}: {row.command}")
def test_it_ends_in_one_line(row, tmp_path, monkeypatch, capfd):
    check(row, tmp_path, monkeypatch, capfd)
