"""Describes the machine of a measurement, and times iterations."""

import contextlib
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from support.machine import devices


def machine(*more):
    """The machine and the versions in words, including those of `more` packages if they are installed."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    versions = devices.package_versions()
    for package in more:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    versions = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"{model}, {devices.usable_cores()} cores; {versions}"


def iteration_seconds(training, iterate, iterations):
    """Mean seconds per iteration; waits for the device before it reads the clock."""
    start = time.perf_counter()
    for _ in range(iterations):
        iterate()
    training.sums.numpy()
    return (time.perf_counter() - start) / iterations
