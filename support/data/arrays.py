"""Reads arrays: numpy's .npz and .npy files; IDX files, the format of the first MNIST; CSV files, as Kaggle has them."""

import io
import math
import re
import struct
import zipfile

from support.data.dataset import MOST_BYTES, PIXELS, SAVE, DataError, dataset_of, open_unpacked, reading
from support.lazy import np

PLACES = ("x_train", "y_train", "x_test", "y_test")
NAMES = (  # of these arrays in .npz files
    PLACES,  # keras.datasets, and this program
    ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
    ("images", "labels"),
    ("arr_0", "arr_1"),  # numpy.savez(FILE, images, labels)
)
IDX_TYPES = {8: "u1", 12: ">i4"}
LONGEST_LINE = 2**15  # characters of a CSV file: 785 numbers of 40


def _read_values(stream, shape, dtype, where, order="C"):
    """The array that is the rest of a stream. The size is checked, because a header may promise any."""
    size = math.prod(shape) * dtype.itemsize
    data = stream.read(size + 1) if 0 <= size <= MOST_BYTES else b""  # 1 more: checksums are compared at the end
    if len(data) != size:
        raise DataError(f"{where}: its header promises {size:,} bytes, but it has others, or too many; get it again")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


# ----------------------------------------------------------------------------------------------------------- numpy
def load_npz(path, source=None):
    """The Dataset of an .npz file. source: its `source`, if that is not the path."""
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy").lower(): name for name in archive.namelist()}
        known = [names for names in NAMES if names[0] in members]
        if not known and len(members) != 1:
            raise DataError(f"{path}: holds {list(members)[:9]}; name the images x_train, and the labels y_train")
        arrays = {}
        for place, name in zip(PLACES, known[0] if known else members, strict=False):
            if name in members:
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
        raise DataError(f"{where}: holds pickled Python objects, which can run code; {trusted}; {SAVE}")
    return _read_values(stream, shape, dtype, where, "F" if is_fortran else "C")


# ------------------------------------------------------------------------------------------------------------- IDX
def find_idx(folder):
    """The IDX files of training images in a folder, in its raw/ and in NAME/raw/, where torchvision puts them."""
    places = ("", "raw/", "*/raw/")
    files = {file for place in places for file in folder.glob(f"{place}*train-images[-.]idx3-ubyte*")}
    return sorted(files - {file.with_name(f"{file.name}.gz") for file in files})  # of two, the unpacked one


def load_idx(path):
    """The Dataset of an IDX file of images, gzipped or not. Labels and test images are found by their names."""
    files = {"x_train": path}
    # emnist-letters-train-images-idx3-ubyte.gz, t10k-images.idx3-ubyte
    if name := re.match("(.*)(train|t10k|test)-images[-.]idx", path.name):
        dataset, part = name.groups()
        files["y_train"] = _beside(path, f"{dataset}{part}-labels")
        if part == "train":
            files["x_test"] = _beside(path, f"{dataset}t[1e]*-images")  # t10k or test
            files["y_test"] = _beside(path, f"{dataset}t[1e]*-labels")
    arrays = {place: _read_idx(file) for place, file in files.items() if file}
    return dataset_of(arrays, path, transposed=path.name.startswith("emnist-"))


def _beside(path, name):
    """The IDX file of this name in the same folder; None if there is none."""
    return min(path.parent.glob(f"{name}[-.]idx*"), default=None)


def _read_idx(path):
    with reading(path), open_unpacked(path) as stream:
        code, dimensions = struct.unpack(">2xBB", stream.read(4))
        shape = struct.unpack(f">{dimensions}I", stream.read(4 * dimensions))
        array = _read_values(stream, shape, np.dtype(IDX_TYPES[code]), path)
    return array[:, 0] if dimensions == 2 else array  # labels of QMNIST: the digit, then its writer and more


# ------------------------------------------------------------------------------------------------------------- CSV
def load_csv(path):
    """The Dataset of a CSV file, gzipped or not: one image a line, 784 pixels and at most one label.

    The label is in the column whose name is "label" (Kaggle) or "class" (OpenML); without such a name, it comes first.
    """
    lines = _read_lines(path)
    first, second = next(lines, ""), next(lines, "")
    names = [name.strip(' "\n') for name in first.lower().split(",")]
    if len(names) not in (PIXELS, PIXELS + 1):
        raise DataError(f"{path}: has {len(names)} columns; give {PIXELS} columns of pixels, and at most one of labels")
    has_heading = bool(re.search("[a-df-z]", first.lower()))  # an e is in numbers, too
    dtype = np.dtype("float32" if "." in second else "uint8")
    most, number = MOST_BYTES // (PIXELS * dtype.itemsize), 0

    def numbered():
        nonlocal number
        for number, line in enumerate(_read_lines(path), start=1):
            if number > most:
                raise DataError(f"{path}: has more than {most:,} lines; give fewer")
            yield line

    try:
        table = np.loadtxt(numbered(), dtype, delimiter=",", comments=None, skiprows=int(has_heading), ndmin=2)
    except ValueError as error:
        reason = str(error).split(" at row")[0][:100]
        raise DataError(f"{path}: line {number}: {reason}; give whole numbers from 0 to 255") from error
    labels = None
    if len(names) > PIXELS:
        column = next((place for place, name in enumerate(names) if name in ("label", "class")), 0)
        table, labels = np.delete(table, column, axis=1), table[:, column]
    return dataset_of({"x_train": table, "y_train": labels}, path, transposed=path.name.startswith("emnist-"))


def _read_lines(path):
    with io.TextIOWrapper(open_unpacked(path), "utf-8-sig") as text:
        yield from iter(lambda: text.readline(LONGEST_LINE), "")  # no line fills the memory
