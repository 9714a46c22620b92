"""What a training leaves in its folder, and goes on from: checkpoints, history, pictures, the record of the run."""

import json
import re
import time
from pathlib import Path

from support import checkpoints, files, pictures, tensorboard

SECONDS_BETWEEN_CHECKPOINTS = 60


class Run:
    """The folder of one training.

    history: a list of dictionaries, one an epoch; the first entry is "epoch", from 1 on, the last "seconds".
    about: a dictionary of dictionaries, what the run is made of. variables: its complete state; with `resume` set to
    the newest checkpoint of a training about the same, or CheckpointError is raised. `warn` takes lines to print.
    """

    def __init__(self, folder, about, variables, resume, warn):
        self.folder, self.checkpoints = Path(folder), Path(folder, "checkpoints")
        self.variables, self.own = variables, []  # own: the paths of this training's checkpoints
        record = {"history": [], "seconds": 0.0}
        if resume:
            path, record = checkpoints.resume(self.checkpoints, variables, about, warn)
            self.own.append(path)
        elif given_up := checkpoints.given_up(self.checkpoints):
            warn(given_up)
        self.history, self.about, self.seconds_before = record["history"], about, record["seconds"]
        self.start = self.saved = time.monotonic()

    def seconds(self):
        """Seconds of training, those before an interruption included."""
        return round(self.seconds_before + time.monotonic() - self.start, 2)

    def worth_saving(self):
        """False where a checkpoint would be the first of a training and take the place of an earlier one's."""
        return bool(self.own or not checkpoints.newest(self.checkpoints))

    def checkpoint_due(self):
        """True when the last checkpoint is so old that its work would be missed."""
        return time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS

    def save_checkpoint(self, step):
        """Saves the variables, after `step` iterations."""
        record = {"about": self.about, "history": self.history, "seconds": self.seconds()}
        checkpoints.save(self.checkpoints, step, self.variables, record, self.own)
        self.saved = time.monotonic()

    def save_epoch(self, step, figures, images, events=None):
        """Adds an epoch, ended after `step` iterations, to the history; writes history.csv and a picture of `images`.

        figures: numbers by name. images: uint8 [n, height, width], n being a multiple of 10. events: a folder for
        TensorBoard, or None.
        """
        epoch = len(self.history) + 1
        self.history.append({"epoch": epoch, "step": step, **figures, "seconds": self.seconds()})
        picture = self._picture(epoch)
        picture.parent.mkdir(parents=True, exist_ok=True)
        rows = [self.history[-1], *([f"{value:.10g}" for value in row.values()] for row in self.history)]
        files.write_text(self.folder / "history.csv", "".join(",".join(row) + "\n" for row in rows))
        pictures.save_grid(picture, images)
        if events:
            tensorboard.write(events, epoch, figures, {"digits": picture})

    def finish(self, *panels):
        """What the whole training leaves: run.json, the pictures as an animation, the curves (see save_curves)."""
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
