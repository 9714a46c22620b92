"""Kills a tiny run of the whole program at random moments and looks at what is left, and at what can be made of it.

    python tests/kill_at_random.py --times 100 --seed 0

The run starts in an empty folder or where an earlier one stands, is ended by SIGKILL, and is then gone on from, with
--resume where it left a checkpoint, or started anew. Half of the moments are uniform over the time from the first file
(the lock) to the end; before it, during TensorFlow's import, nothing is written. The other half are right before a
file is created, renamed or removed, each kind of operation as often as any other: the moments between two of them are
the only ones at which a different set of files stands, and many are too short to be met by time.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from conftest import ROOT, TINY, write_small_data
from faults import WORKING, leftovers, read_whole

# Other numbers than the earlier run's, so that each of its files is told from ours and some have to go.
OURS = ("--seed", 6, "--epochs", 4, "--images", 400)
EARLIER = ("--seed", 5, "--images", 700)
EPOCHS = 4

CHILD = """
import collections, json, os, signal, sys
import faults, wgan_handwritten_digits
deadly, number = sys.argv[1], int(sys.argv[2])
seen = collections.Counter()
def before(operation):
    seen[operation] += 1
    if operation == deadly and seen[operation] == number:
        os.kill(os.getpid(), signal.SIGKILL)
faults.watch_files(os.getcwd(), before)
status = wgan_handwritten_digits.main(sys.argv[3:])
print(json.dumps(seen))
sys.exit(status)
"""


def start(folder, *options, kill_before=("", 0)):
    """Starts the program in `folder`; it kills itself before the n-th operation of a kind, kill_before = (kind, n)."""
    command = [sys.executable, "-c", CHILD, *map(str, kill_before), "--device", "cpu", *map(str, TINY)]
    return subprocess.Popen(
        [*command, "--data", str(folder.parent / "small.npz"), *map(str, options)],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "TMPDIR": str(folder.parent),  # Keras leaves an empty folder there when it is killed
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, all of which is killed
    )


def output_of(process):
    """What a run prints on standard output and standard error until it ends."""
    try:
        return process.communicate(timeout=300)
    finally:
        process.kill()  # where the time was not enough


def finish(process):
    """Waits for a run that has to succeed; returns what it printed on standard output."""
    printed, complaints = output_of(process)
    assert process.returncode == 0, f"status {process.returncode}: {complaints}"
    assert "Traceback" not in complaints and "Exception ignored" not in complaints, complaints
    return printed


def wait_for_lock(folder, process):
    while not (folder / "saved_models/.lock").exists() and process.poll() is None:
        time.sleep(0.002)
    return time.monotonic()


def prepare(work, earlier=None):
    """What every trial needs, from one or two runs that nobody kills: a dictionary.

    earlier: a folder in which a run with the options EARLIER has ended; it is made where there is none.
    """
    write_small_data(work / "small.npz")
    if not earlier:
        earlier = work / "earlier"
        earlier.mkdir()
        finish(start(earlier, *EARLIER))
    folder = copy(earlier, work / "whole")
    process = start(folder, *OURS)
    locked = wait_for_lock(folder, process)
    operations = json.loads(finish(process))
    return {
        "work": work,
        "earlier": earlier,
        "seconds": time.monotonic() - locked,
        "operations": operations,  # how often each kind of them happens
        "files before": {"empty": {}, "earlier": read_whole(earlier)},
        "files after": read_whole(folder),
    }


def copy(earlier, folder):
    """A copy of a run's folder, without the locks: one that appears tells that the next run begins to write."""
    return Path(shutil.copytree(earlier, folder, ignore=shutil.ignore_patterns(".lock")))


