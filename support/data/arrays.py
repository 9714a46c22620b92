"""Reads arrays: numpy's .npz and .npy files; IDX files, the first format of MNIST; CSV files, as on Kaggle."""

import io
import itertools
import math
import re
import struct
import zipfile
from pathlib import Path

from support.data.dataset import MOST_BYTES, PIXELS, SAVE, dataset_of, open_unpacked, reading
from support.errors import InputError
from support.lazy import np

NAMES = {  # of arrays in .npz files: Keras's and ours; MedMNIST's; others, such as numpy.savez(FILE, images, labels)
    "x_train": ("x_train", "train_images", "images", "arr_0"),
    "y_train": ("y_train", "train_labels", "labels", "arr_1"),
    "x_test": ("x_test", "test_images"),
    "y_test": ("y_test", "test_labels"),
}
IDX_TYPES = {8: "u1", 12: ">i4"}
LONGEST_LINE = 2**15  # characters of a CSV file: 785 numbers of 40


def _read_values(stream, shape, dtype, where, order="C"):
    """The array that is the rest of a stream. The size is checked, because a header may promise any."""
    size = math.prod(shape) * dtype.itemsize
    if size > MOST_BYTES:
        raise InputError(f"{where}: its header promises {size:,} bytes; {MOST_BYTES:,} are read at most; use uint8")
    data = stream.read(size + 1) if size >= 0 else b""  # 1 more: checksums are compared at the end
    if len(data) != size:
        raise InputError(f"{where}: its header promises {size:,} bytes, but it has more or fewer; get it again")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def load_npz(path, source=None):
    """The Dataset of an .npz file. source: its `source`, if that is not the path."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy").lower(): name for name in archive.namelist()}
        # Of several known names, the first wins.
        found = {place: name for place, names in NAMES.items() for name in reversed(names) if name in members}
        if len(members) == 1:
            found["x_train"] = min(members)
        if "x_train" not in found:
            raise InputError(f"{path}: holds {list(members)[:9]}; name the images x_train, and the labels y_train")
        for place, name in found.items():
            with archive.open(members[name]) as stream:
                arrays[place] = _read_numpy(stream, f"{path}: {name}")
    return dataset_of(arrays, source or path)


def load_npy(path):
    """The Dataset of an .npy file: images without labels."""
    with open_unpacked(path) as stream:
        return dataset_of({"x_train": _read_numpy(stream, path)}, path)


def _read_numpy(stream, where):
    np.lib.format.read_magic(stream)
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        trusted = "if you trust it, read it with numpy.load(FILE, allow_pickle=True)"
        raise InputError(f"{where}: holds pickled Python objects, which can run code; {trusted}; {SAVE}")
    return _read_values(stream, shape, dtype, where, "F" if is_fortran else "C")


def find_idx(folder):
    """The IDX files of training images in a folder, in its raw/ and in NAME/raw/, where torchvision puts them."""
    places = ("", "raw/", "*/raw/")
    files = {file for place in places for file in _find_files(folder, f"{place}*train-images[-.]idx3-ubyte*")}
    return sorted(files - {file.with_name(f"{file.name}.gz") for file in files})  # of two, the unpacked one


def _find_files(folder, pattern):
    return filter(Path.is_file, folder.glob(pattern))  # Kaggle's archive of MNIST also has folders with such names


def load_idx(path):
    """The Dataset of an IDX file of images, gzipped or not. Labels and test images are found by their names."""
    files = {"x_train": path}
    # emnist-letters-train-images-idx3-ubyte.gz, t10k-images.idx3-ubyte
    if name := re.match("(.*)(train|t10k|test)-images[-.]idx", path.name):
        dataset, part = name.groups()
        others = {"y_train": f"{part}-labels"}
        if part == "train":
            others |= {"x_test": "t[1e]*-images", "y_test": "t[1e]*-labels"}  # t10k or test
        for place, start in others.items():
            files[place] = min(_find_files(path.parent, f"{dataset}{start}[-.]idx*"), default=None)
    arrays = {place: _read_idx(file) for place, file in files.items() if file}
    return dataset_of(arrays, path, transposed=path.name.startswith("emnist-"))


def _read_idx(path):
    with reading(path), open_unpacked(path) as stream:
        code, dimensions = struct.unpack(">2xBB", stream.read(4))
        shape = struct.unpack(f">{dimensions}I", stream.read(4 * dimensions))
        array = _read_values(stream, shape, np.dtype(IDX_TYPES[code]), path)
    return array[:, 0] if dimensions == 2 else array  # labels of QMNIST: the digit, then its writer and more


def load_csv(path):
    """The Dataset of a CSV file, gzipped or not: one image a line, 784 pixels and at most one label.

    The label is in the column whose name is "label" (Kaggle) or "class" (OpenML); without such a name, it comes first.
    """
    first, second = [*itertools.islice(_read_lines(path), 2), "", ""][:2]
    names = [name.strip(' "\n') for name in first.lower().split(",")]
    if len(names) not in (PIXELS, PIXELS + 1):
        raise InputError(f"{path}: has {len(names)} columns; give {PIXELS} of pixels, and at most one of labels")
    heading = 1 if re.search("[a-df-z]", first.lower()) else 0  # lines; an e is in numbers, too
    dtype = np.dtype("float32" if "." in second else "uint8")
    lines = _read_lines(path, MOST_BYTES // (PIXELS * dtype.itemsize))
    arrays = {"x_train": np.loadtxt(lines, dtype, delimiter=",", comments=None, skiprows=heading, ndmin=2)}
    if len(names) > PIXELS:
        column = next((place for place, name in enumerate(names) if name in ("label", "class")), 0)
        arrays["y_train"] = arrays["x_train"][:, column]
        arrays["x_train"] = np.delete(arrays["x_train"], column, axis=1)
    return dataset_of(arrays, path, transposed=path.name.startswith("emnist-"))


def _read_lines(path, most=math.inf):
    """Yields the lines of a text file. Neither a long line nor many lines fill the memory."""
    with io.TextIOWrapper(open_unpacked(path), "utf-8-sig") as text:
        for number, line in enumerate(iter(lambda: text.readline(LONGEST_LINE), "")):
            if number > most:
                raise InputError(f"{path}: has more than {most:,} lines; give fewer")
            yield line
