"""Curves and pictures of a training run in files for TensorBoard. Writing them does not need that package."""

import functools

from support.lazy import Image, np, tf


@functools.cache
def _writer(folder):
    """A writer of event files."""
    return tf.summary.create_file_writer(str(folder))


def write(folder, row, picture):
    """Adds an epoch to the event file in `folder`. row: an epoch of the history. picture: the path of a PNG file."""
    with Image.open(picture, formats=["PNG"]) as digits:
        image = np.asarray(digits)[None, ..., None]
    with _writer(folder).as_default(step=row["epoch"]):
        for name, value in row.items():
            if name not in ("epoch", "step", "seconds"):
                tf.summary.scalar(name, value)
        tf.summary.image("digits", image)
    _writer(folder).flush()
