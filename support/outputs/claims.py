"""Folders that this program may write to: a mark says which files in them are ours."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from support import cluster
from support.errors import InputError
from support.outputs import digit_images
from support.outputs.files import check_new_file, kind

MARK = ".wgan_handwritten_digits.txt"  # marks a folder as ours; each line names a kind of content
LOCK = ".wgan_handwritten_digits.lock"
EXPLANATION = "# wgan_handwritten_digits.py writes these kinds of files to this folder, and may replace them:"


class Claim:
    """A folder and the kinds of content that a run will write to it: {kind: test of a file name}.

    The mark in the folder lists the kinds that earlier runs wrote. A file with a name of a listed kind is ours. A file
    with a name of another kind is the user's.
    """

    def __init__(self, folder, kinds, option="--models-dir"):
        self.folder, self.kinds, self.option = Path(folder), kinds, option

    def check(self):
        """Raises InputError if a file of the user is in the way, or nothing can be written. Changes nothing."""
        existing = self.folder
        try:
            while not os.path.lexists(existing) and existing != existing.parent:
                existing = existing.parent
            tempfile.TemporaryFile(dir=existing).close()
            names = os.listdir(self.folder) if existing == self.folder else []
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written to ({error.strerror}); choose another {self.option}"
            ) from None
        ours = self._marked()
        for name in names:  # some file systems ignore case
            for content, has_name in self.kinds.items():
                if has_name(name.lower()) and (content not in ours or not _replaceable(self.folder / name)):
                    raise InputError(
                        f"{self.folder / name}: is in the way, and nothing in the folder says that this program wrote "
                        f"it; move it, or choose another {self.option}"
                    )

    def take(self):
        """Makes the folder if it does not exist, and marks it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        there = self._marked()
        new = [line for line in (EXPLANATION, *self.kinds) if line not in there]
        with open(self.folder / MARK, "a", encoding="utf-8") as mark:  # shards may do it at the same time
            mark.writelines(f"{line}\n" for line in new)

    def _marked(self):
        """The kinds that the mark in the folder lists, a set; empty without a mark."""
        mark = self.folder / MARK
        return set(mark.read_text(encoding="utf-8", errors="replace").splitlines()) if kind(mark) == "file" else set()


def _replaceable(path):
    """True for what this program writes, a regular file, the folder of a run or a class folder; not for a link."""
    mode = os.lstat(path).st_mode
    return stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and (path.name == "training" or path.name.isdecimal()))


def named(*names):
    """A test whether a file has one of these names."""
    return lambda name: name in names


@contextlib.contextmanager
def claimed(claims, lock=True):
    """A block in which this run writes to the folders of `claims`. If one of them is refused, nothing is changed.

    lock: refuse a folder that another run is writing to, where the file system has locks. Raises InputError.
    """
    from filelock import FileLock, Timeout

    for claim in claims:
        claim.check()
    with contextlib.ExitStack() as held:
        for folder in dict.fromkeys(os.path.realpath(claim.folder) for claim in claims) if lock else ():
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:  # usually a name that is too long
                raise InputError(f"{folder}: {error.strerror}; choose another folder") from None
            try:
                # The same lock for all blocks of this process: `train` is a block inside that of `run`.
                held.enter_context(FileLock(Path(folder, LOCK), timeout=0, is_singleton=True))
            except Timeout:
                raise InputError(
                    f"{folder}: another run is writing there; wait until it ends or choose another folder"
                ) from None
            except (OSError, NotImplementedError):
                pass  # a file system without locks
        for claim in claims:
            claim.take()
        yield


def of_training(options):
    """The claims of `train` alone. Of the processes of a cluster, only the chief writes.

    Raises InputError if there is no run that --resume could continue: no folder is made for a path with a mistake.
    """
    if options.resume and not os.path.isdir(os.path.join(options.models_dir, "training", "checkpoints")):
        raise InputError(f"--resume: {options.models_dir} holds no run; give its --models-dir, or leave --resume out")
    claim = Claim(options.models_dir, {"training run": named("generator.keras", "critic.keras", "training")})
    return [claim] if cluster.is_chief() else []


def of_run(options, labelled):
    """The claims of a run on the folders that `options` name. labelled: True if the images will have labels.

    Raises InputError if --npz names a file that exists, or if class folders would replace digits or be replaced.
    """
    steps, found = options.steps, []
    if "generate" in steps and options.npz:
        check_new_file(options.npz, "--npz")
    if "generate" in steps and options.images_dir:
        # This is checked now, not after hours of training. With --resume, the digits may be the same again.
        if "train" in steps and not options.resume and kind(options.images_dir) == "folder":
            digit_images.check_class_folders(options, digit_images.read_records(options.images_dir).values())
        found.append(Claim(options.images_dir, digit_images.names_of(options, labelled), "--images-dir"))
    if "train" in steps:
        found += of_training(options)
    if "interpolate" in steps:
        found.append(Claim(options.models_dir, {"interpolation": named("interpolation.gif", "interpolation.png")}))
    if "write" in steps:
        found.append(Claim(options.models_dir, {"number": named(f"number_{options.number}.png")}))
    if "page" in steps:
        found.append(Claim(options.models_dir, {"page": named("digits.html")}))
    return found
