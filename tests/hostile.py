"""Runs a command on a hostile input in this process and checks how it ends. Each input is a row of a table.

Makers prepare the input: file, folder, link, fifo and several return functions that put something into a folder.
"""

import contextlib
import hashlib
import os
import shlex
import signal
import stat
from pathlib import Path
from typing import NamedTuple

import evaluate_digits
import wgan_handwritten_digits as wgan

PROGRAMS = {"wgan": wgan.main, "evaluate": evaluate_digits.main}
SECONDS = 120  # a command that hangs fails its test


class Row(NamedTuple):
    """One hostile input. make(folder) prepares the folder in which the command runs; None does nothing."""

    what: str
    make: object
    command: str  # "wgan ..." or "evaluate ...", split as a shell splits words
    status: int
    words: str  # the error line contains them; with status 0, any line


def file(name, content="mine"):
    """Makes a file, and the folders above it. content: text or bytes."""

    def make(base):
        path = _below(base, name)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def folder(name):
    return lambda base: _below(base, name).mkdir()


def link(name, target):
    return lambda base: _below(base, name).symlink_to(target)


def fifo(name):
    return lambda base: os.mkfifo(_below(base, name))


def several(*makers):
    return lambda base: [make(base) for make in makers]


def _below(base, name):
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def snapshot(folder):
    """The kind and content of everything below `folder`, by path. Does not follow links or open FIFOs.

    Leaves out the empty file `.lock`, which each run creates in its folder.
    """
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and path.name == ".lock":
            continue
        content = os.readlink(path) if stat.S_ISLNK(mode) else None
        if stat.S_ISREG(mode) and os.access(path, os.R_OK):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[os.fsencode(path.relative_to(folder))] = stat.S_IFMT(mode), content
    return found


@contextlib.contextmanager
def _time_limit():
    def expire(*_):
        raise AssertionError(f"no answer after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, expire) if hasattr(signal, "SIGALRM") else None
    if before is not None:
        signal.alarm(SECONDS)
    try:
        yield
    finally:
        if before is not None:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def check(row, folder, monkeypatch, capfd):
    """Runs the row's command; checks the status and the words in its line, and that status 2 changes no file."""
    monkeypatch.chdir(folder)
    if row.make:
        row.make(folder)
    before = snapshot(folder)
    program, *arguments = shlex.split(row.command)
    capfd.readouterr()
    try:
        with _time_limit():
            status = PROGRAMS[program](["--device", "cpu", *arguments])
    except SystemExit as end:
        status = end.code
    printed = capfd.readouterr().err
    lines = [line for line in printed.replace("\r", "\n").splitlines() if line.strip()]
    assert status == row.status, printed
    assert "Traceback" not in printed
    assert row.words in (lines[-1] if status else printed), printed
    if status == 2:
        assert len([line for line in lines if not line.startswith("evaluating ")]) == 1, printed
        assert snapshot(folder) == before, "a run that is refused changes nothing"
