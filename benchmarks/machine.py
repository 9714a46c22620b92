"""The machine of a measurement in words, and tables in Markdown."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# By their flags in Linux, the quickest first. On AMX, the program computes in bfloat16.
INSTRUCTIONS = {"amx_bf16": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}


def cpu():
    """The CPU's model name, and the instruction sets of INSTRUCTIONS that it has, a list; [] if Linux does not say."""
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.exists() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    model = facts.get("model name") or platform.processor() or platform.machine()
    return model, [name for flag, name in INSTRUCTIONS.items() if flag in facts.get("flags", "").split()]


def describe(*packages, gpu=False):
    """The CPU or GPU, and the versions that results depend on, also those of `packages` if they are installed."""
    from support import device  # here, because loops_speed.py also runs in older checkouts

    (model, instructions), cores = cpu(), device.usable_cores()
    about = [f"{model} with {', '.join(instructions) or 'unknown instructions'}", f"{cores} core{'s' * (cores > 1)}"]
    if limit := os.environ.get("ONEDNN_MAX_CPU_ISA"):
        about.append(f"oneDNN limited to {limit}")
    if gpu:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        about += subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    versions = device.package_versions()
    versions |= {package: version(package) for package in packages if find_spec(package)}
    return f"{', '.join(about)}; {', '.join(f'{name} {number}' for name, number in versions.items())}"


def peak_mib(usage=None):
    """The peak memory in what the module `resource` says about a process, by default this one; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    usage = usage or resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def table(head, rows):
    """A table in Markdown. head: words. rows: lists of cells, words or whole numbers."""
    words = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in words]
    return "\n".join([lines[0], f"{'|---' * len(head)}|", *lines[1:]])
