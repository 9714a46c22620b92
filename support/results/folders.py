"""The folders of a run: checked before anything is written, then locked for this process."""

import contextlib
import os

from support.results import digit_files, files, image_folder, run_files


@contextlib.contextmanager
def reserved(options, labelled=False):
    """A block in which no other run writes to the folders that `options` name. Raises FolderError.

    labelled: True if the images will have labels. If any folder cannot be used, nothing is changed. Otherwise a swap of
    images that a killed run began is finished.
    """
    images_dir = options.images_dir if "generate" in options.steps else None  # None also with --npz alone
    written = [images_dir] if images_dir else []
    written += [options.models_dir] if {"train", "interpolate", "write", "page"} & set(options.steps) else []
    for folder in filter(None, [*written, options.tensorboard]):
        files.check_folder(folder)
    run_files.check_folder(options.models_dir, options.steps, number=options.number)
    if images_dir:
        image_folder.check(images_dir, options.images, options.shard, labelled)
    if options.npz:
        digit_files.check_array(options.npz)
    with contextlib.ExitStack() as held:
        for folder in {os.path.realpath(folder): folder for folder in written}.values():
            held.enter_context(files.own_folder(folder, options.shard))
        if options.tensorboard:
            files.make_folder(options.tensorboard)
        if images_dir:
            image_folder.finish(images_dir)
        yield
