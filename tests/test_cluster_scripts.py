"""The shell scripts of docs/cluster.md, run by bash, with stand-ins for python and the commands of a cluster."""

import json
import os
import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from conftest import ROOT

from support import cluster
from support.options import read_options
from wgan_handwritten_digits import RECIPES

STAND_INS = {
    # Writes down its environment variable and its options.
    "python": 'printf "%s\\n" "${TF_CONFIG-}" "$@" > "$(mktemp "$CALLS/XXXXXX")"; exit "${STATUS-0}"',
    "git": 'for folder; do :; done; mkdir -p "$folder"',
    "pip": "",
    "scontrol": """
        [ "$*" = "show hostnames $SLURM_JOB_NODELIST" ] && printf '%s\\n' $NODES
        [ "$*" = "requeue $SLURM_JOB_ID" ] && touch "$CALLS.requeued" || true""",
    # Runs the tasks one after the other; ends with the highest status of all, as srun does.
    "srun": """
        while [ "${1#-}" != "$1" ]; do shift; done
        number=0 highest=0
        for node in $NODES; do
            SLURM_PROCID=$number "$@"
            status=$? number=$((number + 1))
            [ $status -le $highest ] || highest=$status
        done
        exit $highest""",
}

pytestmark = pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="needs bash")


def block(words):
    """The only bash script of the page that contains these words."""
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (found,) = [text for text in re.findall(r"^```bash\n(.*?)^```$", page, re.M | re.S) if words in text]
    return found


@pytest.fixture
def bash(tmp_path, monkeypatch):
    """A function that runs a script and returns its status, the calls of the program, and whether it was requeued."""
    stand_ins = tmp_path / "stand-ins"
    stand_ins.mkdir()
    for name, lines in STAND_INS.items():
        (stand_ins / name).write_text("#!/bin/sh\n" + lines + "\n")
        (stand_ins / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_ins}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TF_CONFIG", raising=False)

    def run(script, flags="-c", **environment):
        calls = tmp_path / "calls"
        shutil.rmtree(calls, ignore_errors=True)
        calls.mkdir()
        environment = os.environ | {"CALLS": str(calls)} | environment
        command = ["bash", flags, script + "\nwait\n"]
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert process.stderr == ""
        found = []
        for path in calls.iterdir():
            config, program, *words = path.read_text().splitlines()
            assert program.endswith("wgan_handwritten_digits.py")
            found.append((config, read_options(words, RECIPES)))
        return SimpleNamespace(status=process.returncode, calls=found, requeued=(tmp_path / "calls.requeued").exists())

    return run


def places(calls, monkeypatch):
    """The program's own reading of each TF_CONFIG, sorted; and the addresses, which are the same in all."""
    found = []
    for config, options in calls:
        assert options.steps == ("train",)
        monkeypatch.setenv("TF_CONFIG", config)
        found.append(cluster.workers())
    (addresses,) = {tuple(json.loads(config)["cluster"]["worker"]) for config, _ in calls}
    return sorted(found), addresses


def leave_checkpoint(folder):
    (folder / "saved_models/training/checkpoints").mkdir(parents=True)
    (folder / "saved_models/training/checkpoints/step_000000010.npz").touch()


def test_the_lines_for_one_machine(bash, monkeypatch):
    shards = bash(block("CUDA_VISIBLE_DEVICES")).calls
    assert sorted(options.shard for _, options in shards) == [(part, 8) for part in range(1, 9)]
    assert places(bash(block("127.0.0.1")).calls, monkeypatch)[0] == [(2, 0), (2, 1)]


@pytest.mark.parametrize("resume", [False, True])
def test_pods_find_each_other_and_the_checkpoint(bash, tmp_path, monkeypatch, resume):
    if resume:
        leave_checkpoint(tmp_path)
    script, calls = block("JOB_COMPLETION_INDEX"), []
    for index in range(4):
        pod = bash(script, "-euc", REPOSITORY="https://example.org", WORKERS="4", JOB_COMPLETION_INDEX=str(index))
        assert pod.status == 0
        calls += pod.calls
    found, addresses = places(calls, monkeypatch)
    assert found == [(4, index) for index in range(4)] and addresses[3] == "wgan-3.wgan:2222"
    assert all(options.resume is resume and options.batch_size % 4 == 0 for _, options in calls)


def start_job(bash, **more):
    """Runs the batch script on three nodes, in an order that is not the alphabet's."""
    names = {"NODES": "node9 node10 node1", "SLURM_JOB_NODELIST": "node[9-10],node1"}
    return bash(block("srun"), SLURM_JOB_ID="1234567", SLURM_CPUS_PER_TASK="8", **names, **more)


def test_tasks_of_slurm_get_the_addresses_of_their_nodes_and_find_the_checkpoint(bash, tmp_path, monkeypatch):
    leave_checkpoint(tmp_path)
    job = start_job(bash)
    assert job.status == 0 and not job.requeued
    found, addresses = places(job.calls, monkeypatch)
    assert found == [(3, 0), (3, 1), (3, 2)]
    names, ports = zip(*(address.split(":") for address in addresses), strict=True)
    assert names == ("node9", "node10", "node1") and len(set(ports)) == 1 and 1024 < int(ports[0]) < 32768
    assert all(options.resume and options.batch_size % 8 == 0 for _, options in job.calls)  # 2 nodes with 4 GPUs


@pytest.mark.parametrize(
    ("status", "restarts", "again"), [(1, "", True), (143, "19", True), (1, "20", False), (2, "", False)]
)
def test_slurm_starts_a_failed_job_again_but_not_one_with_a_bad_option(bash, status, restarts, again):
    job = start_job(bash, STATUS=str(status), SLURM_RESTART_COUNT=restarts)
    assert job.status == status and job.requeued is again
    assert all(not options.resume for _, options in job.calls)  # there is no checkpoint
