"""The images to train on or to evaluate: MNIST, or any others, from files or arrays."""

from pathlib import Path

from support.data import arrays, image_files
from support.data.dataset import SAVE, Dataset, dataset_of, open_unpacked, reading
from support.data.dataset import warning_about as warning_about
from support.errors import InputError
from support.lazy import np
from support.outputs.files import kind

MNIST = Path(__file__).resolve().parents[2] / "data" / "mnist.npz"
MNIST_SHA256 = "783b1c0807cfc66ca1ef125e96f8a41ab816d75b1d8d28920718b6428b08cb9e"  # as in Dataset
ACCEPTED = "a folder of images or of IDX files, or an .npz, .npy, .csv or IDX file"
REFUSED = (  # how a file begins, or its suffixes; what it is; what to do
    (b"\x80", {".pkl", ".pickle", ".pt", ".pth"}, "a pickle, which can run code", f"if you trust it, load it; {SAVE}"),
    (b"MATLAB 7", set(), "a MATLAB 7.3 file", f"read it with h5py.File; {SAVE}"),
    (b"MATLAB", {".mat"}, "a MATLAB file", f"read it with scipy.io.loadmat; {SAVE}"),
    (b"\x89HDF", {".h5", ".hdf5"}, "an HDF5 file", f"read it with h5py.File; {SAVE}"),
    (b"PAR1", {".parquet"}, "a Parquet file", f"read it with pandas.read_parquet; {SAVE}"),
    (b"PK", {".tar", ".tgz"}, "an archive", "unpack it, and give its folder"),
)


def load_dataset(path=None):
    """The Dataset at `path`, or MNIST; docs/data.md lists what is read. Raises InputError."""
    if path is None:
        with reading(MNIST):
            return arrays.load_npz(MNIST, source="data/mnist.npz")
    path = Path(path)
    found = kind(path)
    with reading(path):
        if found == "file":
            return _load_file(path)
        if found == "folder":
            idx_files = arrays.find_idx(path)
            return arrays.load_idx(*idx_files) if len(idx_files) == 1 else image_files.load_images(path)
    raise InputError(f"{path}: {found}; give {ACCEPTED}")


def as_dataset(images, labels=None):
    """The Dataset of images [n, 28, 28] and labels [n]: arrays, or anything that numpy makes arrays of."""
    if isinstance(images, Dataset):
        return images
    with reading("the array"):
        found = {"x_train": np.asarray(images), "y_train": None if labels is None else np.asarray(labels)}
        return dataset_of(found, "an array")


def _load_file(path):
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if ".npz" in suffixes:
        return arrays.load_npz(path)
    if ".csv" in suffixes:
        return arrays.load_csv(path)
    with open_unpacked(path) as file:
        begin = file.read(8)
    if begin.startswith(b"\x93NUMPY"):
        return arrays.load_npy(path)
    if begin.startswith((b"\0\0\x08", b"\0\0\x0c")):
        return arrays.load_idx(path)
    for start, endings, what, advice in REFUSED:
        if begin.startswith(start) or suffixes & endings:
            raise InputError(f"{path}: is {what}; {advice}")
    raise InputError(f"{path}: is no data that can be read; give {ACCEPTED}")
