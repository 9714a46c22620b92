"""Checks what a run left: check_run.py FOLDER IMAGES EPOCHS, FOLDER holding images/, models/ and figures.json."""

import csv
import json
import sys
from pathlib import Path

import keras
from PIL import Image

folder, count, epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
names = sorted(path.name for path in (folder / "images").glob("*.png"))
assert names == [f"digit_{number:05d}.png" for number in range(count)], len(names)
contents = set()
for name in names:
    with Image.open(folder / "images" / name) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28)), name
        contents.add(image.tobytes())
assert len(contents) == count, f"{count - len(contents)} digits are there twice"
assert keras.models.load_model(folder / "models/generator.keras").output_shape == (None, 28, 28, 1)
assert keras.models.load_model(folder / "models/critic.keras").output_shape == (None, 1)
training = folder / "models/training"
assert len(list(csv.DictReader((training / "history.csv").open()))) == epochs
assert json.loads((training / "run.json").read_text())["final"]["epoch"] == epochs
for name in ("curves.png", "progress.gif", "samples/epoch_0001.png"):
    with Image.open(training / name) as image:
        image.load()
figures = json.loads((folder / "figures.json").read_text())
assert figures["images"] == count, figures
print(f"{count} distinct digits, both models, run.json, history.csv, pictures: all there")
