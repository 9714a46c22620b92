"""What a training leaves in its folder, and goes on from: checkpoints, history, pictures, the record of the run."""

import json
import math
import re
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from support import checkpoints, devices, files, pictures, replicas, tensorboard
from support.errors import TrainingError
from support.models import save_model

SECONDS_BETWEEN_CHECKPOINTS = 60


def describe_run(options, recipe, digits, version):
    """What a run of this version is made of, for run.json and the checkpoints: a dictionary of dictionaries."""
    return {
        "options": asdict(options),
        "recipe": asdict(recipe),
        "data": {"source": digits.source, "images": len(digits.train_images), "sha256": digits.sha256},
        "versions": {"program": version, **devices.package_versions()},
        "device": replicas.describe(),
    }


class Run:
    """What one training writes to `folder`: models, and in the folder "training" all else.

    history: a list of dictionaries, one an epoch; the first entry is "epoch", from 1 on, the last "seconds".
    about: a dictionary of dictionaries, what the run is made of. variables: its complete state; with `resume` set to
    the newest checkpoint of a training about the same, or CheckpointError is raised. `warn` takes lines to print.
    writes: False where another process writes and speaks; nothing else is different then. Raises TrainingError where
    the processes of a cluster are about different trainings.
    """

    def __init__(self, folder, about, variables, resume, warn, writes=True):
        self.folder, self.checkpoints = Path(folder, "training"), Path(folder, "training/checkpoints")
        self.variables, self.own, self.writes = variables, [], writes  # own: the paths of this training's checkpoints
        record = {"history": [], "seconds": 0.0}
        if resume:
            path, record = checkpoints.resume(self.checkpoints, variables, about, warn)
            self.own.append(path)
        elif writes and (given_up := checkpoints.given_up(self.checkpoints)):
            warn(given_up)
        self.history, self.about, self.seconds_before = record["history"], about, record["seconds"]
        self.start = self.saved = time.monotonic()
        if replicas.several_processes() and not replicas.equal(checkpoints.fingerprint(about, variables)):
            raise TrainingError(
                "the workers were not given the same options, data and checkpoints: see that --models-dir is shared"
            )

    def seconds(self):
        """Seconds of training, those before an interruption included."""
        return round(self.seconds_before + time.monotonic() - self.start, 2)

    def worth_saving(self):
        """False where a checkpoint would be the first of a training and take the place of an earlier one's."""
        return bool(self.own or not checkpoints.newest(self.checkpoints))

    def checkpoint_due(self):
        """True when the last checkpoint is so old that its work would be missed."""
        return self.writes and time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS

    def checked(self, names, values, step):
        """The figures of this epoch so far by name. Raises TrainingError where one or a variable is not finite.

        names: strings. values: as many floats. step: how many iterations are done.
        """
        # What is not finite makes the sum so.
        sums = (np.asarray(variable).sum() for variable in self.variables)
        if not all(map(math.isfinite, [*values, *sums])):
            box = " or --clip" if self.about["options"]["clip"] else ""
            last = f"the last good checkpoint is {self.own[-1]}" if self.own else "no checkpoint was written yet"
            raise TrainingError(
                f"values are no longer finite at iteration {step}: {last}. Try a smaller --learning-rate{box}"
            )
        return dict(zip(names, map(float, values), strict=True))

    def save_checkpoint(self, step):
        """Saves the variables, after `step` iterations."""
        if not self.writes:
            return
        record = {"about": self.about, "history": self.history, "seconds": self.seconds()}
        checkpoints.save(self.checkpoints, step, self.variables, record, self.own)
        self.saved = time.monotonic()

    def save_epoch(self, step, figures, images, events=None):
        """Adds an epoch, which ended after `step` iterations, to the history; writes history.csv and a picture.

        figures: numbers by name. images: uint8 [n, height, width], n being a multiple of 10. events: a folder for
        TensorBoard, or None.
        """
        epoch = len(self.history) + 1
        self.history.append({"epoch": epoch, "step": step, **figures, "seconds": self.seconds()})
        if not self.writes:
            return
        picture = self._picture(epoch)
        picture.parent.mkdir(parents=True, exist_ok=True)
        rows = [self.history[-1], *([f"{value:.10g}" for value in row.values()] for row in self.history)]
        files.write_text(self.folder / "history.csv", "".join(",".join(row) + "\n" for row in rows))
        pictures.save_grid(picture, images)
        if events:
            tensorboard.write(events, epoch, figures, {"digits": picture})

    def save_models(self, **models):
        """Saves Keras models by their names, with or without an end of the training: NAME.keras."""
        for name, model in models.items() if self.writes and self.own else ():
            save_model(model, self.folder.parent / f"{name}.keras")

    def finish(self, *panels):
        """What the whole training leaves: run.json, the pictures as an animation, the curves (see save_curves)."""
        if not self.writes:
            return
        record = {"about": self.about, "seconds": self.history[-1]["seconds"], "final": self.history[-1]}
        files.write_text(self.folder / "run.json", json.dumps(record, indent=2) + "\n")
        samples = [self._picture(row["epoch"]) for row in self.history]
        pictures.save_animation(self.folder / "progress.gif", samples)
        for path in set(self._picture(0).parent.glob("epoch_*.png")) - set(samples):  # of a longer training before
            if re.fullmatch(r"epoch_\d{4,}\.png", path.name):
                path.unlink()
        pictures.save_curves(self.folder / "curves.png", self.history, panels)

    def _picture(self, epoch):
        return self.folder / f"samples/epoch_{epoch:04d}.png"
