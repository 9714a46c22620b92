"""The files of a training run: checkpoints, history, pictures, the record of the run, models."""

import contextlib
import hashlib
import json
import math
import os
import secrets
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from support import other_gans
from support.command_line.progress import warn
from support.errors import TrainingError
from support.machine import devices, replicas, training_layers
from support.machine.devices import tf
from support.paths import checksum
from support.results import checkpoints, files, pictures, tensorboard
from support.results.models import save_model
from support.results.ownership import is_ours, refuse_others

SECONDS_BETWEEN_CHECKPOINTS = 60


def describe_run(options, recipe, dataset, version, script=None):
    """All that determines a run, for run.json and the checkpoints: a dictionary of dictionaries.

    script: the path of the program. Its checksum shows later whether its networks and constants were edited.
    """
    sources = [Path(source) for source in (script, other_gans.__file__, training_layers.__file__) if source]
    data = {"source": dataset.source, "images": len(dataset.train_images), "sha256": dataset.sha256}
    if recipe.conditional:
        data["sha256_labels"] = hashlib.sha256(dataset.train_labels).hexdigest()
    about = {
        "options": asdict(options),
        "recipe": asdict(recipe),
        "data": data,
        "versions": {"program": version, **devices.package_versions()},
        "device": replicas.describe(),
        "code": {source.name: checksum(source)[:12] for source in sources},
    }
    return json.loads(json.dumps(about, default=str))  # as a checkpoint returns it; a path becomes text


def check_folder(folder, steps, epochs=(), number=None):
    """Raises FolderError if one of the steps would replace a file in `folder` that is not ours. Changes nothing.

    Every path that a run writes there is listed here. epochs: the numbers of the epochs to come. number: what the step
    "write" writes.
    """
    written, folders = [], []
    if "train" in steps:
        written += [Path(folder, f"{name}.keras") for name in ("generator", "critic")]
        written += [
            Path(folder, "training", name) for name in ("history.csv", "run.json", "curves.png", "progress.gif")
        ]
        written += [path for number, path in _samples(folder) if number in epochs]
        folders += [Path(folder, name) for name in ("training", "training/samples", "training/checkpoints", "previous")]
    if "interpolate" in steps:
        written += [Path(folder, f"interpolation.{suffix}") for suffix in ("gif", "png")]
    if "write" in steps:
        written.append(pictures.writing_path(folder, number))
    if "page" in steps:
        written.append(Path(folder, "digits.html"))
    refuse_others(written, folders)


def _samples(folder):
    """Yields (epoch, path) for everything with the name of an epoch's picture, of any kind."""
    for path in Path(folder, "training/samples").glob("epoch_*.png"):
        number = path.stem.removeprefix("epoch_")
        if number.isdecimal() and path.name == _picture_name(int(number)):
            yield int(number), path


def _picture_name(epoch):
    return f"epoch_{epoch:04d}.png"


