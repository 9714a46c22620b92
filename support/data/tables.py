"""Reads tables of pixels: CSV files, as Kaggle has them."""

import io
import itertools
import re

from support.data.dataset import MOST_BYTES, SIDE, DataError, dataset_of, open_unpacked
from support.lazy import np

PIXELS = SIDE * SIDE
LABEL_COLUMNS = ("label", "class")  # Kaggle, OpenML
LONGEST_LINE = 2**15  # characters: 785 numbers of 40


def load_csv(path):
    """The Dataset of a CSV file, gzipped or not: one image a line, 784 pixels and at most one label.

    The label is in the column whose name is "label" or "class"; without such a name, it comes first.
    """
    with open_unpacked(path) as file:
        text = io.TextIOWrapper(file, "utf-8-sig")
        lines = iter(lambda: text.readline(LONGEST_LINE), "")  # so that no line fills the memory
        first, second = next(lines, ""), next(lines, "")
        dtype, number = (np.float32, r"[-+.\deE]+") if "." in (second or first) else (np.uint8, r"\d+")
        names = [name.strip(' "\r\n').lower() for name in first.split(",")]
        heading = sum(not re.fullmatch(number, name) for name in names) > len(names) / 2
        table = _read_rows(itertools.chain(["" if heading else first, second], lines), dtype, path)
    columns = [names.index(name) for name in LABEL_COLUMNS if heading and name in names]
    if not columns and table.shape[1] == PIXELS + 1:
        columns = [0]
    if table.shape[1] != PIXELS + len(columns):
        wanted = f"{PIXELS} columns of pixels, and at most one of labels"
        raise DataError(f"{path}: has {table.shape[1]} columns; give {wanted}")
    arrays = {"x_train": np.delete(table, columns, axis=1)}
    if columns:
        arrays["y_train"] = table[:, columns]
    return dataset_of(arrays, path, transposed=path.name.startswith("emnist-"))


def _read_rows(lines, dtype, path):
    """The table in lines of text, `dtype` [n, columns]. Skips empty lines. An error names the line."""
    number, most = 0, MOST_BYTES // (PIXELS * np.dtype(dtype).itemsize)

    def counted():
        nonlocal number
        for number, line in enumerate(lines, start=1):
            if number > most:
                raise DataError(f"{path}: has more than {most:,} lines; give fewer")
            if line.strip():
                yield line

    try:
        return np.loadtxt(counted(), dtype, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        reason = str(error).split(" at row")[0][:100]
        raise DataError(f"{path}: line {number}: {reason}; give whole numbers from 0 to 255") from error
