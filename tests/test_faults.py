"""Nothing is lost: runs that are killed, disks that fill up, folders that cannot be written."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from faults import leftovers, read_whole, watch_files
from kill_at_random import only_images, try_kills, without_older_checkpoints
from PIL import Image

import wgan_handwritten_digits as wgan
from support.results import checkpoints, files, image_folder, pictures
from support.results.models import save_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL, limits and mounts are of another kind on Windows")

# A file system of its own, invisible to all other processes, gone with this one. A line on its input makes it readable
# only. The others reach it through /proc, which needs no rights beyond those of the user who started it.
SMALL_DISK = """
mount -t tmpfs -o size=128m none "$1" && echo made && read _ &&
mount -o remount,bind,ro "$1" && echo done && read _
"""


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path_factory, monkeypatch):
    """Keras leaves an empty folder in the temporary one each time that it cannot save a model."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))


def opens_below(folder):
    """Whether pictures below /proc/... can be written and read; old versions of Pillow resolve it to nothing."""
    try:
        Image.new("L", (1, 1)).save(folder / "probe.png")
        Image.open(folder / "probe.png").close()
        (folder / "probe.png").unlink()
    except OSError:
        return False
    return True


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 128 MiB: its path, and a function that makes it readable only. None where users may not make one."""
    command = ["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh", str(tmp_path)]
    with contextlib.ExitStack() as held:
        path = None
        with contextlib.suppress(FileNotFoundError):  # no such command
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            holder = held.enter_context(subprocess.Popen(command, text=True, **pipes))
            path = Path(f"/proc/{holder.pid}/root{tmp_path}") if holder.stdout.readline() == "made\n" else None

        def protect():
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "done\n"

        yield SimpleNamespace(path=path, protect=protect) if path and opens_below(path) else None


@pytest.fixture
def limit():
    """A function: from now on no file may grow beyond so many bytes, the means that is there on any disk; None: any."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def set_limit(size=None):
        resource.setrlimit(resource.RLIMIT_FSIZE, before if size is None else (size, before[1]))

    yield set_limit
    set_limit()


@pytest.fixture
def full(small_disk, limit, tmp_path):
    """A folder, and a function that leaves room for so many bytes on its disk, or without a number for all again."""
    if not small_disk:
        return SimpleNamespace(folder=tmp_path, leave=limit)
    ballast = small_disk.path / "ballast"

    def leave(room=None):
        ballast.unlink(missing_ok=True)
        if room is not None:
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(ballast.parent).free - room)

    folder = small_disk.path / "run"
    folder.mkdir()
    return SimpleNamespace(folder=folder, leave=leave)


def run(folder, capsys, *options, last=()):
    """Runs the program in this process; its exit status and the lines that it printed besides those of progress."""
    folders = ("--models-dir", folder / "models", "--images-dir", folder / "images")
    capsys.readouterr()
    status = wgan.main(["--device", "cpu", *map(str, (*options, *folders, *last))])
    lines = capsys.readouterr().err.splitlines()
    usual = ("epoch ", "700 digits", "20 digits", "wgan trains", "wgan resumes", "next: ")
    return status, [line for line in lines if not line.startswith(usual) and "are kept in" not in line]


@contextlib.contextmanager
def filled_up_before(operation, number, room, full):
    """Fills the disk but for `room` bytes before the n-th such operation (see watch_files) of the block."""
    left = [number]

    def before(happens):
        if happens == operation:
            left[0] -= 1
            if not left[0]:
                watch_files(full.folder, None)
                full.leave(room)

    watch_files(full.folder, before)
    try:
        yield left
    finally:
        watch_files(full.folder, None)
        full.leave()


# What is being written when the disk is full, and how many bytes there is room for. Each run goes on from what the one
# before has left: those at the top start anew, as there is no checkpoint of theirs.
ANEW = [
    ("history.csv", "create training/.csv", 1, 0),
    ("the first epoch's picture", "create samples/.png", 1, 4096),
    ("the first checkpoint", "create checkpoints/.npz", 1, 1 << 20),
    ("the third checkpoint", "create checkpoints/.npz", 3, 1 << 20),
]
RESUMED = [
    ("the generator", "create models/.keras", 1, 4096),
    ("the critic", "create models/.keras", 2, 1 << 20),
    ("run.json", "create training/.json", 1, 0),
    ("the animation", "create training/.gif", 1, 1 << 16),
    ("the curves", "create training/.png", 1, 1 << 14),
    ("the images", "create writing-1-of-1/.png", 100, 0),
]


def checkpoints_of(files):
    return {name: content for name, content in files.items() if name.endswith(".npz")}


