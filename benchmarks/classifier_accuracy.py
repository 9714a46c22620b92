"""What generated digits are good for: classifiers that learn from them, tested on the real test images of MNIST.

    python benchmarks/classifier_accuracy.py

Trains 7 classifiers, about 3 minutes each on two cores. As in GAN-train, each sees 600,000 images, with repetition.
Writes classifier_accuracy.json and .png to benchmarks/results.
"""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from support import drawing, models  # noqa: E402
from support.data import load_dataset  # noqa: E402
from support.evaluation import classifier_training  # noqa: E402
from support.lazy import np  # noqa: E402

RESULT = ROOT / "benchmarks/results/classifier_accuracy.json"
COUNTS = (1_000, 6_000, 60_000, 600_000)


def accuracies(images, labels, dataset):
    """The accuracy by the number of images, of uint8 [n, 28, 28] with labels int64 [n], as text."""
    found = {}
    for count in (count for count in COUNTS if count <= len(images)):
        found[str(count)] = classifier_training.gan_train(images, labels, dataset, count)
        print(count, found[str(count)], flush=True)
    return found


if __name__ == "__main__":
    dataset = load_dataset()
    found = {"real digits": accuracies(dataset.train_images, dataset.train_labels, dataset)}
    digits = np.concatenate(list(drawing.draw_digits(models.load_generator(models.PRETRAINED["cwgan"]), max(COUNTS))))
    found["digits of cwgan"] = accuracies(digits, np.arange(len(digits)) % 10, dataset)
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for name, values in found.items():
        axis.plot([int(count) for count in values], [100 * (1 - value) for value in values.values()], "o-", label=name)
    axis.set(xscale="log", xlabel="images to learn from", ylabel="wrong test images, %", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(RESULT.with_suffix(".png"), dpi=110)
