"""The scripts of docs/cluster.md, as far as they can be tried without a cluster: their own lines, run by bash.

Stand-ins take the places of the cluster's commands and of python; that of python notes how it was called.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import textwrap
from types import SimpleNamespace

import pytest
from conftest import ROOT

from support.command_line.options import read_options
from support.machine.replicas import workers_in_environment
from support.results import checkpoints
from wgan_handwritten_digits import RECIPES

PAGE = ROOT / "docs/cluster.md"
STAND_INS = {
    "python": 'printf "%s\\n" "${TF_CONFIG-}" "$@" > "$(mktemp "$CALLS/XXXXXX")"; exit "${STATUS-0}"',
    "git": 'for folder; do :; done; mkdir "$folder"',
    "pip": "",
    "scontrol": """
        case "$*" in
            "show hostnames $SLURM_JOB_NODELIST") printf '%s\\n' $NODES ;;
            "requeue $SLURM_JOB_ID") touch "$CALLS.requeued" ;;
            *) exit 1 ;;
        esac""",
    # One after the other; ends with the highest status of all, as srun does.
    "srun": """
        while [ "${1#-}" != "$1" ]; do shift; done
        number=0 highest=0
        for node in $NODES; do
            SLURM_PROCID=$number "$@"
            status=$? number=$((number + 1))
            if [ $status -gt $highest ]; then highest=$status; fi
        done
        exit $highest""",
}

pytestmark = pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="needs bash")


def blocks(language):
    """The page's blocks of code in that language."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def containers():
    """(environment, script) of each container in the YAML, the one of the training first; read without a parser."""
    found = []
    for document in "---\n".join(blocks("yaml")).split("---\n"):
        for indent, script in re.findall(r"^( *)- \|\n((?:\1  .*\n)+)", document, re.MULTILINE):
            environment = re.findall(r'\{name: (\w+), value: "([^"]*)"\}', document)
            found.append((dict(environment), textwrap.dedent(script)))
            assert indent
    return found


