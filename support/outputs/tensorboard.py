"""Curves and pictures of a training run in files for TensorBoard. Writing them does not need that package."""

import functools
import os
import time

from support.lazy import Image, tf


@functools.cache
def _writer(folder):
    """A writer of event files. That of tf.summary needs the package tensorboard, which TensorFlow 2.21 lacks."""
    writer = tf.io.TFRecordWriter(os.path.join(folder, f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"))
    writer.write(tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    return writer


def write(folder, row, picture):
    """Adds an epoch to the event file in `folder`. row: an epoch of the history. picture: the path of a PNG file."""
    summary = tf.compat.v1.Summary()
    for name, value in row.items():
        if name not in ("epoch", "step", "seconds"):
            summary.value.add(tag=name, simple_value=value)
    with Image.open(picture, formats=["PNG"]) as digits:
        image = tf.compat.v1.Summary.Image(width=digits.width, height=digits.height, colorspace=1)
    image.encoded_image_string = picture.read_bytes()
    summary.value.add(tag="digits", image=image)
    event = tf.compat.v1.Event(wall_time=time.time(), step=row["epoch"], summary=summary)
    _writer(folder).write(event.SerializeToString())
    _writer(folder).flush()
