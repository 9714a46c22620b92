"""Options that make no sense: status 2, one line, nothing written."""

import pytest
from hostile import Row, check

FOLDER_OPTIONS = ("--images-dir", "--models-dir", "--data", "--tensorboard")
ROWS = [
    Row("no number", None, "wgan --epochs x", 2, "'x' is not a whole number"),
    Row("an unknown option", None, "wgan --nonsense", 2, "--nonsense"),
    Row("an unknown option", None, "evaluate --nonsense", 2, "--nonsense"),
    Row("no value", None, "wgan --epochs", 2, "expected one argument"),
    Row("a line feed in a number", None, "wgan --epochs '1\n2'", 2, "not a whole number"),
    Row("a line feed in an option", None, "wgan '--a\nb'", 2, "--a b"),
    Row("a line feed in an option", None, "evaluate '--a\nb'", 2, "--a b"),
    Row("a line feed in a step", None, "wgan 'a\nb'", 2, "there is no step"),
    Row("colours of a terminal", None, "wgan '--a\x1b[31mb'", 2, "--a [31mb"),
    Row("not UTF-8", None, "evaluate --\udcff", 2, "unrecognized arguments"),
    Row("a step of another program", None, "wgan evaluate", 2, "'evaluate'"),
    Row("other digits", None, "wgan --shard ²/3", 2, "not of the form I/N"),
    Row("a huge number", None, f"wgan --epochs {'9' * 5000}", 2, "not a whole number"),
    Row("a number as text", None, "wgan --learning-rate 1e-400", 2, "above 0"),
    Row("an infinite number", None, "wgan --clip 1e400", 2, "above 0"),
    Row("not a number", None, "wgan --clip nan", 2, "above 0"),
    Row("a shard of nothing", None, "wgan generate --shard 1/0", 2, "not of the form I/N"),
    Row("a shard without images", None, "wgan generate --images 3 --shard 4/8", 2, "more shards than images"),
    Row("a shard with a step", None, "wgan --shard 1/2", 2, "--shard"),
    Row("one point", None, "wgan interpolate --walk 1", 2, "two or more"),
    Row("no point", None, "wgan interpolate --walk ,", 2, "not a whole number"),
    Row("no list of digits", None, "wgan generate --digits x", 2, "not a list of labels"),
    Row("digits that fall", None, "wgan generate --digits 5-3", 2, "not a list of labels"),
    Row("a huge digit to draw", None, f"wgan generate --digits {'9' * 5000}", 2, "not a list of labels"),
    Row("an array of another kind", None, "wgan generate --npz a.npy", 2, ".npz"),
    Row("an array in parts", None, "wgan generate --npz a.npz --shard 1/2", 2, "--shard"),
    Row("too many digits for an array", None, "wgan generate --npz a.npz --images 2000001", 2, "2,000,000"),
    Row("an array of nothing", None, "wgan train --npz a.npz", 2, "--npz"),
    Row("nothing to write", None, "wgan write", 2, "write 2026"),
    Row("a word to write", None, "wgan write hello", 2, "write 2026"),
    Row("a step to write", None, "wgan write generate", 2, "write 2026"),
    Row("a fraction to write", None, "wgan write 3.14", 2, "write 2026"),
    Row("other digits to write", None, "wgan write ²", 2, "write 2026"),
    Row("a long number", None, f"wgan write {'9' * 101}", 2, "1 to 100"),
    Row("no line", None, "wgan write 7 --lines 0", 2, "not in the range 1"),
    Row("lines of nothing", None, "wgan generate --lines 2", 2, "--lines"),
    Row("a model to train", None, "wgan train --model m.keras", 2, "--model"),
    *(Row("an empty word", None, f"wgan train {option} ''", 2, "not a path") for option in FOLDER_OPTIONS[1:]),
    *(Row("a zero byte", None, f"wgan {option} 'a\0b'", 2, "not a path") for option in FOLDER_OPTIONS),
    Row("a recipe with a line feed", None, "wgan --recipe 'wgan\n'", 2, "invalid choice"),
    Row("a device of another kind", None, "evaluate --device tpu", 2, "invalid choice"),
    Row("no image", None, "evaluate --images 0", 2, "not in the range 1"),
    Row("too many images", None, "evaluate --images 1000001", 2, "not in the range 1"),
    Row("a negative seed", None, "evaluate --seed=-1", 2, "not in the range 0"),
    Row("a digit of two", None, "evaluate --digit 10", 2, "invalid choice"),
    Row("a huge digit", None, f"evaluate --digit {'9' * 5000}", 2, "invalid int value"),
    Row("a digit without a folder", None, "evaluate . --digit 7", 2, "--copy-to"),
    Row("a folder without a digit", None, "evaluate . --copy-to c", 2, "--digit"),
    Row("two sources", None, "evaluate . .", 2, "unrecognized arguments"),
    Row("labels of another kind", None, "evaluate . --labels l.txt", 2, ".csv"),
    Row("a page without a name", None, "evaluate . --page ..", 2, ".png"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.what}: {row.command[:60]}")
def test_it_ends_in_one_line(row, tmp_path, monkeypatch, capfd):
    check(row, tmp_path, monkeypatch, capfd)
