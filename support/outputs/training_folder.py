"""The folder of a training run: models, checkpoints, history, pictures, and the description of the run."""

import contextlib
import hashlib
import json
import math
import os
import re
import time
from dataclasses import asdict
from pathlib import Path

from support import cluster, device, pictures
from support.console import say, warn
from support.data import warning_about
from support.errors import TrainingError
from support.lazy import np
from support.models import save_model
from support.outputs import checkpoints
from support.outputs.claims import MARK, Claim
from support.outputs.files import checksum, kind, write_json, write_text

SECONDS_BETWEEN_CHECKPOINTS = 60
MODELS = ("generator.keras", "critic.keras")
# Every file of a run, relative to --models-dir, and Finder's.
FILES = (
    r"generator\.keras|critic\.keras|" + re.escape(MARK) + r"|training/(history\.csv|run\.json|data\.png|curves\.png|"
    r"progress\.gif|samples/epoch_\d+\.png|checkpoints/step_\d+\.npz)|(.*/)?(\..*\.partial\..*|\.DS_Store)"
)
FOLDERS = ("training/samples", "training/checkpoints", "training", "")
# What decides the weights.
SOURCES = (
    "../../wgan_handwritten_digits.py", "../averages.py", "../cluster.py", "../device.py", "../drawing.py",
    "../labels.py", "../other_gans.py", "../quick_layers.py", "../randomness.py",
)  # fmt: skip


def describe(options, recipe, dataset, version):
    """All that determines a run, for run.json and the checkpoints: a dictionary of dictionaries."""
    data = {"source": dataset.source, "images": len(dataset.train_images), "sha256": dataset.sha256}
    if dataset.class_names:
        data["class_names"] = dataset.class_names
    if recipe.conditional:
        data["sha256_labels"] = hashlib.sha256(dataset.train_labels).hexdigest()
    sources = [Path(__file__).parent.joinpath(source).resolve() for source in SOURCES]
    about = {
        "options": vars(options),
        "recipe": asdict(recipe),
        "data": data,
        "versions": {"program": version, **device.package_versions()},
        "device": {**device.describe(), "xla": cluster.use_xla(), "replicas": cluster.count()},
        "code": {source.name: checksum(source)[:12] for source in sources},
    }
    return json.loads(json.dumps(about, default=str))  # as a checkpoint returns it


def set_aside(folder):
    """Moves the files of an earlier run in `folder` to `folder`/previous. Returns that path; None without such a run.

    The files of the run before that are deleted. If the user has put other files beside them, those stay, and the
    earlier run goes to previous-2, and so on.
    """
    training = folder / "training"
    found = [folder / name for name in (*MODELS, "training") if os.path.lexists(folder / name)]
    if training in found and not checkpoints.paths(training / "checkpoints") and kind(training / "run.json") != "file":
        (training / "data.png").unlink(missing_ok=True)
        found = []  # a run that ended before its first save was complete
    if not found:
        return None
    previous, number = folder / "previous", 1
    is_ours = kind(previous / MARK) == "file"
    if is_ours and any(os.path.lexists(previous / path.name) for path in found):  # otherwise, a move was cut off here
        delete_run(previous)
        is_ours = False
    while os.path.lexists(previous) and not is_ours:
        number += 1
        previous = folder / f"previous-{number}"
    Claim(previous, {"training run": None}).take()
    for path in found:
        path.rename(previous / path.name)
    return previous


def delete_run(folder):
    """Deletes the files of a run, and the folders that are empty then."""
    for path in list(folder.rglob("*")):
        if re.fullmatch(FILES, path.relative_to(folder).as_posix()) and not path.is_dir():
            path.unlink()
    for name in FOLDERS:
        with contextlib.suppress(OSError):  # it does not exist, or a file of the user is in it
            (folder / name).rmdir()