def test_a_disk_that_fills_up_costs_nothing_that_was_there(full, finished, tiny, capsys):
    assert run(full.folder, capsys, *tiny, "--epochs", 2, "--seed", 6, "--images", 20) == (0, [])
    earlier = before = read_whole(full.folder)
    for fault in ANEW + RESUMED:
        what, operation, number, room = fault
        with filled_up_before(operation, number, room, full) as left:
            resume = ["--resume"] if fault in RESUMED else []
            status, lines = run(full.folder, capsys, *tiny, "--images", 700, *resume)
        assert left[0] == 0, f"{what}: never written"
        assert status == 1, (what, status, lines)
        news = [line for line in lines if "starting a new run" not in line and "are done already" not in line]
        assert news == lines[-1:], (what, lines)
        assert lines[-1].startswith("wgan_handwritten_digits: [Errno "), (what, lines)
        assert str(full.folder) in lines[-1] and "--resume" in lines[-1], (what, lines)
        after = read_whole(full.folder)
        assert not leftovers(full.folder), what
        assert only_images(after) == only_images(earlier), what
        assert before.keys() - checkpoints_of(before).keys() <= after.keys(), what
        if what == "the first checkpoint":
            assert checkpoints_of(after) == checkpoints_of(earlier)
        before = after
    status, lines = run(full.folder, capsys, *tiny, "--images", 700, "--resume")
    assert (status, len(lines)) == (0, 1) and "are done already" in lines[0]
    assert not leftovers(full.folder)
    whole = {
        name.replace("saved_models", "models").replace("generated_images", "images"): content
        for name, content in read_whole(finished.folder).items()
    }
    assert without_older_checkpoints(read_whole(full.folder)) == without_older_checkpoints(whole)


SAVERS = {
    "text": lambda path, seed: files.write_text(path, f"{seed}\n" * 9999),
    "model": lambda path, seed: save_model(wgan.build_generator(8, seed=seed), path.with_suffix(".keras")),
    "grid": lambda path, seed: pictures.save_grid(path.with_suffix(".png"), noise(seed, 100)),
    "curves": lambda path, seed: pictures.save_curves(
        path.with_suffix(".png"), [{"epoch": 1, "frechet_distance": 1 + seed}], real={}
    ),
    "checkpoint": lambda path, seed: checkpoints.save(path.parent, 1, [noise(seed, 900)], {}, []),
}


def noise(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


@pytest.mark.parametrize("name", SAVERS)
def test_wherever_the_disk_is_full_a_saver_raises_an_oserror_and_leaves_the_old_file(name, tmp_path, limit):
    for folder, seed in (("old", 1), ("new", 2)):
        (tmp_path / folder).mkdir()
        SAVERS[name](tmp_path / folder / "it.csv", seed)
    [path], [new] = (tmp_path / "old").iterdir(), (tmp_path / "new").iterdir()
    before, size = path.read_bytes(), new.stat().st_size
    for room in (0, 1, size // 2, size - 300, size - 1):
        limit(room)
        with pytest.raises(OSError):
            SAVERS[name](path.with_name("it.csv"), 2)
        limit()
        assert [(path, before)] == [(path, path.read_bytes()) for path in path.parent.iterdir()], (room, size)


def test_a_disk_without_room_for_the_images_and_one_that_cannot_be_written_are_refused(
    small_disk, full, tiny, tmp_path, capsys
):
    if not small_disk:
        pytest.skip("users may not make a disk here")
    assert run(full.folder, capsys, *tiny, "--epochs", 2, "--images", 20) == (0, [])
    before = read_whole(full.folder)
    full.leave(1 << 20)
    status, [line] = run(full.folder, capsys, *tiny, "--images", 700)
    assert status == 2 and "images" in line and "MiB" in line
    full.leave()
    small_disk.protect()
    for option in ("--models-dir", "--images-dir"):
        status, [line] = run(full.folder, capsys, *tiny, "--images", 700, last=(option, tmp_path / "elsewhere"))
        assert status == 2 and "cannot be written to" in line and str(full.folder) in line
    assert read_whole(full.folder) == before


@pytest.mark.parametrize("option", ["--models-dir", "--images-dir"])
def test_a_folder_below_a_file_is_refused_and_nothing_is_written(option, tiny, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    status, [line] = run(tmp_path, capsys, *tiny, last=(option, tmp_path / "file/folder"))
    assert status == 2 and "file/folder" in line
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"] == [tmp_path / "file"]


def test_a_folder_without_the_right_to_write_is_refused_though_it_holds_a_lock(tmp_path):
    with files.own_folder(tmp_path):
        pass
    code = "import sys; from support.results import files; files.own_folder(sys.argv[1]).__enter__()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    if os.geteuid() == 0:  # who may write anywhere, but for this
        if not shutil.which("setpriv"):
            pytest.skip("root may write anywhere")
        command = ["setpriv", "--bounding-set", "-dac_override", *command]
    tmp_path.chmod(0o555)
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    tmp_path.chmod(0o755)
    assert "FolderError" in process.stderr, "it was taken as one that can be written to"
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_images_that_a_killed_run_left_unfinished_do_not_count_as_space_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder.shutil, "disk_usage", lambda folder: SimpleNamespace(free=4096))
    unfinished = tmp_path / files.WORKING / "writing-2-of-3"
    unfinished.mkdir(parents=True)
    for number in range(29):
        (unfinished / f"{number}.png").write_text("")
    image_folder.check(tmp_path, 30)
    with pytest.raises(files.FolderError, match="MiB"):
        image_folder.check(tmp_path, 31)
    with pytest.raises(files.FolderError, match="MiB"):  # another shard, perhaps still running
        image_folder.check(tmp_path, 30, (1, 3))
    assert len(list(unfinished.iterdir())) == 29


def test_a_killed_run_leaves_whole_files_and_the_next_one_makes_up_for_it(finished, tmp_path):
    rows = try_kills(4, seed=0, work=tmp_path, earlier=finished.folder)
    assert len(rows) == 4
    assert not [row for row in rows if row["problem"]]
