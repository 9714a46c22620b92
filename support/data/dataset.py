"""The Dataset, and what is checked wherever its images come from."""

import contextlib
import gzip
import hashlib
import warnings
from dataclasses import dataclass

from support.errors import InputError
from support.lazy import np

SIDE = 28  # pixels
PIXELS = SIDE * SIDE
MOST_BYTES = 2_000_000 * PIXELS  # of one array in a file, 1.5 GiB: 2,000,000 images, 500,000 in float32
SAVE = "then numpy.savez_compressed('digits.npz', x_train=images, y_train=labels)"


@dataclass(frozen=True)
class Dataset:
    """Images: uint8 [n, 28, 28], 0 to 255, upright. Labels: int64 [n], 0 or more. None: the dataset has none."""

    train_images: "np.ndarray"
    train_labels: "np.ndarray | None"
    test_images: "np.ndarray | None"
    test_labels: "np.ndarray | None"
    source: str  # where it was read from
    sha256: str  # of the shape and bytes of train_images, so that it does not depend on the file format
    class_names: tuple | None = None  # the folders that the labels stand for, in the order of the labels
    prepared: str = ""  # what was done to the images, in words
    file_names: tuple | None = None  # of train_images, if each has a file


def dataset_of(arrays, source, transposed=False, **more):
    """The Dataset of arrays called x_train, y_train, x_test and y_test. All but the first may be missing or None."""
    fields = []
    for part in ("train", "test"):
        images = _check_images(arrays.get(f"x_{part}"), f"{source}: the {part} images", transposed)
        labels = _check_labels(arrays.get(f"y_{part}"), f"{source}: the {part} labels", images)
        fields += [images, labels]
    if transposed:
        more["prepared"] = "turned the images upright: EMNIST stores them transposed"
    checksum = hashlib.sha256(repr(fields[0].shape).encode())
    checksum.update(fields[0])
    return Dataset(*fields, source=str(source), sha256=checksum.hexdigest(), **more)


def _check_images(array, where, transposed):
    """uint8 [n, 28, 28], 0 to 255, of images or rows of pixels: whole numbers from 0 to 255, or floats from 0 to 1."""
    if array is None:
        return None
    is_known = array.shape[1:] in ((SIDE, SIDE), (SIDE, SIDE, 1), (PIXELS,)) and array.dtype.kind in "buif"
    if not is_known or not len(array):
        wanted = "numbers [n, 28, 28], [n, 28, 28, 1] or [n, 784]"
        raise InputError(f"{where} are {array.dtype} {list(array.shape)}; they must be {wanted}")
    low, high, is_float = array.min(), array.max(), array.dtype.kind in "bf"
    found = f"{where} have pixels from {low} to {high}"
    if is_float and low >= 0 and high <= 1:
        array = np.rint(np.multiply(array, 255, dtype=np.float32))
    elif not (low >= 0 and high <= 255) or (is_float and (array % 1).any()):
        raise InputError(f"{found}; give whole numbers from 0 to 255, or floats from 0 (black) to 1 (white)")
    array = array.reshape(-1, SIDE, SIDE)
    images = np.ascontiguousarray(array.swapaxes(1, 2) if transposed else array, np.uint8)
    if np.ptp(images) < 20:
        raise InputError(f"{found} and show nothing; if these were from 0 to 1, multiply by 255 before astype('uint8')")
    return images


def _check_labels(array, where, images):
    """int64 [n] of whole numbers [n] or [n, 1], or one-hot [n, k]."""
    if array is None or images is None:
        return None
    labels = array.astype(np.float64)  # also of words such as '5'
    if labels.ndim == 2 and labels.shape[1] > 1 and np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all():
        labels = labels.argmax(1)
    labels = labels.reshape(-1)
    if len(labels) != len(images) or not ((labels >= 0) & (labels < 2**31) & (labels % 1 == 0)).all():
        wanted = f"a whole number, 0 or more, for each of the {len(images)} images"
        raise InputError(f"{where} are {array.dtype} {list(array.shape)}; give {wanted}")
    return labels.astype(np.int64)


def warning_about(images):
    """A line about images that can be used but look wrong, or ""."""
    if images.mean() < 128:
        return ""
    return "the images look like dark ink on white paper; MNIST is white ink on black: invert them first"


@contextlib.contextmanager
def reading(path):
    """Turns exceptions of the block into an InputError that names the path. Damaged files may raise nearly anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about damaged images
            yield
    except (InputError, ImportError):
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: cannot be read ({reason}); check the path, or get the data again") from error


def open_unpacked(path):
    """A file, opened for reading bytes; unpacked if it is gzipped, whatever its name says."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")
