"""Kills a tiny run of the whole program again and again, and checks what is left and whether the next run works.

    python tests/kill_at_random.py --times 40 --seed 0

Run it before a release. Half of the runs start in an empty folder, half where an earlier run has ended. Each kills
itself right before a file is created, renamed or removed. All kinds of these operations are equally likely.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from conftest import ROOT, SCRIPT, TINY, write_small_data

EARLIER = (*TINY, "--data", "../small.npz", "--seed", 5, "--epochs", 2, "--images", 70)
OURS = (*TINY, "--data", "../small.npz", "--seed", 6, "--epochs", 3, "--images", 40)
CHILD = """
import collections, json, os, runpy, signal, sys
deadly, number, *sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
seen, here = collections.Counter(), os.path.join(os.getcwd(), "")
def before(event, arguments):
    creates = event == "open" and isinstance(arguments[0], (str, bytes)) and set(arguments[1] or "") & set("wxa")
    if creates or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        operation = event + " " + os.path.splitext(path)[1]
        seen[operation] += path.startswith(here)
        if operation == deadly and seen[operation] == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(before)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(json.dumps(+seen))
"""


def run_and_kill(folder, *command, kill_before=("", 0)):
    """Runs the program in `folder`; it kills itself before the n-th operation of a kind, kill_before = (kind, n)."""
    command = ["-c", CHILD, *kill_before, SCRIPT, "--device", "cpu", *command]
    return subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True)


def check_what_is_left(folder, earlier):
    """Every file is whole, and nothing of the earlier run is lost, if there was one."""
    from support.models import load_generator
    from support.outputs.checkpoints import read

    for path in folder.glob("saved_models/**/[!.]*.npz"):
        read(path)
    for path in folder.glob("saved_models/**/generator.keras"):
        load_generator(path)
    record = folder / "generated_images/digits.json"
    if record.exists() and json.loads(record.read_text())["complete"]:
        assert len(list(record.parent.glob("*.png"))) in (40, 70), "digits are missing"
    for name in ("generator.keras", "critic.keras", "training/checkpoints/step_000000008.npz") if earlier else ():
        places = [folder / "saved_models" / name, folder / "saved_models/previous" / name]
        content = (earlier / "saved_models" / name).read_bytes()
        assert any(path.exists() and path.read_bytes() == content for path in places), f"{name} is lost"


def check_next_run(folder, whole):
    """The next run ends with the weights of a run that nobody killed."""
    process = run_and_kill(folder, *OURS, "--resume")
    if process.returncode:  # there is no checkpoint, or that of the earlier run
        process = run_and_kill(folder, *OURS)
    assert process.returncode == 0, process.stderr
    one, other = (np.load(base / "saved_models/training/checkpoints/step_000000012.npz") for base in (folder, whole))
    for name in set(one.files) - {"record"}:
        np.testing.assert_array_equal(one[name], other[name])
    assert len(list((folder / "generated_images").glob("*.png"))) == 40


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--times", type=int, default=40, help="how many runs to kill (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    work, chance, failures = Path(tempfile.mkdtemp(prefix="kill_at_random_")), random.Random(options.seed), 0
    write_small_data(work / "small.npz")
    for name, words in {"earlier": EARLIER, "whole": OURS}.items():
        (work / name).mkdir()
        process = run_and_kill(work / name, *words)
        assert process.returncode == 0, process.stderr
    operations = json.loads(process.stdout.splitlines()[-1])
    for number in range(options.times):
        folder, earlier = work / f"run_{number}", work / "earlier" if number % 2 else None
        shutil.copytree(earlier, folder) if earlier else folder.mkdir()
        operation = chance.choice(sorted(operations))
        moment = operation, chance.randint(1, operations[operation])
        outcome = "all well"
        try:
            process = run_and_kill(folder, *OURS, kill_before=moment)
            assert process.returncode == -signal.SIGKILL, process.stderr
            check_what_is_left(folder, earlier)
            check_next_run(folder, work / "whole")
            shutil.rmtree(folder)
        except Exception as error:  # the folder stays
            failures, outcome = failures + 1, f"{error!r} in {folder}"
        print(f"{number}: killed before {moment[0]}, number {moment[1]}: {outcome}", flush=True)
    return 1 if failures else shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
