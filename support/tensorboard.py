"""The curves and pictures of a training, in files that TensorBoard shows. Writing them does not need that package."""

import functools

from PIL import Image

from support.devices import tf


@functools.cache
def _writer(folder):
    with tf.Graph().as_default():  # it is of TensorFlow 1; what tf.summary has instead needs the package
        return tf.compat.v1.summary.FileWriter(str(folder))


def write(folder, step, values, pictures):
    """Adds a step to what `folder` holds: `values`, numbers by name, and `pictures`, paths of PNG files by name."""
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
    writer.add_summary(summary, step)
    writer.flush()
