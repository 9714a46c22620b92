"""The images to train on or to evaluate: MNIST, or any others, from files or arrays."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace

from support.data import arrays, image_folders, tables
from support.data.dataset import SAVE, DataError, Dataset, dataset_of, open_unpacked, reading
from support.data.dataset import warning_about as warning_about
from support.lazy import keras, np
from support.outputs.files import kind

MNIST = Path(__file__).resolve().parents[2] / "data" / "mnist.npz"
MNIST_SHA256 = "783b1c0807cfc66ca1ef125e96f8a41ab816d75b1d8d28920718b6428b08cb9e"  # as in Dataset
ACCEPTED = "a folder of images or of IDX files, or an .npz, .npy, .csv or IDX file"
REFUSED = (  # how a file begins, or its suffixes; what it is; what to do
    (b"\x80", {".pkl", ".pickle", ".pt", ".pth"}, "a pickle, which can run code", f"if you trust it, load it; {SAVE}"),
    (b"MATLAB", {".mat"}, "a MATLAB file", f"read it with scipy.io.loadmat; {SAVE}"),
    (b"\x89HDF", {".h5", ".hdf5"}, "an HDF5 file", f"read it with h5py.File; {SAVE}"),
    (b"PAR1", {".parquet"}, "a Parquet file", f"read it with pandas.read_parquet; {SAVE}"),
    (b"PK", {".rar", ".7z", ".tar", ".tgz", ".bz2", ".xz"}, "an archive", "unpack it, and give its folder"),
    (b"<", {".html"}, "a web page", "download the data again"),
    (b"\x89PNG", set(image_folders.SUFFIXES), "one image", "give the folder that holds it"),
)


def load_dataset(path=None):
    """The Dataset at `path`; docs/data.md lists what is read. Raises DataError.

    None: MNIST, from the file in this repository; if that is missing, from Keras, which downloads it.
    """
    if path is None:
        if not os.path.lexists(MNIST):
            return _load_from_keras()
        with reading(MNIST):
            return arrays.load_npz(MNIST, "data/mnist.npz")
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise DataError(f"{str(path)[:80]!r} is not the path of data; give {ACCEPTED}")
    with reading(path):
        path, found = Path(path), kind(path)
        if found not in ("file", "folder"):
            raise DataError(f"{path}: {found}; give {ACCEPTED}")
        return _load_folder(path) if found == "folder" else _load_file(path)


def as_dataset(images, labels=None):
    """The Dataset of images [n, 28, 28] and labels [n]: arrays, or anything that numpy makes arrays of."""
    if isinstance(images, Dataset):
        return images
    with reading("the array"):
        found = {"x_train": np.asarray(images), "y_train": None if labels is None else np.asarray(labels)}
        return dataset_of(found, "an array")


def read_images(path):
    """The training images of load_dataset(path), with the names of their files, if they are in a folder of images."""
    found = load_dataset(path)
    names, images, labels = found.file_names, found.train_images, found.train_labels
    return SimpleNamespace(names=names, images=images, labels=labels, prepared=found.prepared)


def _load_folder(folder):
    """The Dataset of the IDX files in a folder; if there are none, of its images."""
    files = arrays.find_idx(folder)
    if len(files) > 1:
        names = ", ".join(str(file.relative_to(folder)) for file in files)
        raise DataError(f"{folder}: holds several datasets; give the path of one of these files: {names}")
    return arrays.load_idx(files[0]) if files else image_folders.load_images(folder)


def _load_file(path):
    """The Dataset of a file. Its first bytes say what it is, except for .npz and .csv."""
    suffixes = {suffix.lower() for suffix in path.suffixes}
    with open_unpacked(path) as file:
        begin = file.read(8)
    if path.suffix.lower() == ".npz":
        return arrays.load_npz(path)
    if ".csv" in suffixes:
        return tables.load_csv(path)
    if begin.startswith(b"\x93NUMPY"):
        return arrays.load_npy(path)
    if begin.startswith((b"\0\0\x08", b"\0\0\x0c")):
        return arrays.load_idx(path)
    for start, endings, what, advice in REFUSED:
        if begin.startswith(start) or suffixes & endings:
            raise DataError(f"{path}: is {what}; {advice}")
    raise DataError(f"{path}: is no data that can be read; give {ACCEPTED}")


def _load_from_keras():
    """MNIST from the cache of Keras, or downloaded: for copies of this program without data/."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # Keras itself waits forever
    try:
        found = sum(keras.datasets.mnist.load_data(), ())
        return dataset_of(dict(zip(arrays.PLACES, found, strict=True)), "keras.datasets.mnist")
    except Exception as error:
        what = f"{MNIST} is missing, and Keras cannot get MNIST ({error})"
        raise DataError(f"{what}; put the file there, or give --data PATH") from error
    finally:
        socket.setdefaulttimeout(timeout)
