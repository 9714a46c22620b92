"""The folders of a run: checked before anything is written, then locked for this process."""

import contextlib
import os

from support.results import files, image_folder, run_files


@contextlib.contextmanager
def reserved(options):
    """A block in which no other run writes to the folders that `options` name. Raises FolderError.

    If any of them cannot be used, nothing is changed. Otherwise a swap of images that a killed run began is finished.
    """
    written = [options.images_dir] if "generate" in options.steps else []
    written += [options.models_dir] if {"train", "interpolate"} & set(options.steps) else []
    for folder in filter(None, [*written, options.tensorboard]):
        files.check_folder(folder)
    run_files.check_folder(options.models_dir, options.steps)
    if "generate" in options.steps:
        image_folder.check(options.images_dir, options.images, options.shard)
    with contextlib.ExitStack() as held:
        for folder in {os.path.realpath(folder): folder for folder in written}.values():
            held.enter_context(files.own_folder(folder, options.shard))
        if options.tensorboard:
            files.make_folder(options.tensorboard)
        if "generate" in options.steps:
            image_folder.finish(options.images_dir)
        yield
