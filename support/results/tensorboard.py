"""Curves and pictures of a training run in files for TensorBoard. Writing them does not need that package."""

import functools
import os
import time

from PIL import Image

from support.machine.devices import tf


@functools.cache
def _writer(folder):
    """A writer of event files. Not TensorFlow's own: its thread prints a traceback if the disk is full."""
    writer = tf.io.TFRecordWriter(os.path.join(folder, f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"))
    writer.write(tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    return writer


def write(folder, step, values, pictures):
    """Adds a step to the event file in `folder`. values: numbers by name. pictures: paths of PNG files by name."""
    summary = tf.compat.v1.Summary()
    for name, value in values.items():
        summary.value.add(tag=name, simple_value=value)
    for name, path in pictures.items():
        with Image.open(path, formats=["PNG"]) as picture:
            width, height = picture.size
        image = tf.compat.v1.Summary.Image(height=height, width=width, colorspace=1)
        image.encoded_image_string = path.read_bytes()
        summary.value.add(tag=name, image=image)
    writer = _writer(folder)
    writer.write(tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary).SerializeToString())
    writer.flush()
