"""Seconds to write 25,000 PNG files from a saved generator, in the usual ways, measured in turn.

    python benchmarks/generation_speed.py [saved_models/generator.keras]

ours                          the step generate of the program, from the loaded generator to the last renamed file
predict at once, Pillow       Keras's predict for all images in one call, each saved by Pillow
predict, Pillow               predict for each image, saved by Pillow
predict, plt.imsave           the same, saved by matplotlib without a figure (28x28, in colour)
predict, plt.savefig          the same, as a figure that shows the image, as most scripts do (640x480)

The ways that call predict for each image are timed on a sample and scaled up. The limits are two times: drawing the
images in the same blocks without writing, and writing ready-made files of the same size.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from machine import machine  # noqa: E402

import wgan_handwritten_digits as wgan  # noqa: E402
from support import drawing  # noqa: E402
from support.machine import devices  # noqa: E402
from support.machine.devices import tf  # noqa: E402
from support.results import files  # noqa: E402
from support.results.models import load_generator  # noqa: E402


def ours(generator, count):
    """The program's own step."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with files.own_folder(folder):
            wgan.generate(generator, wgan.Options(images=count, images_dir=folder), {})
        seconds = time.perf_counter() - start
        assert len(list(Path(folder).glob("digit_*.png"))) == count
    return seconds


def one_by_one(save):
    """A function that times predict and save(path, image uint8 [28, 28]) for each image."""

    def run(generator, count):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            for number in range(count):
                noise = np.random.normal(size=(1, generator.input_shape[1]))
                image = generator.predict(noise, verbose=0)[0, ..., 0]
                save(Path(folder, f"{number}.png"), np.uint8(np.round(image * 127.5 + 127.5)))
            return time.perf_counter() - start

    return run


def at_once(generator, count):
    """Predict for all images, then a loop that saves them."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        images = generator.predict(np.random.normal(size=(count, generator.input_shape[1])), verbose=0)
        for number, image in enumerate(np.uint8(np.round(images[..., 0] * 127.5 + 127.5))):
            pillow(Path(folder, f"{number}.png"), image)
        return time.perf_counter() - start


def pillow(path, image):
    from PIL import Image

    Image.fromarray(image).save(path)


def imsave(path, image):
    import matplotlib.pyplot as plt

    plt.imsave(path, image, cmap="gray")


def savefig(path, image):
    import matplotlib.pyplot as plt

    plt.imshow(image, cmap="gray")
    plt.axis("off")
    plt.savefig(path)
    plt.close()


def draw_only(generator, count):
    """Seconds to draw the images without writing them."""
    draw_block = drawing.compile_drawing(generator)
    start = time.perf_counter()
    for block in range(-(-count // drawing.BLOCK)):
        images = draw_block(tf.constant(block), tf.constant(0), tf.zeros(drawing.BLOCK, tf.int64))
    images.numpy()
    return time.perf_counter() - start


def writing(generator, count):
    """Seconds to write `count` ready-made files."""
    png = bytes(350)  # the file of a digit has about 290 to 410 bytes
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for number in range(count):
            with open(f"{folder}/{number}", "wb") as file:
                file.write(png)
        return time.perf_counter() - start


ROWS = {  # name: (function, the number of images is divided by this)
    "ours": (ours, 1),
    "predict at once, Pillow": (at_once, 1),
    "predict, Pillow": (one_by_one(pillow), 100),
    "predict, plt.imsave": (one_by_one(imsave), 100),
    "predict, plt.savefig": (one_by_one(savefig), 250),
    "limit: drawing alone": (draw_only, 1),
    "limit: writing alone": (writing, 1),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", nargs="?", help="a generator (default: an untrained one of the default recipe)")
    parser.add_argument("--images", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    devices.import_tensorflow("cpu")
    import matplotlib

    matplotlib.use("agg")
    generator = load_generator(options.model) if options.model else wgan.build_generator()
    seconds = {name: [] for name in ROWS}
    for run, fewer in ROWS.values():
        run(generator, max(2, options.images // fewer // 50))  # compiles
    for _ in range(options.rounds):
        for name, (run, fewer) in ROWS.items():
            count = max(1, options.images // fewer)
            seconds[name].append(run(generator, count) * options.images / count)
    base = statistics.median(seconds["ours"])
    print(f"{options.images:,} images, {options.rounds} rounds; {machine()}\n")
    print("| way | seconds, median | min, max | time / ours | timed on |")
    print("|---|---|---|---|---|")
    for name, found in seconds.items():
        median, count = statistics.median(found), max(1, options.images // ROWS[name][1])
        spread = f"{min(found):.2f}, {max(found):.2f}"
        print(f"| {name} | {median:.2f} | {spread} | {median / base:.2f} | {count:,} images |")


if __name__ == "__main__":
    main()
