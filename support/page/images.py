"""Images that a page contains: real digits to compare with, and what the run drew after each epoch."""

import base64
import contextlib
import io
from pathlib import Path

from support.data import MNIST, MNIST_SHA256, load_dataset
from support.labels import DIGITS
from support.lazy import Image, np
from support.outputs.files import read_json
from support.page.facts import DAMAGED
from support.pictures import spread

REAL_OF_EACH = 20  # real images of each digit
MOST_EPOCHS = 12  # pictures


def real_digits(folder, labels):
    """Test images of MNIST, 20 of each digit, as bytes in base64; "" if the run in `folder` learned something else."""
    with contextlib.suppress(*DAMAGED):  # or there is no record
        if read_json(folder / "training/run.json")["about"]["data"]["sha256"] != MNIST_SHA256:
            return ""
    if not set(labels) <= set(DIGITS) or not MNIST.exists():
        return ""
    mnist = load_dataset()
    chosen = [np.flatnonzero(mnist.test_labels == digit)[:REAL_OF_EACH] for digit in DIGITS]
    return base64.b64encode(mnist.test_images[np.concatenate(chosen)].tobytes()).decode()


def epochs(folder):
    """The pictures of a run's epochs, at most 12: dictionaries with the number of the epoch, and a PNG in base64."""
    found = sorted(Path(folder, "training/samples").glob("epoch_*.png"))
    pictures = []
    for place in spread(len(found), MOST_EPOCHS):
        path = found[place]
        with contextlib.suppress(Exception), Image.open(path, formats=["PNG"]) as picture:  # a damaged one is left out
            small, file = picture.convert("L").resize((280, 280), Image.NEAREST), io.BytesIO()
            small.save(file, "PNG", optimize=True)
            png = base64.b64encode(file.getvalue()).decode()
            pictures.append({"epoch": int(path.stem.removeprefix("epoch_")), "png": png})
    return pictures
