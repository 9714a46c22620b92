"""What every reader of a dataset checks, and the error that it raises."""

from contextlib import contextmanager

import numpy as np

from support.errors import InputError

SIDE, MOST_IMAGES = 28, 2_000_000  # 2,000,000 images take 1.5 GiB of memory, and 1.5 GiB on the device


class DataError(InputError):
    """The data cannot be used. The message says what is wrong, where, and what to do."""


@contextmanager
def reading(path):
    """Turns any exception of the block into a DataError that names the path. Damaged files may raise anything."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: cannot be read ({reason}); check the path, or get the data again") from error


def check_form(name, shape, dtype, where):
    """Raises DataError if no array called `name` (x_train, y_train, ...) may have this shape and type.

    It is called before the array is read, so that a wrong header costs no memory.
    """
    if name.startswith("x"):
        wanted = f"images must be uint8 [n, {SIDE}, {SIDE}]"
        fits = dtype == np.uint8 and shape[1:] in ((SIDE, SIDE), (SIDE, SIDE, 1))
    else:
        wanted, fits = "labels must be integers [n]", len(shape) == 1 and dtype.kind in "iu"
    if not fits or not 1 <= shape[0] <= MOST_IMAGES:
        raise DataError(f"{where}: is {dtype} {list(shape)}; {wanted}, n from 1 to {MOST_IMAGES}")
