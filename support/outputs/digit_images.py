"""Generated digits on the disk: PNG files in a folder, or arrays in one .npz file.

Image i depends on the generator, the seed and i alone. So an unfinished set needs no care: it is drawn again. A record
in the folder, digits.json, says how the images were made, and whether all of them are there. Each shard has a record of
its own. Images without a record are a copy, or somebody else's.
"""

import json
import os
import re
import time
from pathlib import Path

from support.console import quoted, say, watch
from support.errors import InputError
from support.lazy import np, tf, tqdm
from support.outputs.files import naming, read_json, write_json, write_whole

LABELS, HEADING = "labels.csv", "file,digit"  # the file of labels, and its first line
RECORDS = r"digits(-\d+-of-\d+)?\.json"


def image_name(number, total):
    """The file name of image `number` of `total`. All names of a set have the same length, so that they sort."""
    return f"digit_{number:0{max(5, len(str(total - 1)))}d}.png"


def is_one_of(name, total):
    """True if `name` is the name of an image in a set of `total`."""
    number = re.fullmatch(r"digit_(\d+)\.png", name, re.ASCII)
    return bool(number) and int(number[1]) < total and image_name(int(number[1]), total) == name


def part_of(total, shard=None):
    """The range of image numbers, of `total`, that the shard (I, N) writes; without a shard all of them."""
    part, parts = shard or (1, 1)
    return range(total * (part - 1) // parts, total * part // parts)


def names_of(options, labelled):
    """Tests whether a file has a name that a run writes to the folder of images, by kind. labelled: with labels."""

    def has_our_name(name):
        record = re.fullmatch(RECORDS, name, re.ASCII)
        return is_one_of(name, options.images) or record or (labelled and name == LABELS)

    return {"digits": has_our_name} | ({"class folders": str.isdecimal} if options.folders else {})


# ------------------------------------------------------------------------------------------------------ records
def record_name(shard=None):
    """The file name of the record of a shard (I, N), or of a whole set."""
    return f"digits-{shard[0]}-of-{shard[1]}.json" if shard else "digits.json"


def read_records(folder):
    """The records in a folder by file name, dictionaries in which "images" is the number of images of the set."""
    names = sorted(path.name for path in Path(folder).glob("digits*.json"))
    found = {name: read_json(Path(folder, name)) for name in names if re.fullmatch(RECORDS, name, re.ASCII)}
    return {name: record for name, record in found.items() if record and type(record.get("images")) is int}


def check_complete(folder):
    """Raises InputError if a set of images in the folder is not complete, with the command that completes it."""
    records = read_records(folder)
    if not records or records.get("digits.json", {}).get("complete"):
        return
    name, record = next(iter(records.items()))
    script = Path(__file__).parents[2] / "wgan_handwritten_digits.py"
    words = ["python", script, "generate", "--images-dir", folder, "--images", record["images"]]
    words += ["--seed", record.get("seed", 0), "--model", record.get("model", "FILE")]
    if record.get("digits"):
        words += ["--digits", ",".join(map(str, record["digits"]))]
    if record.get("folders"):
        words.append("--folders")
    if name != "digits.json":
        parts = int(re.findall(r"\d+", name)[1])
        numbers = range(1, parts + 1)
        missing = [part for part in numbers if not records.get(record_name((part, parts)), {}).get("complete")]
        if not missing:
            return
        words += ["--shard", f"{missing[0]}/{parts}"]
    raise InputError(f"{folder}: not all of its {record['images']} images are there; complete them: {quoted(words)}")


def find_record(folder, names):
    """The record of the images `names` in a folder; {} if it does not cover all of them."""
    for record in read_records(folder).values():
        if all(is_one_of(name.rpartition("/")[2], record["images"]) for name in names):
            return record
    return {}


# ------------------------------------------------------------------------------------------------------ writing
def save(parts, options, about):
    """Writes generated images to options.npz and to options.images_dir, if these are not None. See write_folder."""
    if options.npz:
        images = np.concatenate(list(parts))
        parts = [images]
        write_array(options.npz, images, about["labels"])
        say(f"{len(images):,} digits in {options.npz}, drawn by {about['model']}")
    if options.images_dir:
        write_folder(options, parts, about)


def write_folder(options, parts, about):
    """Writes PNG files to options.images_dir: options.images of them, or those of options.shard.

    parts: of the images, uint8 [n, 28, 28]. about: how they are made, a dictionary. Its item "labels" has the labels of
    the images, in turn; it is empty if there are none.
    """
    folder, total, start = Path(options.images_dir), options.images, time.monotonic()
    about = {key: value for key, value in about.items() if value not in (None, ())}
    about = json.loads(json.dumps(about))  # as a record returns it
    record, name = {"images": total, **about}, record_name(options.shard)
    earlier = [other for other in read_records(folder).values() if not is_same_set(other, record)]
    check_class_folders(options, earlier)
    replaces = sorted({count for other in earlier for count in (other["images"], *other.get("replaces", ()))})
    if not record.get("labels") and any(other.get("labels") for other in earlier):
        (folder / LABELS).unlink(missing_ok=True)
    write_json(folder / name, {**record, "complete": False, "replaces": replaces})
    remove_earlier_sets(folder, record, replaces)
    numbers, labels = part_of(total, options.shard), about.get("labels")
    for label in set(labels) if options.folders else ():
        (folder / str(label)).mkdir(exist_ok=True)
    images = (png for part in parts for png in tf.io.encode_png(part[..., None]).numpy())
    with naming(folder):
        for number, png in zip(watch(numbers, "writing digits"), images, strict=True):
            place = folder / str(labels[number % len(labels)]) if options.folders else folder
            with open(place / image_name(number, total), "wb") as file:
                file.write(png)
    if labels and not options.folders and numbers.start == 0:  # of the shards, the first writes it
        write_labels(folder / LABELS, total, labels)
    write_json(folder / name, {**record, "complete": True})
    spent = tqdm.tqdm.format_interval(time.monotonic() - start)
    say(f"{len(numbers):,} digits in {folder}, drawn by {about['model']}, {spent}")


def check_class_folders(options, earlier):
    """Raises InputError if the digits of `earlier` records would have to be replaced, and class folders are used."""
    if any(other.get("folders") or options.folders for other in earlier):
        raise InputError(
            f"{options.images_dir}: holds other digits, and class folders are not replaced; choose another --images-dir"
        )


def is_same_set(record, other):
    """True if two records describe the same images."""
    return all(record.get(key) == other.get(key) for key in (record.keys() | other.keys()) - {"complete", "replaces"})


def remove_earlier_sets(folder, record, totals):
    """Removes what sets of `totals` images left and the new set does not replace: images, records."""
    for name, other in read_records(folder).items():
        if not is_same_set(other, record):
            (folder / name).unlink(missing_ok=True)  # another shard may be removing the same files
    for name in os.listdir(folder):
        if any(is_one_of(name, total) for total in totals) and not is_one_of(name, record["images"]):
            (folder / name).unlink(missing_ok=True)


def write_labels(path, total, labels):
    """Writes the file name and the label of each of `total` images. labels: in turn."""
    with write_whole(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{HEADING}\n")
        file.writelines(f"{image_name(i, total)},{labels[i % len(labels)]}\n" for i in range(total))


def write_array(path, images, labels=None):
    """Writes images, uint8 [n, 28, 28], to an .npz file as in keras.datasets. labels: in turn, for y_train [n]."""
    arrays = {"x_train": images}
    if labels:
        kind = np.uint8 if max(labels) < 256 else np.int64
        arrays["y_train"] = np.resize(np.array(labels, kind), len(images))
    with write_whole(path) as temporary:
        np.savez_compressed(temporary, **arrays)