def kill_one(number, chance, given):
    """One trial: a dictionary of what was done, how it went on and what was lost, with the problem, if there is one."""
    situation, way = ("empty", "earlier")[number & 1], ("resume", "anew")[number >> 1 & 1]
    by_time = not (number ^ number >> 1 ^ number >> 2) & 1  # all eight combinations come in turn
    folder = given["work"] / f"trial_{number}"
    copy(given["earlier"], folder) if situation == "earlier" else folder.mkdir()
    row = {"number": number, "situation": situation, "folder": folder, "problem": None, "phase": "", "next": ""}
    try:
        if by_time:
            seconds = chance.uniform(0, given["seconds"])
            row["moment"] = f"after {seconds:.2f} s"
            process = start(folder, *OURS)
            time.sleep(max(0.0, wait_for_lock(folder, process) + seconds - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            operation = chance.choice(sorted(given["operations"]))
            moment = operation, chance.randint(1, given["operations"][operation])
            row["moment"] = "before {} number {}".format(*moment)
            process = start(folder, *OURS, kill_before=moment)
        _, printed = output_of(process)
        row["phase"] = phase(folder, printed, process.returncode)
        check_killed(folder, read_whole(folder), given, situation)
        row |= losses(folder, printed)
        row["next"] = way if row.pop("resumable") else "anew, no checkpoint"
        finish(start(folder, *OURS, *(["--resume"] if row["next"] == "resume" else [])))
        check_finished(folder, given)
        shutil.rmtree(folder)
    except Exception as error:  # reported with the others at the end
        row["problem"] = repr(error)
    return row


def phase(folder, printed, status):
    """What the killed run was doing, told from what it left and printed."""
    images, epochs = folder / "generated_images", len(re.findall("^epoch ", printed, re.M))
    if status != -signal.SIGKILL:
        return "after the end"
    if (images / WORKING / "swapping").exists():
        return "moving the images into place"
    if (images / WORKING).exists():
        return "writing images"
    for path in leftovers(folder):
        return {".npz": "writing a checkpoint", ".keras": "writing a model"}.get(
            path.suffix, "writing pictures, tables"
        )
    if not epochs:
        return "before the end of the first epoch"
    return "training, between two files" if epochs < EPOCHS else "after the training, between two files"


def check_killed(folder, files, given, situation):
    """Models and images are those of before or those of after, each image at least, all of them where none is moved."""
    before, after = given["files before"][situation], given["files after"]
    for name in ("saved_models/generator.keras", "saved_models/critic.keras"):
        assert files.get(name) in (before.get(name), after[name]), f"{name} is neither the earlier nor the new one"
    stand, old, new = (only_images(of) for of in (files, before, after))
    assert stand.items() <= old.items() | new.items(), "images are neither the earlier nor the new ones"
    if not (folder / "generated_images" / WORKING / "swapping").exists():
        assert stand in (old, new), "the images are a mixture"


def check_finished(folder, given):
    """The next run leaves what one leaves that nobody killed, bit for bit, and nothing else."""
    files, whole = (without_older_checkpoints(of) for of in (read_whole(folder), given["files after"]))
    different = sorted(name for name in files.keys() | whole.keys() if files.get(name) != whole.get(name))
    assert not different, f"not as after a run that was not killed: {different[:5]}"
    assert not leftovers(folder), f"left over: {leftovers(folder)[:5]}"


def only_images(files):
    return {name: content for name, content in files.items() if re.search(r"/digit_\d+\.png$", name)}


def without_older_checkpoints(files):
    """Nor the models that a run kept of the one before it: which one that was depends on the moment."""
    older = sorted(name for name in files if name.endswith(".npz"))[:-1]
    older += [name for name in files if "/previous/" in name]
    return {name: content for name, content in files.items() if name not in older}


def losses(folder, printed):
    """What the killed run had said it had done and cannot be gone on from, and whether --resume is of use."""
    done, resumable = 0, False
    checkpoints = list((folder / "saved_models/training/checkpoints").glob("step_*.npz"))
    for path in checkpoints:
        with np.load(path) as file:
            record = json.loads(str(file["record"]))
        if record["about"]["options"]["seed"] == OURS[1]:
            done, resumable = max(done, len(record["history"])), True
    return {
        "epochs lost": len(re.findall("^epoch ", printed, re.M)) - done,
        "no checkpoint": not checkpoints,
        "resumable": resumable,
    }


def try_kills(times, seed, work, earlier=None, tell=lambda row: None):
    """`times` trials in the folder `work`: a list of what kill_one returns, each given to `tell` when it has ended."""
    from support.machine.devices import import_tensorflow

    import_tensorflow("cpu")  # once, to read the models of all trials
    chance, given, rows = random.Random(seed), prepare(work, earlier), []
    for number in range(times):
        rows.append(kill_one(number, chance, given))
        tell(rows[-1])
    return rows


def table(rows):
    """How often the kill fell in which phase, how it went on, and what was lost, as lines of text."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["phase"] or "before anything was known"].append(row)
    head = f"{'killed while':<38}{'times':>6}{'resumed':>9}{'anew':>6}{'epochs lost':>13}{'problems':>10}"
    lines = [head]
    for name, group in [*sorted(groups.items(), key=lambda item: -len(item[1])), ("all", rows)]:
        resumed = sum(row["next"] == "resume" for row in group)
        lost, problems = sum(row.get("epochs lost", 0) for row in group), sum(bool(row["problem"]) for row in group)
        lines.append(f"{name:<38}{len(group):>6}{resumed:>9}{len(group) - resumed:>6}{lost:>13}{problems:>10}")
    bare = sum(row["situation"] == "earlier" and row.get("no checkpoint", False) for row in rows)
    lines.append(f"an earlier run's checkpoints gone before there was one of the killed run: {bare}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--times", type=int, default=100, help="how many runs to kill (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--verbose", action="store_true", help="print a line a trial")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))

    def tell(row):
        if options.verbose or row["problem"]:
            lost = ", no checkpoint at all" if row.get("no checkpoint") else ""
            outcome = f"{row['problem']} in {row['folder']}" if row["problem"] else "all well"
            print(
                f"{row['number']}: {row['situation']}, {row['moment']}: {row['phase']}{lost}; {row['next']}: {outcome}",
                flush=True,
            )

    work = Path(tempfile.mkdtemp(prefix="kill_at_random_"))
    rows = try_kills(options.times, options.seed, work, tell=tell)
    print(table(rows))
    if any(row["problem"] for row in rows):
        return 1
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