class TrainingFolder:
    """Writes the files of one training run to options.models_dir.

    history: a list of dictionaries, one per epoch, from "epoch" (the first is 1) to "seconds". Only the chief of a
    cluster writes.
    """

    def __init__(self, options, recipe, dataset, training, version):
        self.folder, about = Path(options.models_dir), describe(options, recipe, dataset, version)
        self.about, self.training = about, training
        self.dataset, self.resumes = dataset, options.resume
        self.history, self.seconds_before = [], 0.0
        self.start = self.saved = time.monotonic()
        self.writes = cluster.is_chief()
        self.is_new = not options.resume  # until its first save, the folder holds an earlier run

    def iterations(self):
        """The number of iterations that are done. Returns when the device has done them."""
        return int(self.training.iteration.numpy())

    def begin(self, total):
        """With --resume, restores the newest checkpoint. Prints a line about the run. total: iterations."""
        options, data, device_name = self.about["options"], self.about["data"], self.about["device"]["name"]
        if self.resumes:
            found = checkpoints.resume(self.folder / "training/checkpoints", self.training.variables, self.about)
            self.history, self.seconds_before = found["history"], found["seconds"]
        if not cluster.is_equal(checkpoints.fingerprint(self.about, self.training.variables)):
            raise TrainingError(
                "the workers do not have the same options, data and checkpoints: check that --models-dir is shared"
            )
        done = self.iterations()
        if not self.writes:
            return
        if done >= total:
            warn(f"{len(self.history)} epochs of training are done already; --resume with a larger --epochs continues")
            return
        start = f"resumes after {done:,} of" if done else "trains for"
        say(
            f"{options['recipe']} {start} {total:,} iterations, epochs: {options['epochs']}, on {data['images']:,} "
            f"images of {data['source']}; {device_name}; results go to {self.folder}"
        )
        self._show_data()

    def _show_data(self):
        """Says what was done to the images, and draws a hundred of them, so that a mistake is seen at once."""
        if warning := warning_about(self.dataset.train_images):
            warn(warning)
        if self.dataset.prepared and not self.resumes:
            self._set_aside()
            path = self.folder / "training/data.png"
            path.parent.mkdir(exist_ok=True)
            pictures.save_labelled(path, self.dataset.train_images, self.dataset.train_labels)
            say(f"{self.dataset.prepared}; a hundred of them: {path}")

    def _set_aside(self):
        """Before the first file of this run is written, moves those of an earlier run."""
        if self.is_new and (previous := set_aside(self.folder)):
            say(f"the earlier run in {self.folder} is now in {previous}")
        self.is_new = False

    def seconds(self):
        """Seconds of training, including those before an interruption."""
        return round(self.seconds_before + time.monotonic() - self.start, 2)

    def is_checkpoint_due(self):
        """True if the last checkpoint is more than SECONDS_BETWEEN_CHECKPOINTS old."""
        return time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS

    def check_finite(self):
        """Raises TrainingError if a value of the training state is not finite."""
        # A sum is not finite if an element is not.
        if all(math.isfinite(np.asarray(variable).sum()) for variable in self.training.variables):
            return
        clip = " or --clip" if self.about["options"]["clip"] else ""
        saved = checkpoints.paths(self.folder / "training/checkpoints") if not self.is_new else []
        last = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was written yet"
        raise TrainingError(
            f"values are no longer finite at iteration {self.iterations()}: {last}. "
            f"Start a new run with a smaller --learning-rate{clip}"
        )

    def add_epoch(self, length, figures):
        """Adds an epoch of `length` iterations to the history: the means of training.sums, and figures by name."""
        estimate = "wasserstein_estimate" if self.about["recipe"]["loss"] == "wasserstein" else "score_difference"
        means = (self.training.sums.numpy() / length).tolist()
        means = dict(zip((estimate, "critic_loss", "generator_loss"), means, strict=True))
        self.training.sums.assign(np.zeros(len(means)))
        row = {"epoch": len(self.history) + 1, "step": self.iterations(), **means, **figures, "seconds": self.seconds()}
        self.history.append(row)

    def save(self, **models):
        """Saves the history, Keras models by name, a checkpoint, run.json. First, an earlier run is set aside."""
        self.check_finite()
        self.saved = time.monotonic()
        if not self.writes:
            return
        self._set_aside()
        training = self.folder / "training"
        training.mkdir(exist_ok=True)
        # The checkpoint comes after these: whoever resumes from the last one makes no others.
        if self.history:
            self._write_history(training / "history.csv")
        for name, model in models.items():
            save_model(model, self.folder / f"{name}.keras")
        record = {"about": self.about, "history": self.history, "seconds": self.seconds()}
        checkpoints.save(training / "checkpoints", self.iterations(), self.training.variables, record)
        final = self.history[-1] if self.history else {}
        write_json(training / "run.json", {"about": self.about, "seconds": self.seconds(), "final": final})

    def _write_history(self, path):
        """Writes a row for each epoch."""
        columns = list(dict.fromkeys(name for row in reversed(self.history) for name in row))
        rows = [[f"{row[name]:.10g}" if name in row else "" for name in columns] for row in self.history]
        try:
            write_text(path, "".join(",".join(row) + "\n" for row in [columns, *rows]))
        except PermissionError as error:  # on Windows, while Excel shows it
            warn(f"{path} cannot be written ({error.strerror}); the run continues without it")

    def show_epoch(self, images):
        """Writes a picture of digits, uint8 [n, 28, 28], n a multiple of 10."""
        if not self.writes:
            return
        picture = self.sample_path(len(self.history))
        picture.parent.mkdir(exist_ok=True)
        pictures.save_grid(picture, images)

    def finish(self, real):
        """Writes the pictures of a finished run: an animation, the curves. real: figures of real digits, by column."""
        if not self.writes or not self.history:
            return
        training, samples = self.folder / "training", [self.sample_path(row["epoch"]) for row in self.history]
        pictures.save_animation(training / "progress.gif", samples)
        pictures.save_curves(training / "curves.png", self.history, real)

    def sample_path(self, epoch):
        """The path of the picture of an epoch."""
        return self.folder / f"training/samples/epoch_{epoch:04d}.png"
