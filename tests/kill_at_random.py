"""Kills a tiny run of the whole program again and again, and checks what is left and whether the next run works.

    python tests/kill_at_random.py --times 40 --seed 0

Run it before a release. Half of the runs start in an empty folder, half where an earlier run has ended. Each ends itself
by SIGKILL right before a file is created, renamed or removed: all kinds of these operations are equally likely.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from conftest import ROOT, SCRIPT, TINY, write_small_data
from PIL import Image

OURS, EARLIER = ("--seed", "6", "--epochs", "3", "--images", "40"), ("--seed", "5", "--epochs", "2", "--images", "70")
LAST = "saved_models/training/checkpoints/step_000000012.npz"
CHILD = """
import collections, json, os, runpy, signal, sys
deadly, number = sys.argv[1], int(sys.argv[2])
sys.argv = sys.argv[3:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
seen, here = collections.Counter(), os.path.join(os.getcwd(), "")
def before(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        is_ours = set(arguments[1] or "") & set("wxa")
    else:
        is_ours = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
    path = os.path.abspath(os.fsdecode(arguments[0])) if is_ours else ""
    if path.startswith(here):
        operation = event + " " + os.path.splitext(path)[1]
        seen[operation] += 1
        if operation == deadly and seen[operation] == number:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(before)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(json.dumps(seen))
"""


def run(folder, *options, kill_before=("", 0)):
    """Runs the program in `folder`; it kills itself before the n-th operation of a kind, kill_before = (kind, n)."""
    command = [sys.executable, "-c", CHILD, *map(str, kill_before), str(SCRIPT), "--device", "cpu", *map(str, TINY)]
    command += ["--data", str(folder.parent / "small.npz"), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def state(path):
    """The arrays of a checkpoint."""
    with np.load(path) as file:
        return [file[name] for name in file.files if name != "record"]


def check_what_is_left(folder, earlier):
    """Each file is whole, and of the earlier run nothing is lost, if there was one."""
    from support.models import load_generator
    from support.outputs.checkpoints import read

    for path in folder.glob("saved_models/**/[!.]*.npz"):
        read(path)
    for path in folder.glob("saved_models/**/generator.keras"):
        load_generator(path)
    for path in folder.glob("saved_models/**/[!.]*.png"):
        Image.open(path).load()
    complete = json.loads((folder / "generated_images/digits.json").read_text())["complete"] if earlier else False
    assert not complete or len(list((folder / "generated_images").glob("*.png"))) in (40, 70), "digits are missing"
    names = ("generator.keras", "critic.keras", "training/checkpoints/step_000000008.npz") if earlier else ()
    for name in names:
        content = (earlier / "saved_models" / name).read_bytes()
        places = [folder / "saved_models" / name, folder / "saved_models/previous" / name]
        assert any(path.exists() and path.read_bytes() == content for path in places), f"{name} is lost"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--times", type=int, default=40, help="how many runs to kill (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    work, chance, failures = Path(tempfile.mkdtemp(prefix="kill_at_random_")), random.Random(options.seed), 0
    write_small_data(work / "small.npz")
    for name, words in (("earlier", EARLIER), ("whole", OURS)):
        (work / name).mkdir()
        process = run(work / name, *words)
        assert process.returncode == 0, process.stderr
    operations = json.loads(process.stdout.splitlines()[-1])
    for number in range(options.times):
        folder, earlier = work / f"run_{number}", work / "earlier" if number % 2 else None
        shutil.copytree(earlier, folder) if earlier else folder.mkdir()
        operation = chance.choice(sorted(operations))
        moment = operation, chance.randint(1, operations[operation])
        try:
            process = run(folder, *OURS, kill_before=moment)
            assert process.returncode == -signal.SIGKILL, process.stderr
            check_what_is_left(folder, earlier)
            resumed = run(folder, *OURS, "--resume")
            again = resumed if resumed.returncode == 0 else run(folder, *OURS)  # there was no checkpoint of ours
            assert again.returncode == 0, again.stderr
            pairs = zip(state(folder / LAST), state(work / "whole" / LAST), strict=True)
            assert all(np.array_equal(one, other) for one, other in pairs), "other weights than without the kill"
            assert not list(folder.rglob(".*.partial.*")) or earlier, "left over"
            shutil.rmtree(folder)
            print(f"{number}: killed before {moment[0]} number {moment[1]}: all well", flush=True)
        except Exception as error:  # the folder stays
            failures += 1
            print(f"{number}: killed before {moment[0]} number {moment[1]}: {error!r} in {folder}", flush=True)
    return 1 if failures else shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
