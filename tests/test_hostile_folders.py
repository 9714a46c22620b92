"""Folders that cannot be written to, and things of the user's in them: one line, or all of it is left as it was."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from hostile import Row, check, fifo, file, folder, link, several, snapshot

MODEL = shlex.quote(str(ROOT / "saved_models/pretrained/wgan/generator.keras"))
GENERATE = f"wgan generate --images 20 --model {MODEL}"
INTO = f"{GENERATE} --images-dir images"
WALK = f"wgan interpolate --walk 1,2 --frames 2 --model {MODEL} --models-dir"
WORKING = "images/.wgan_handwritten_digits"
NOT_OURS, NO_FOLDER = "was not written by this program", "choose another"


def rename(name, target):
    """A function that moves something and leaves a link."""

    def make(base):
        (base / name).rename(base / target)
        (base / name).symlink_to(base / target)

    return make


def manifest(**entries):
    return file("images/digits.json", json.dumps(entries))


def without_right(name, mode):
    def make(base):
        (base / name).mkdir()
        (base / name).chmod(mode)
        if os.geteuid() == 0:
            pytest.skip("root may read and write anywhere")

    return make


OURS = several(manifest(images=9), *(file(f"images/digit_0000{number}.png", "old") for number in range(9)))
SWAPPING = folder(f"{WORKING}/swapping")
LONG = "a" * 300
ROWS = [
    # --images-dir itself
    Row("a file", file("images"), INTO, 2, NO_FOLDER),
    Row("below a file", file("images"), f"{GENERATE} --images-dir images/below", 2, NO_FOLDER),
    Row("a dangling link", link("images", "none"), INTO, 2, NO_FOLDER),
    Row("below a dangling link", link("images", "none"), f"{GENERATE} --images-dir images/below", 2, NO_FOLDER),
    Row("a link in a circle", link("images", "images"), INTO, 2, NO_FOLDER),
    Row("a link to a folder", several(folder("real"), link("images", "real")), INTO, 0, "20 digits"),
    Row("a FIFO", fifo("images"), INTO, 2, NO_FOLDER),
    Row("a device", None, f"{GENERATE} --images-dir /dev/null", 2, NO_FOLDER),
    Row("/proc", None, f"{GENERATE} --images-dir /proc/none", 2, NO_FOLDER),
    Row("a long name", None, f"{GENERATE} --images-dir {LONG}", 2, NO_FOLDER),
    Row("a long name below", None, f"{GENERATE} --images-dir none/{LONG}/below", 2, NO_FOLDER),
    Row("a long path", None, f"{GENERATE} --images-dir {'/'.join(['a' * 200] * 25)}", 2, NO_FOLDER),
    Row("a line feed", file("two\nlines"), f"{GENERATE} --images-dir 'two\nlines'", 2, NO_FOLDER),
    Row("a line feed in a folder", None, f"{GENERATE} --images-dir 'two\nlines'", 0, "20 digits in two lines,"),
    Row("spaces", None, f"{GENERATE} --images-dir ' a folder '", 0, "20 digits"),
    Row("unicode", None, f"{GENERATE} --images-dir 'чисła/数字 🦆'", 0, "20 digits"),
    Row("unicode", file("数字"), f"{GENERATE} --images-dir 数字", 2, "数字: cannot be written to"),
    Row("dots", folder("a"), f"{GENERATE} --images-dir a/../b/./c", 0, "20 digits"),
    Row("not to be written to", without_right("images", 0o555), INTO, 2, NO_FOLDER),
    Row("not to be listed", without_right("images", 0o333), INTO, 2, NO_FOLDER),
    Row("no right at all", without_right("images", 0), INTO, 2, NO_FOLDER),
    Row("our working folder", None, f"{GENERATE} --images-dir {WORKING}/a", 2, NO_FOLDER),
    # The lock
    Row("the lock is a folder", folder("images/.lock"), INTO, 2, "not a regular file"),
    Row("the lock is a FIFO", fifo("images/.lock"), INTO, 2, "not a regular file"),
    Row("the lock is a dangling link", link("images/.lock", "../none"), INTO, 2, "not a regular file"),
    Row("a .lock of the user's", file("images/.lock"), INTO, 0, "20 digits"),
    # The working folder
    Row("it is a file", file(WORKING), INTO, 2, NOT_OURS),
    Row("it is a link", several(folder("other"), link(WORKING, "../other")), INTO, 2, NOT_OURS),
    Row("it is a dangling link", link(WORKING, "none"), INTO, 2, NOT_OURS),
    Row("it is a FIFO", fifo(WORKING), INTO, 2, NOT_OURS),
    Row("it holds a file", file(f"{WORKING}/notes.txt"), INTO, 2, NOT_OURS),
    Row("it holds a folder", file(f"{WORKING}/writing/notes.txt"), INTO, 2, NOT_OURS),
    Row("it holds a file named like ours", file(f"{WORKING}/swapping"), INTO, 2, NOT_OURS),
    Row("it holds a link", several(folder("b"), link(f"{WORKING}/swapping", "../../b")), INTO, 2, NOT_OURS),
    Row("a part of none", folder(f"{WORKING}/writing-1-of-0"), INTO, 2, NOT_OURS),
    Row("a part of many", folder(f"{WORKING}/complete-of-99999999999"), INTO, 2, NOT_OURS),
    Row("it is empty", folder(WORKING), f"{INTO} --shard 1/2", 0, "when all shards are done"),
    Row("for a shard too", file(f"{WORKING}/notes.txt"), f"{INTO} --shard 1/2", 2, NOT_OURS),
    # Names of earlier versions, and of the user's
    Row("a folder .partial", file("images/.partial/notes.txt"), INTO, 0, "20 digits"),
    Row("a folder .complete", file("images/.complete/digit_00001.png"), INTO, 0, "20 digits"),
    Row("a link .partial", several(file("b/c"), link("images/.partial", "../b")), INTO, 0, "20 digits"),
    Row("a link .complete", several(file("b/c"), link("images/.complete", "../b")), INTO, 0, "20 digits"),
    Row("a temporary name", file("images/.movie.2024.partial.mp4"), INTO, 0, "20 digits"),
    Row("a manifest's name", file("images/.digits-1-of-2.json"), INTO, 0, "20 digits"),
    Row("a digit beyond ours", file("images/digit_00020.png"), INTO, 0, "20 digits"),
    Row("a longer name", file("images/digit_000003.png"), INTO, 0, "20 digits"),
    Row("digits of another kind", file("images/digit_0000٣.png"), INTO, 0, "20 digits"),
    # Digits
    Row("a digit", file("images/digit_00003.png"), INTO, 2, "digit_00003.png: " + NOT_OURS),
    Row("a digit in capitals", file("images/DIGIT_00003.PNG"), INTO, 2, NOT_OURS),
    Row("a folder for a digit", folder("images/digit_00003.png"), INTO, 2, NOT_OURS),
    Row("a FIFO for a digit", fifo("images/digit_00003.png"), INTO, 2, NOT_OURS),
    Row("a dangling link for a digit", link("images/digit_00003.png", "none"), INTO, 2, NOT_OURS),
    Row("a digit beside ours", several(OURS, file("images/digit_00009.png")), INTO, 2, "digit_00009.png"),
    Row("a folder for one of ours", several(manifest(images=9), folder("images/digit_00003.png")), INTO, 2, NOT_OURS),
    Row("a link for one of ours", several(manifest(images=9), link("images/digit_00003.png", "x")), INTO, 2, NOT_OURS),
    Row(
        "a link for one that goes",
        several(manifest(images=99), file("x"), link("images/digit_00090.png", "../x")),
        *(INTO, 2, "digit_00090.png"),
    ),
    Row("ours", OURS, INTO, 0, "20 digits"),
    # The manifest
    *(
        Row(f"a manifest {text[:30]}", several(OURS, file("images/digits.json", text)), INTO, 2, NOT_OURS)
        for text in [
            *("", "{", "null", "[9]", "{}", "[" * 99_999, '{"a":' * 99_999),
            *(f'{{"images": {value}}}' for value in ("Infinity", "NaN", "1e400", "9.0", '"9"', "[9]", "{}")),
            *(f'{{"images": {value}}}' for value in ("null", "true", "0", "-1")),
            '{"images": 9, "a": ' + "9" * 5000 + "}",
            '{"images": 9, "a": "' + "9" * (1 << 20) + '"}',
        ]
    ),
    Row("a manifest of 10**30", manifest(images=10**30), INTO, 0, "20 digits"),
    *(
        Row(f"a manifest of shard {shard}", several(OURS, manifest(images=9, shard=shard)), INTO, 0, "20 digits")
        for shard in ("text", 0, [1, 2, 3], [0.5, 1e400], {"a": 1}, [1, 0])  # no longer read
    ),
    Row("a folder for a manifest", folder("images/digits.json"), INTO, 2, "digits.json: " + NOT_OURS),
    Row("a FIFO for a manifest", fifo("images/digits.json"), INTO, 2, NOT_OURS),
    Row("a link for a manifest", several(OURS, rename("images/digits.json", "a")), INTO, 2, NOT_OURS),
    Row("a dangling link for a manifest", link("images/digits.json", "none"), INTO, 2, NOT_OURS),
    # A swap that was cut off
    Row("half a swap", SWAPPING, "evaluate images", 2, "finishes that"),
    Row("half a swap", several(OURS, SWAPPING), "wgan train --data images", 2, "digits: images: a run is replacing"),
    Row("half a swap", several(OURS, SWAPPING), INTO, 0, "20 digits"),
    # --models-dir
    Row("a file", file("models"), f"{WALK} models", 2, NO_FOLDER),
    Row("below a file", file("models"), f"{WALK} models/below/it", 2, NO_FOLDER),
    Row("a dangling link", link("models", "none"), f"{WALK} models", 2, NO_FOLDER),
    Row("a FIFO", fifo("models"), f"{WALK} models", 2, NO_FOLDER),
    Row("a long name", None, f"{WALK} {LONG}", 2, NO_FOLDER),
    Row("inside our working folder", folder("images"), f"{WALK} {WORKING}/swapping", 2, NO_FOLDER),
    Row("inside, by a link", several(folder(WORKING), link("a", WORKING)), f"{WALK} a/b", 2, NO_FOLDER),
    Row("the lock is a FIFO", fifo("models/.lock"), f"{WALK} models", 2, "not a regular file"),
    Row("a temporary name", file("models/training/.run.123.partial.json"), f"{WALK} models", 0, "a walk"),
    Row("no right to write", without_right("models", 0o555), f"{WALK} models", 2, NO_FOLDER),
    Row("spaces, a line feed, unicode", None, f"{WALK} 'a b/two\nlines/数字'", 0, "interpolation.gif"),
]  # fmt: skip


REPLACED = re.compile(rb"images/(digit_0000\d\.png|digits\.json|\.wgan_handwritten_digits.*)")


@pytest.mark.skipif(os.name == "nt", reason="links need a right, and there are no FIFOs")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.what}: {row.command[-30:]}"[:60].encode("unicode_escape"))
def test_it_ends_in_one_line_or_leaves_what_is_the_users(row, tmp_path, monkeypatch, capfd):
    try:
        if row.make:
            row.make(tmp_path)
        before = snapshot(tmp_path)
        check(row._replace(make=None), tmp_path, monkeypatch, capfd)
        after = snapshot(tmp_path)
        for path, was in before.items():
            assert after.get(path) == was or REPLACED.fullmatch(path), path
        if row.status == 0 and "--shard" not in row.command:
            assert not list(tmp_path.rglob(".wgan_handwritten_digits")), "left over"
    finally:
        for path in tmp_path.iterdir():
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


@pytest.mark.skipif(not shutil.which("setpriv") or os.geteuid(), reason="the rows above are not skipped")
@pytest.mark.parametrize("mode", [0o555, 0o333, 0])
def test_a_folder_without_a_right_is_refused_to_root_without_its_powers(mode, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    images.chmod(mode)
    code = "import sys; from support.results import image_folder; image_folder.check(sys.argv[1], 20)"
    command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", sys.executable, "-c", code, str(images)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    images.chmod(0o755)
    assert "FolderError" in process.stderr.splitlines()[-1] and not list(images.iterdir())