def batch_scripts():
    """(options of sbatch, script) of both batch scripts, the one of the training first."""
    scripts = [script for script in blocks("bash") if "#SBATCH" in script]
    return [(dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", script, re.MULTILINE)), script) for script in scripts]


def bash(script, folder, flags="-c", **environment):
    """Runs `script` in `folder`; returns its status and its calls of the program: (TF_CONFIG, options)."""
    stand_ins, calls = folder / "stand-ins", folder / "calls"
    for path in (stand_ins, calls):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    for name, lines in STAND_INS.items():
        (stand_ins / name).write_text("#!/bin/sh\n" + lines + "\n")
        (stand_ins / name).chmod(0o755)
    environment |= {"PATH": f"{stand_ins}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
    environment |= {"CALLS": str(calls), "LC_ALL": "C"}
    inherited = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    command = ["bash", flags, script + "\nwait\n"]
    process = subprocess.run(
        command, cwd=folder, env=inherited | environment, capture_output=True, text=True, timeout=60
    )
    assert process.stderr == "", process.stderr
    found = []
    for path in calls.iterdir():
        config, program, *words = path.read_text().splitlines()
        assert program.endswith("wgan_handwritten_digits.py")
        found.append((config, read_options(words, RECIPES, "", "")))
    return SimpleNamespace(status=process.returncode, calls=found, requeued=calls.with_suffix(".requeued").exists())


def places(calls, monkeypatch):
    """The program's own reading of each TF_CONFIG, sorted; and the addresses, which have to be the same in all."""
    addresses, found = set(), []
    for config, _ in calls:
        monkeypatch.setenv("TF_CONFIG", config)
        found.append(workers_in_environment())
        addresses.add(tuple(json.loads(config)["cluster"]["worker"]))
    (only,) = addresses
    return sorted(found), only


def leave_checkpoint(folder):
    path = folder / "saved_models/training/checkpoints/step_000000010.npz"
    path.parent.mkdir(parents=True)
    path.touch()
    assert checkpoints.newest(path.parent) == path


def start_pod(number, index, folder, **more):
    """Runs the script of that container in the pod of that index."""
    environment, script = containers()[number]
    shutil.rmtree(folder / "wgan", ignore_errors=True)
    return bash(script, folder, "-euc", JOB_COMPLETION_INDEX=str(index), **environment, **more)


def start_job(folder, **more):
    """Runs the batch script of the training on three nodes, in an order that is not the alphabet's."""
    names = {"NODES": "node9 node10 node1", "SLURM_JOB_NODELIST": "node[9-10],node1"}
    return bash(batch_scripts()[0][1], folder, SLURM_JOB_ID="1234567", SLURM_CPUS_PER_TASK="8", **names, **more)


def test_bash_can_read_every_script():
    scripts = [*blocks("bash"), *(script for _, script in containers())]
    assert len(blocks("bash")) == 4 and len(containers()) == 2 and len(batch_scripts()) == 2
    for script in scripts:
        process = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert process.returncode == 0 and not process.stderr, process.stderr


def test_the_lines_for_one_machine(tmp_path, monkeypatch):
    shards, workers = (bash(script, tmp_path) for script in blocks("bash")[:2])
    assert sorted(options.shard for _, options in shards.calls) == [(part, 8) for part in range(1, 9)]
    assert places(workers.calls, monkeypatch)[0] == [(2, 0), (2, 1)]
    assert all(options.steps == ("train",) for _, options in workers.calls)


@pytest.mark.parametrize("resume", [False, True])
def test_pods_find_each_other_and_the_checkpoint(tmp_path, monkeypatch, resume):
    if resume:
        leave_checkpoint(tmp_path)
    count = int(containers()[0][0]["WORKERS"])
    pods = [start_pod(0, index, tmp_path) for index in range(count)]
    assert [pod.status for pod in pods] == [0] * count
    calls = [call for pod in pods for call in pod.calls]
    assert places(calls, monkeypatch)[0] == [(count, index) for index in range(count)]
    for _, options in calls:
        assert options.steps == ("train",) and options.resume is resume and options.batch_size % count == 0


@pytest.mark.parametrize("status", [1, 2, 143])
def test_a_pod_ends_with_the_status_of_the_program(tmp_path, status):
    assert start_pod(0, 0, tmp_path, STATUS=str(status)).status == status


def test_pods_draw_all_parts(tmp_path):
    count = int(containers()[1][0]["SHARDS"])
    found = [call[1].shard for index in range(count) for call in start_pod(1, index, tmp_path).calls]
    assert found == [(part, count) for part in range(1, count + 1)]


def test_kubernetes_has_nothing_to_put_in_the_place_of(tmp_path):
    """It replaces $(NAME) where NAME is in the environment, and $$ by $, before bash sees the script."""
    for environment, script in containers():
        names = "|".join([*environment, "JOB_COMPLETION_INDEX"])
        assert not re.search(rf"\$\(({names})\)", script) and "$$" not in script


def test_the_parts_of_the_yaml_agree(tmp_path, monkeypatch):
    yaml = pytest.importorskip("yaml")
    claim, service, training, drawing = itertools.chain(*map(yaml.safe_load_all, blocks("yaml")))
    assert [item["kind"] for item in (claim, service, training, drawing)] == [
        "PersistentVolumeClaim",
        "Service",
        "Job",
        "Job",
    ]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for job, number, (environment, script) in zip(
        (training, drawing), ("WORKERS", "SHARDS"), containers(), strict=True
    ):
        spec, template = job["spec"], job["spec"]["template"]
        (container,), (volume,) = template["spec"]["containers"], template["spec"]["volumes"]
        assert container["command"] == ["bash", "-euc"] and container["args"] == [script]
        assert {item["name"]: item["value"] for item in container["env"]} == environment
        assert spec["completionMode"] == "Indexed"
        assert spec["completions"] == spec["parallelism"] == int(environment[number])
        assert template["spec"]["restartPolicy"] == "Never"
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        (mount,) = container["volumeMounts"]
        assert mount == {"name": volume["name"], "mountPath": container["workingDir"]}

    labels = training["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["selector"].items() <= labels.items()
    assert "metadata" not in drawing["spec"]["template"]  # so that its pods are not the Service's
    assert training["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    names = [f"{training['metadata']['name']}-{index}.{service['metadata']['name']}" for index in range(4)]
    (port,) = (item["port"] for item in service["spec"]["ports"])
    _, addresses = places(start_pod(0, 0, tmp_path).calls, monkeypatch)
    assert list(addresses) == [f"{name}:{port}" for name in names]

    rules = training["spec"]["podFailurePolicy"]["rules"]
    by_status = {rule["onExitCodes"]["values"][0]: rule["action"] for rule in rules if "onExitCodes" in rule}
    assert by_status == {2: "FailJob", 143: "Ignore"}
    assert training["spec"]["backoffLimit"] % training["spec"]["completions"] == 0


@pytest.mark.parametrize("resume", [False, True])
def test_slurm_s_tasks_get_the_addresses_of_their_nodes(tmp_path, monkeypatch, resume):
    if resume:
        leave_checkpoint(tmp_path)
    job = start_job(tmp_path)
    assert job.status == 0 and not job.requeued
    found, addresses = places(job.calls, monkeypatch)
    assert found == [(3, 0), (3, 1), (3, 2)]
    names, ports = zip(*(address.split(":") for address in addresses), strict=True)
    assert names == ("node9", "node10", "node1") and len(set(ports)) == 1 and 1024 < int(ports[0]) < 32768
    sbatch, _ = batch_scripts()[0]
    assert sbatch["ntasks-per-node"] == "1"
    for _, options in job.calls:
        assert options.steps == ("train",) and options.resume is resume
        assert options.batch_size % (int(sbatch["nodes"]) * int(sbatch["gpus-per-node"])) == 0


@pytest.mark.parametrize(
    ("status", "restarts", "again"),
    [(1, "", True), (143, "3", True), (137, "19", True), (1, "20", False), (2, "", False)],
)
def test_slurm_starts_again_what_can_go_on(tmp_path, status, restarts, again):
    job = start_job(tmp_path, STATUS=str(status), **({"SLURM_RESTART_COUNT": restarts} if restarts else {}))
    assert job.status == status and job.requeued is again


def test_slurm_s_array_draws_all_parts(tmp_path):
    sbatch, script = batch_scripts()[1]
    first, last = map(int, sbatch["array"].split("-"))
    numbers = range(first, last + 1)
    found = [bash(script, tmp_path, SLURM_ARRAY_TASK_ID=str(number)).calls[0][1].shard for number in numbers]
    assert found == [(part, len(numbers)) for part in range(1, len(numbers) + 1)]
