"""Data sets in, uint8 arrays out.

`load_dataset` reads MNIST or any other 28x28 grey images, and trusts none of it. A wrong file ends in a DataError
of one line. Memory use depends on the bytes that are there, never on a number in a header.
"""

import gzip
import hashlib
import math
import os
import re
import socket
import struct
import warnings
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from support.errors import InputError
from support.paths import kind
from support.results.image_folder import check_whole

MNIST = Path(__file__).resolve().parents[2] / "data" / "mnist.npz"
SIDE, MOST_IMAGES = 28, 2_000_000  # 1.5 GiB in memory, and once more on the device
NAMES = ("x_train", "y_train", "x_test", "y_test")  # images x, labels y: what keras.datasets calls them
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")  # no others, whatever the name: for PostScript, Pillow runs Ghostscript
# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte, ...
IDX_NAME = re.compile(r"(emnist-\w+-)?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")
ACCEPTED = "an .npz file with x_train, a folder of IDX files (train-images-idx3-ubyte, ...) or a folder of images"


class DataError(InputError):
    """The data cannot be used: what is wrong, where, what to do."""


@dataclass(frozen=True)
class Dataset:
    """A data set. Images: uint8 [n, 28, 28], 0 to 255, upright. Labels: int64 [n], 0 or more. None: not there."""

    train_images: np.ndarray
    train_labels: np.ndarray | None
    test_images: np.ndarray | None
    test_labels: np.ndarray | None
    source: str  # where it was read
    sha256: str  # of the shape and bytes of train_images: the same digits give the same sum out of any container


def load_dataset(path=None):
    """Read a data set into Dataset; DataError for all that cannot be used.

    path None: the MNIST of this repository; only where its file is absent, the one that Keras keeps or downloads.
    An .npz file: x_train [n, 28, 28] or [n, 28, 28, 1] uint8 and, where there are any, y_train [n], x_test, y_test.
    A folder of IDX files, gzipped or not, named as MNIST, Fashion-MNIST or EMNIST are handed out, in the folder, in
    its raw/ or NAME/raw/ (torchvision); or the file of training images itself: its companions are found by name.
    A folder of images, without labels: see read_image_folder. A folder that holds both kinds is read as IDX.
    """
    if path is None:
        return _load_npz(MNIST, "data/mnist.npz") if os.path.lexists(MNIST) else _load_from_keras()
    if not str(path):
        raise DataError(f"the path of the data is empty (''); give {ACCEPTED}")
    with _reading(path):
        path, found = Path(path), kind(path)
        if found == "folder":
            return _load_folder(path)
        if found != "file":
            raise DataError(f"{path}: {found}; give {ACCEPTED}")
        if path.suffix.lower() == ".npy":
            raise DataError(f"{path}: is a single array; save it with numpy.savez_compressed(FILE, x_train=array)")
        return _load_npz(path, str(path)) if path.suffix.lower() == ".npz" else _load_idx(path)


def read_image_folder(folder):
    """All images of a folder, sorted by name: (file names, uint8 [n, 28, 28], 0 to 255); DataError for all others.

    Read are png, jpg, jpeg, bmp, gif and webp; not folders below, nor hidden files. Every image must be 28x28 and grey,
    in whatever way it stores that: as black and white, as 8 bits of grey, as a palette or RGB with three equal channels
    and nothing transparent. An animation gives its first frame. Colour, 16 bits a pixel or another size: DataError.
    """
    check_whole(folder)
    with _reading(folder):
        names = _picture_names(folder)
    if not 1 <= len(names) <= MOST_IMAGES:
        raise DataError(f"{folder}: holds {len(names)} images ({' '.join(PICTURES)}); give 1 to {MOST_IMAGES} of them")
    images = np.empty((len(names), SIDE, SIDE), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is either harmless or an error here
        for name, image in zip(names, images, strict=True):
            image[...] = _read_picture(os.path.join(folder, name))
    return names, images


def read_images(path):
    """uint8 [n, 28, 28] of an .npz file: the array named images, x_train or arr_0, or the only one there is."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        members = _members(archive)
        known = [name for name in ("images", "x_train", "arr_0") if name in members]
        if not known and len(members) != 1:
            raise DataError(f"{path}: holds {list(members)[:9]}; name the images images, x_train or arr_0")
        name = (known or list(members))[0]
        return _read_npy("x", archive, members[name], f"{path}: {name}").reshape(-1, SIDE, SIDE)


@contextmanager
def _reading(path):
    """Make whatever a reader raises a DataError that names the path: what damaged files lead to, nobody can list."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: cannot be read ({reason}); check the path, or get it again if damaged") from error


def _check_form(name, shape, dtype, where):
    """Can an array of this shape and type be what its name says? Asked before a byte of it is read."""
    if name.startswith("x"):
        wanted = f"images must be uint8 [n, {SIDE}, {SIDE}]"
        fits = dtype == np.uint8 and shape[1:] in ((SIDE, SIDE), (SIDE, SIDE, 1))
    else:
        wanted, fits = "labels must be integers [n]", len(shape) == 1 and dtype.kind in "iu"
    if not fits or not 1 <= shape[0] <= MOST_IMAGES:
        raise DataError(f"{where}: is {dtype} {list(shape)}; {wanted}, n from 1 to {MOST_IMAGES}")


