"""Reads datasets: MNIST, or any other 28x28 grey images.

Every file is checked before it is used; a wrong one raises a DataError with a message of one line. The memory used
depends on the bytes that are there, never on a number in a header.
"""

import gzip
import hashlib
import math
import os
import re
import socket
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from support.datasets.checks import SIDE, DataError, check_form, reading
from support.datasets.image_files import image_names, list_images, read_images
from support.paths import kind

MNIST = Path(__file__).resolve().parents[2] / "data" / "mnist.npz"
MNIST_SHA256 = "783b1c0807cfc66ca1ef125e96f8a41ab816d75b1d8d28920718b6428b08cb9e"  # as in Dataset
NAMES = ("x_train", "y_train", "x_test", "y_test")  # x: images, y: labels; the names that keras.datasets uses
# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte, ...
IDX_NAME = re.compile(r"(emnist-\w+-)?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")
ACCEPTED = "an .npz file with x_train, a folder of IDX files (train-images-idx3-ubyte, ...) or a folder of images"


@dataclass(frozen=True)
class Dataset:
    """Images: uint8 [n, 28, 28], 0 to 255, upright. Labels: int64 [n], 0 or more. None: the dataset has none."""

    train_images: np.ndarray
    train_labels: np.ndarray | None
    test_images: np.ndarray | None
    test_labels: np.ndarray | None
    source: str  # where it was read from
    sha256: str  # of the shape and bytes of train_images, so that it does not depend on the file format


def load_dataset(path=None):
    """The Dataset at `path`. Raises DataError if it cannot be used. `path` is one of these:

    None: MNIST, from the file in this repository; if that is missing, from Keras, which downloads it.
    An .npz file: x_train, uint8 [n, 28, 28] or [n, 28, 28, 1], and optionally y_train [n], x_test and y_test.
    A folder of IDX files, gzipped or not, with the file names of MNIST, Fashion-MNIST or EMNIST. They are also found
    in its subfolders raw/ and NAME/raw/, where torchvision puts them.
    An IDX file of training images: its labels and test files are found by their names.
    A folder of images, without labels: see read_images. If it contains IDX files too, those are read instead.
    """
    if path is None:
        return _load_npz(MNIST, "data/mnist.npz") if os.path.lexists(MNIST) else _load_from_keras()
    if not str(path):
        raise DataError(f"the path of the data is empty (''); give {ACCEPTED}")
    with reading(path):
        path, found = Path(path), kind(path)
        if found == "folder":
            return _load_folder(path)
        if found != "file":
            raise DataError(f"{path}: {found}; give {ACCEPTED}")
        if path.suffix.lower() == ".npy":
            raise DataError(f"{path}: is a single array; save it with numpy.savez_compressed(FILE, x_train=array)")
        return _load_npz(path, str(path)) if path.suffix.lower() == ".npz" else _load_idx(path)


