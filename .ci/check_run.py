"""Checks what a run left: check_run.py FOLDER IMAGES EPOCHS, FOLDER holding images/, models/ and figures.json.

The digits are judged as those of one epoch: more epochs pass easily.
"""

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
assert len(contents) == count, f"{count - len(contents)} duplicates"
assert keras.models.load_model(folder / "models/generator.keras").output_shape == (None, 28, 28, 1)
assert keras.models.load_model(folder / "models/critic.keras").output_shape == (None, 1)
training = folder / "models/training"
history = (training / "history.csv").read_text(encoding="utf-8").splitlines()
assert len(list(csv.DictReader(history))) == epochs
assert json.loads((training / "run.json").read_text(encoding="utf-8"))["final"]["epoch"] == epochs
for name in ("curves.png", "progress.gif", "samples/epoch_0001.png"):
    with Image.open(training / name) as image:
        image.load()
report = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
assert report["images"] == count, report
# Bounds for one epoch of the default recipe on MNIST. Measured in float32 on a CPU, seed 0 with version 0.4:
#
#                        Fréchet distance   coverage   share of each digit
#   seed 0                           1.52       0.62
#   seed 0, version 0.3              3.13       0.46       5.3 to 14.3 %
#   seed 1, version 0.3              2.18       0.54       6.0 to 13.0 %
#   --learning-rate 2e-4            14.02       0.07       2.1 to 20.1 %   (version 0.3, a fifth of its rate)
#   an untrained generator            622       0.00         0 to 100 %   (2,000 images)
figures = report["figures"]
assert figures["frechet_distance"] < 6, figures
assert figures["coverage"] > 0.3, figures
assert min(figures["shares"]) > 0.03 and max(figures["shares"]) < 0.18, figures
print(f"{count} distinct digits, both models, run.json, history.csv, pictures: all there")
print(f"Fréchet distance {figures['frechet_distance']:.2f}, coverage {figures['coverage']:.2f}: it learns")
