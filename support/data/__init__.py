# STAND-IN by the maintainer so that others can import; the helper of support/data replaces this file.
import hashlib
from dataclasses import dataclass
from pathlib import Path
from support.errors import InputError
from support.lazy import np
MNIST = Path(__file__).resolve().parents[2] / "data" / "mnist.npz"
MNIST_SHA256 = "783b1c0807cfc66ca1ef125e96f8a41ab816d75b1d8d28920718b6428b08cb9e"
@dataclass(frozen=True)
class Dataset:
    train_images: object
    train_labels: object
    test_images: object
    test_labels: object
    source: str
    sha256: str
    class_names: object = None
    prepared: str = ""
def load_dataset(path=None):
    with np.load(path or MNIST) as f:
        get = lambda n: f[n] if n in f.files else None
        x=get("x_train"); c=hashlib.sha256(repr(x.shape).encode()); c.update(np.ascontiguousarray(x))
        y=get("y_train"); yt=get("y_test")
        return Dataset(x, None if y is None else y.astype(np.int64), get("x_test"), None if yt is None else yt.astype(np.int64), "data/mnist.npz" if path is None else str(path), c.hexdigest())
def as_dataset(d, labels=None):
    return d
def read_images(path): raise InputError("todo")