def _dataset(arrays, source):
    """Dataset out of {"x_train": array, ...}, whose forms have been checked."""
    fields = []
    for part in ("train", "test"):
        images, labels = arrays.get(f"x_{part}"), arrays.get(f"y_{part}")
        images = None if images is None else np.ascontiguousarray(images.reshape(-1, SIDE, SIDE))
        labels = None if images is None else labels  # labels of no images say nothing
        if labels is not None:
            if len(labels) != len(images) or labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
                given = f"{len(labels)} {part} labels, {labels.min()} to {labels.max()}, for {len(images)} images"
                raise DataError(f"{source}: {given}; give every image one, counted from 0")
            labels = labels.astype(np.int64)
        fields += images, labels
    checksum = hashlib.sha256(repr(fields[0].shape).encode())
    checksum.update(fields[0])
    return Dataset(*fields, source=source, sha256=checksum.hexdigest())


def _read_exactly(stream, size, where):
    """What is left of the stream, which must be `size` bytes."""
    data = bytearray()
    # In pieces, for a header may promise any size; one byte too far, for zip and gzip check their sums at the end.
    while len(data) <= size and (piece := stream.read(min(size + 1 - len(data), 1 << 20))):
        data += piece
    if len(data) != size:
        raise DataError(f"{where}: has {'less' if len(data) < size else 'more'} than its header promises; get it again")
    return data


def _load_npz(path, source):
    with _reading(path), zipfile.ZipFile(path) as archive:
        members = _members(archive)
        if "x_train" not in members:
            raise DataError(f"{path}: holds {list(members)[:9]}; name the training images x_train")
        arrays = {n: _read_npy(n, archive, members[n], f"{path}: {n}") for n in NAMES if n in members}
        return _dataset(arrays, source)


def _members(archive):
    """The members of an .npz file by the names of the arrays."""
    return {member.filename.removesuffix(".npy"): member for member in archive.infolist()}


def _read_npy(name, archive, member, where):
    """One array of an .npz file. numpy.load would do, did it not allocate whatever a header asks for."""
    with archive.open(member) as stream:
        # Neither other compressions nor later versions are what numpy writes for numbers, and both may fill the memory.
        usual = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not usual or np.lib.format.read_magic(stream) != (1, 0):
            raise DataError(f"{where}: not as numpy writes arrays of numbers; save it with numpy.savez_compressed")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.hasobject:
            raise ValueError("pickled Python objects, not numbers")
        _check_form(name, shape, dtype, where)
        data = _read_exactly(stream, math.prod(shape) * dtype.itemsize, where)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")


def _load_folder(folder):
    """The one set of IDX files in the folder or its raw/ or NAME/raw/; without such a set, the images."""
    sets = {}
    for place in (folder, folder / "raw", *sorted(folder.glob("*/raw"))):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            name = IDX_NAME.fullmatch(file.name)
            if name and name[2] == "train" and name[3] == "images" and file.is_file():
                sets.setdefault((place, name[1]), file)  # the first in order is the one that is not gzipped
    if len(sets) > 1:
        files = ", ".join(str(file.relative_to(folder)) for file in sets.values())
        raise DataError(f"{folder}: holds several data sets; give the path of one file of training images: {files}")
    if not sets and not _picture_names(folder):
        raise DataError(f"{folder}: holds neither IDX files of training images nor pictures; give {ACCEPTED}")
    return _load_idx(*sets.values()) if sets else _dataset({"x_train": read_image_folder(folder)[1]}, str(folder))


def _load_idx(path):
    """The training images in this file and, out of the same folder, the labels and test files of the same set."""
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
    """uint8: images [n, 28, 28] for the name of images, labels [n] for that of labels."""
    dimensions, what = (3, "images") if name.startswith("x") else (1, "labels")
    with _reading(path), open(path, "rb") as file:
        # By content, for browsers unpack what they fetch and leave its name.
        stream = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file
        magic, sizes = stream.read(4).hex(), stream.read(4 * dimensions)
        if magic != (right := f"0000080{dimensions}"):
            raise DataError(f"{path}: begins with '{magic}', not '{right}' as IDX files of {what} do; give {ACCEPTED}")
        shape = struct.unpack(f">{dimensions}I", sizes)
        _check_form(name, shape, np.dtype(np.uint8), path)
        return np.frombuffer(_read_exactly(stream, math.prod(shape), path), np.uint8).reshape(shape)


def _picture_names(folder):
    seen = (file.name for file in os.scandir(folder) if file.is_file())
    return sorted(name for name in seen if name.lower().endswith(PICTURES) and name[0] != ".")


def _read_picture(path):
    """uint8 [28, 28]; see read_image_folder."""
    from PIL import Image

    with _reading(path), Image.open(path, formats=FORMATS) as image:
        if image.size != (SIDE, SIDE):
            raise DataError(f"{path}: {image.width}x{image.height} pixels; resize all images to {SIDE}x{SIDE}")
        if image.mode == "L":
            return np.frombuffer(image.tobytes(), np.uint8).reshape(SIDE, SIDE)
        if image.mode in ("1", "LA", "P", "PA", "RGB", "RGBA"):
            red, green, blue, alpha = np.moveaxis(np.asarray(image.convert("RGBA")), -1, 0)
            if (red == green).all() and (red == blue).all() and (alpha == 255).all():
                return red
        raise DataError(f"{path}: is '{image.mode}', not opaque grey of 8 bits; convert all images to that ('L')")


def _load_from_keras():
    """MNIST from the cache of Keras, or downloaded: for a program that was copied without its data."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # Keras itself waits without end
    try:
        import keras

        arrays = dict(zip(NAMES, sum(keras.datasets.mnist.load_data(), ()), strict=True))
        for name, array in arrays.items():
            _check_form(name, array.shape, array.dtype, f"keras.datasets.mnist: {name}")
        return _dataset(arrays, "keras.datasets.mnist")
    except Exception as error:
        raise DataError(f"no {MNIST}, and Keras gets none ({error}); put it there or give --data PATH") from error
    finally:
        socket.setdefaulttimeout(patience)
