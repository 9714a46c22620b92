"""Reads arrays: numpy's .npz and .npy files, and IDX files, the format of the first MNIST."""

import math
import re
import struct
import zipfile

from support.data.dataset import MOST_BYTES, SAVE, DataError, dataset_of, open_unpacked, reading
from support.lazy import np

PLACES = ("x_train", "y_train", "x_test", "y_test")
NAMES = (  # of these arrays in .npz files
    PLACES,  # keras.datasets, and this program
    ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
    ("images", "labels"),
    ("arr_0", "arr_1"),  # numpy.savez(FILE, images, labels)
)
# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte, qmnist-test-labels-idx2-int
IDX_NAME = re.compile(r"(emnist-\w+-|qmnist-)?(train|t10k|test)-(images|labels)[-.]idx\d-(ubyte|int)(\.gz)?")
IDX_TYPES = {8: "u1", 12: ">i4"}


def load_npz(path, source=None):
    """The Dataset of an .npz file."""
    with zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy").lower(): member for member in archive.infolist()}
        known = [names for names in NAMES if names[0] in members]
        if not known and len(members) != 1:
            raise DataError(f"{path}: holds {list(members)[:9]}; name the images x_train, and the labels y_train")
        arrays = {}
        for place, name in zip(PLACES, known[0] if known else members, strict=False):
            if name in members:
                with archive.open(members[name]) as stream:
                    arrays[place] = _read_array(stream, members[name].file_size, f"{path}: {name}")
    if known == [NAMES[-1]] and "y_train" in arrays and arrays["y_train"].shape != arrays["x_train"].shape[:1]:
        del arrays["y_train"]  # arr_1 is something else
    return dataset_of(arrays, source or path)


def load_npy(path):
    """The Dataset of an .npy file: images without labels."""
    with open(path, "rb") as stream:
        return dataset_of({"x_train": _read_array(stream, path.stat().st_size, path)}, path)


def _read_array(stream, size, where):
    """The array in a stream of `size` bytes. It is checked before numpy reads it: a header may promise any size."""
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    content = math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        trusted = "if you trust it, read it with numpy.load(FILE, allow_pickle=True)"
        raise DataError(f"{where}: holds pickled Python objects, which can run code; {trusted}; {SAVE}")
    if content > MOST_BYTES or stream.tell() + content != size:
        promised = f"{dtype} {list(shape)} in {size:,} bytes"
        raise DataError(f"{where}: its header promises {promised}; get it again, or give {MOST_BYTES:,} bytes at most")
    stream.seek(0)
    return np.load(stream, allow_pickle=False)


def find_idx(folder):
    """The IDX files of training images in a folder, in its raw/ and in NAME/raw/, where torchvision puts them."""
    found = {}
    for place in (folder, folder / "raw", *sorted(folder.glob("*/raw"))):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            name = IDX_NAME.fullmatch(file.name)
            if name and name[2] == "train" and name[3] == "images" and file.is_file():
                found.setdefault((place, name[1]), file)  # in sorted order, the unpacked file comes before the .gz
    return list(found.values())


def load_idx(path):
    """The Dataset of an IDX file of images, gzipped or not. Labels and test images are found by their names."""
    files, own = {"x_train": path}, IDX_NAME.fullmatch(path.name)
    for file in sorted(path.parent.iterdir()) if own else ():
        name = IDX_NAME.fullmatch(file.name)
        if name and name[1] == own[1] and file.is_file() and own[2] in ("train", name[2]):
            part = "train" if name[2] == own[2] else "test"
            files.setdefault(f"{'x' if name[3] == 'images' else 'y'}_{part}", file)
    arrays = {place: _read_idx(file) for place, file in files.items()}
    for place in ("y_train", "y_test"):
        if place in arrays and arrays[place].ndim == 2:  # QMNIST: the digit, then its writer and more
            arrays[place] = arrays[place][:, 0]
    return dataset_of(arrays, path, transposed=path.name.startswith("emnist-"))


def _read_idx(path):
    """The array in an IDX file."""
    with reading(path), open_unpacked(path) as stream:
        code, dimensions = struct.unpack(">2xBB", stream.read(4))
        shape = struct.unpack(f">{dimensions}I", stream.read(4 * dimensions))
        dtype = np.dtype(IDX_TYPES[code])
        size = math.prod(shape) * dtype.itemsize
        data = stream.read(size + 1) if size <= MOST_BYTES else b""  # 1: gzip compares its checksum at the end
        if len(data) != size:
            raise DataError(f"{path}: its header promises {size:,} bytes, but it has others; get it again")
        return np.frombuffer(data, dtype).reshape(shape)