def read_image_array(path):
    """The images of an .npz file, uint8 [n, 28, 28], and their labels, int64 [n]; None if it has none.

    The images are the array named images, x_train or arr_0, or the only array. x_train has its labels in y_train.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        members = _members(archive)
        known = [name for name in ("images", "x_train", "arr_0") if name in members]
        if not known and len(members) != 1:
            raise DataError(f"{path}: holds {list(members)[:9]}; name the images images, x_train or arr_0")
        name = (known or list(members))[0]
        arrays = {"x_train": _read_npy("x", archive, members[name], f"{path}: {name}")}
        if name == "x_train" and "y_train" in members:
            arrays["y_train"] = _read_npy("y", archive, members["y_train"], f"{path}: y_train")
        dataset = _dataset(arrays, str(path))
        return dataset.train_images, dataset.train_labels


def _dataset(arrays, source):
    """The Dataset of {"x_train": array, ...}; check_form has accepted the arrays."""
    fields = []
    for part in ("train", "test"):
        images, labels = arrays.get(f"x_{part}"), arrays.get(f"y_{part}")
        images = None if images is None else np.ascontiguousarray(images.reshape(-1, SIDE, SIDE))
        labels = None if images is None else labels  # labels without images are of no use
        if labels is not None:
            if len(labels) != len(images) or labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
                given = f"{len(labels)} {part} labels, {labels.min()} to {labels.max()}, for {len(images)} images"
                raise DataError(f"{source}: {given}; give one label per image, 0 or more")
            labels = labels.astype(np.int64)
        fields += images, labels
    checksum = hashlib.sha256(repr(fields[0].shape).encode())
    checksum.update(fields[0])
    return Dataset(*fields, source=source, sha256=checksum.hexdigest())


def _read_exactly(stream, size, where):
    """The rest of the stream. Raises DataError if that is not exactly `size` bytes."""
    data = bytearray()
    # In pieces, because a header may promise any size. Up to one byte too many, because zip and gzip compare their
    # checksums only at the end of the data.
    while len(data) <= size and (piece := stream.read(min(size + 1 - len(data), 1 << 20))):
        data += piece
    if len(data) != size:
        raise DataError(f"{where}: has {'less' if len(data) < size else 'more'} than its header promises; get it again")
    return data


def _load_npz(path, source):
    with reading(path), zipfile.ZipFile(path) as archive:
        members = _members(archive)
        if "x_train" not in members:
            raise DataError(f"{path}: holds {list(members)[:9]}; name the training images x_train")
        arrays = {n: _read_npy(n, archive, members[n], f"{path}: {n}") for n in NAMES if n in members}
        return _dataset(arrays, source)


def _members(archive):
    """The members of an .npz file: {name of the array: ZipInfo}."""
    return {member.filename.removesuffix(".npy"): member for member in archive.infolist()}


def _read_npy(name, archive, member, where):
    """One array of an .npz file. numpy.load is not used: it allocates whatever a header asks for."""
    with archive.open(member) as stream:
        # numpy writes numbers with these compressions and this version only. Others could fill the memory.
        usual = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not usual or np.lib.format.read_magic(stream) != (1, 0):
            raise DataError(f"{where}: is not stored as numpy stores numbers; save it with numpy.savez_compressed")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.hasobject:
            raise ValueError("pickled Python objects, not numbers")
        check_form(name, shape, dtype, where)
        data = _read_exactly(stream, math.prod(shape) * dtype.itemsize, where)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")


def _load_folder(folder):
    """The Dataset of the IDX files in the folder, its raw/ or a NAME/raw/; if there are none, of its images."""
    sets = {}
    for place in (folder, folder / "raw", *sorted(folder.glob("*/raw"))):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            name = IDX_NAME.fullmatch(file.name)
            if name and name[2] == "train" and name[3] == "images" and file.is_file():
                sets.setdefault((place, name[1]), file)  # in sorted order, the uncompressed file comes before the .gz
    if len(sets) > 1:
        files = ", ".join(str(file.relative_to(folder)) for file in sets.values())
        raise DataError(f"{folder}: holds several datasets; give the path of one of these files: {files}")
    if not sets and not image_names(folder):
        raise DataError(f"{folder}: holds neither IDX files of training images nor image files; give {ACCEPTED}")
    if sets:
        return _load_idx(*sets.values())
    return _dataset({"x_train": read_images(folder, list_images(folder))}, str(folder))


def _load_idx(path):
    """The Dataset of an IDX file of training images, with the labels and test files of the same set beside it."""
    files = {"x_train": path}
    own = IDX_NAME.fullmatch(path.name)
    if own and own[2] == "train" and own[3] == "images":
        for file in sorted(path.parent.iterdir()):
            name = IDX_NAME.fullmatch(file.name)
            if name and name[1] == own[1] and file.is_file():
                x_or_y, part = "x" if name[3] == "images" else "y", "train" if name[2] == "train" else "test"
                files.setdefault(f"{x_or_y}_{part}", file)
    arrays = {name: _read_idx(name, file) for name, file in files.items()}
    if own and own[1]:  # EMNIST stores its images transposed
        arrays |= {name: array.transpose(0, 2, 1) for name, array in arrays.items() if name.startswith("x")}
    return _dataset(arrays, str(path))


def _read_idx(name, path):
    """uint8: images [n, 28, 28] if the name starts with x, otherwise labels [n]."""
    dimensions, what = (3, "images") if name.startswith("x") else (1, "labels")
    with reading(path), open(path, "rb") as file:
        # Decided by content: some browsers unpack a download but keep the suffix .gz.
        stream = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file
        magic, sizes = stream.read(4).hex(), stream.read(4 * dimensions)
        if magic != (right := f"0000080{dimensions}"):
            raise DataError(
                f"{path}: begins with '{magic}', but an IDX file of {what} begins with '{right}'; give {ACCEPTED}"
            )
        shape = struct.unpack(f">{dimensions}I", sizes)
        check_form(name, shape, np.dtype(np.uint8), path)
        return np.frombuffer(_read_exactly(stream, math.prod(shape), path), np.uint8).reshape(shape)


def _load_from_keras():
    """MNIST from the cache of Keras, or downloaded: for copies of this program without data/."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # Keras itself waits forever
    try:
        import keras

        arrays = dict(zip(NAMES, sum(keras.datasets.mnist.load_data(), ()), strict=True))
        for name, array in arrays.items():
            check_form(name, array.shape, array.dtype, f"keras.datasets.mnist: {name}")
        return _dataset(arrays, "keras.datasets.mnist")
    except Exception as error:
        raise DataError(
            f"{MNIST} is missing, and Keras cannot get MNIST ({error}); put the file there, or give --data PATH"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
