"""What a measurement was made on."""

import os
import platform
from pathlib import Path

from support import devices


def machine():
    """The machine and the versions in words."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    versions = ", ".join(f"{name} {number}" for name, number in devices.package_versions().items())
    return f"{model}, {devices.usable_cores()} cores; {versions}"