class RunFiles:
    """Writes the files of one training run to `folder`: the models, and everything else in its folder "training".

    about: what describe_run returns. variables: the complete state of the run. resume: sets them to the newest
    checkpoint of the same run, or raises CheckpointError. writes: False if another process writes the files and prints.
    Raises TrainingError if the processes of a cluster would train differently.

    history: a list of dictionaries, one per epoch, from "epoch" (the first is 1) to "seconds".
    """

    def __init__(self, folder, about, variables, resume, writes=True):
        self.folder, self.checkpoints = Path(folder, "training"), Path(folder, "training/checkpoints")
        self.variables, self.own, self.writes = variables, [], writes  # own: the paths of this run's checkpoints
        record = {"history": [], "seconds": 0.0, "run_id": secrets.token_hex(8)}  # run_id: marks this run's models, too
        if resume:
            path, record = checkpoints.resume(self.checkpoints, variables, about)
            self.own.append(path)
        self.history, self.about, self.seconds_before = record["history"], about, record["seconds"]
        self.run_id = str(record.get("run_id", ""))
        self.warned = set()
        if writes:
            options = about["options"]
            epochs = range(len(self.history) + 1, options.get("epochs", 0) + 1)
            check_folder(folder, options.get("steps", ("train",)), epochs, options.get("number"))
            if not resume and (given_up := checkpoints.given_up(self.checkpoints)):
                warn(given_up)
        self.start = self.saved = time.monotonic()
        if replicas.several_processes() and not replicas.equal(checkpoints.fingerprint(about, variables)):
            raise TrainingError(
                "the workers do not have the same options, data and checkpoints: check that --models-dir is shared"
            )

    def seconds(self):
        """Seconds of training, including those before an interruption."""
        return round(self.seconds_before + time.monotonic() - self.start, 2)

    def worth_saving(self):
        """False if this run has no checkpoint yet and would delete those of an earlier run."""
        return bool(self.own or not checkpoints.newest(self.checkpoints))

    def checkpoint_due(self):
        """True if the last checkpoint is more than SECONDS_BETWEEN_CHECKPOINTS old."""
        return self.writes and time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS

    def checked(self, names, values, step):
        """The figures of this epoch so far by name. Raises TrainingError if one of them or a variable is not finite.

        names: strings. values: a float for each name. step: how many iterations are done.
        """
        sums = (np.asarray(variable).sum() for variable in self.variables)  # not finite if an element is not
        if not all(map(math.isfinite, [*values, *sums])):
            clip = " or --clip" if self.about["options"]["clip"] else ""
            last = f"the last good checkpoint is {self.own[-1]}" if self.own else "no checkpoint was written yet"
            advice = f"Start a new run with a smaller --learning-rate{clip}"
            raise TrainingError(f"values are no longer finite at iteration {step}: {last}. {advice}")
        return dict(zip(names, map(float, values), strict=True))

    def save_checkpoint(self, step):
        """Saves the variables, after `step` iterations."""
        if not self.writes:
            return
        record = {"about": self.about, "history": self.history, "seconds": self.seconds(), "run_id": self.run_id}
        checkpoints.save(self.checkpoints, step, self.variables, record, self.own)
        self.saved = time.monotonic()

    def save_epoch(self, step, figures, images, events=None):
        """Adds an epoch, which ended after `step` iterations, to the history; writes history.csv and a picture.

        figures: numbers by name. images: uint8 [n, height, width], n a multiple of 10. events: a folder for
        TensorBoard, or None.
        """
        epoch = len(self.history) + 1
        self.history.append({"epoch": epoch, "step": step, **figures, "seconds": self.seconds()})
        if not self.writes:
            return
        path = self._picture(epoch)
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = list(dict.fromkeys(name for row in reversed(self.history) for name in row))  # they may differ
        rows = [[f"{row[name]:.10g}" if name in row else "" for name in columns] for row in self.history]
        with self._dispensable(self.folder / "history.csv") as table:
            files.write_text(table, "".join(",".join(row) + "\n" for row in [columns, *rows]))
        with self._dispensable(path) as picture:
            pictures.save_grid(picture, images)
        if events:
            with self._dispensable(events):
                tensorboard.write(events, epoch, figures, {"digits": path} if is_ours(path) else {})

    def save_models(self, **models):
        """If a checkpoint was saved: saves Keras models as NAME.keras, and run.json. Keeps an earlier run's."""
        if not (self.writes and self.own):
            return
        self._keep_previous([self.folder.parent / f"{name}.keras" for name in models])
        final = self.history[-1] if self.history else {}
        record = {"about": self.about, "seconds": final.get("seconds", self.seconds()), "final": final}
        with self._dispensable(self.folder / "run.json") as path:
            files.write_text(path, json.dumps(record, indent=2) + "\n")
        for name, model in models.items():
            save_model(model, self.folder.parent / f"{name}.keras", self.run_id)

    def _keep_previous(self, paths):
        """Copies another run's models and record to the folder "previous", where they replace those of an older run."""
        others = [path for path in paths if is_ours(path) and not is_ours(path, self.run_id)]
        if others:
            previous = self.folder.parent / "previous"
            previous.mkdir(exist_ok=True)
            for path in filter(is_ours, [*others, self.folder / "run.json"]):
                if is_ours(previous / path.name) or not os.path.lexists(previous / path.name):
                    with files.write_whole(previous / path.name) as copy:
                        shutil.copyfile(path, copy)
            warn(f"the models of the previous run are kept in {previous}")

    def finish(self, real):
        """Writes the pictures of a finished run: an animation, the curves (real: see save_curves)."""
        if not self.writes or not self.history:
            return
        epochs = len(self.history)
        with self._dispensable(self.folder / "progress.gif") as path:
            left_out = pictures.save_animation(path, [self._picture(epoch + 1) for epoch in range(epochs)])
            if left_out:
                warn(f"{path}: left out {left_out} pictures of samples/ that are missing or damaged")
        for number, path in _samples(self.folder.parent):
            if number > epochs and is_ours(path):  # of an earlier, longer run
                with self._dispensable(path):
                    path.unlink()
        with self._dispensable(self.folder / "curves.png") as path:
            pictures.save_curves(path, self.history, real)

    @contextlib.contextmanager
    def _dispensable(self, path):
        """Yields `path`. If the block may not write it (Excel has it open, on Windows), warns once and continues."""
        try:
            yield path
        except (PermissionError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or error.message
            if path not in self.warned:
                warn(f"{path} cannot be written ({reason}); the run continues without it")
            self.warned.add(path)

    def _picture(self, epoch):
        return self.folder / "samples" / _picture_name(epoch)
