"""Files and folders appear whole or not at all, whatever happens while they are written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from support.paths import ABSENT, kind, read_json
from support.results import files, image_folder


def fill(folder, count, content=b"new", about=None):
    image_folder.fill(folder, [[content] * count], count, about or {})
    image_folder.finish(folder)


def names(folder):
    return sorted(path.name for path in folder.glob("*.png"))


def test_write_whole_replaces_at_the_end(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with files.write_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".json"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_write_whole_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), files.write_whole(path) as temporary:
        temporary.write_text("ne")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_images_that_fail_half_way_leave_the_old_ones(tmp_path):
    fill(tmp_path, 5, b"old")

    def batches():
        yield [b"new"] * 3
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        image_folder.fill(tmp_path, batches(), 5, {})
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [b"old"] * 5
    assert not (tmp_path / files.WORKING).exists()


@pytest.mark.parametrize("moves", [0, 1, 3, 5])  # of six
def test_a_move_that_was_cut_off_is_finished_by_the_next_run(tmp_path, monkeypatch, moves):
    fill(tmp_path, 9, b"old")
    replace, left = os.replace, [moves]

    def replace_some(source, target):
        if "swapping" in str(source):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_some)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, 6)
    monkeypatch.undo()
    with pytest.raises(files.FolderError, match="the next run"):  # a reader is not given a mixture
        image_folder.check_whole(tmp_path)
    image_folder.check(tmp_path, 6)
    image_folder.finish(tmp_path)
    image_folder.check_whole(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [b"new"] * 6
    assert json.loads((tmp_path / "digits.json").read_text())["images"] == 6
    assert not (tmp_path / files.WORKING).exists()


def test_more_than_a_hundred_thousand_images_sort_by_number():
    assert image_folder.image_name(7, 25_000) == "digit_00007.png"
    assert image_folder.image_name(7, 100_001) == "digit_000007.png"
    fewer, more = [image_folder.image_name(number, 100_001) for number in (99_999, 100_000)]
    assert fewer < more


def test_images_that_do_not_fit_on_the_disk_are_refused(tmp_path):
    with pytest.raises(files.FolderError, match="MiB"):
        image_folder.check(tmp_path, 10**13)


def test_a_folder_is_held_by_one_process_until_it_ends(tmp_path):
    code = """
import sys
from support.results.files import own_folder
with own_folder(sys.argv[1]):
    print("held", flush=True)
    input()
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    holder = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(files.FolderError, match="another run"), files.own_folder(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with files.own_folder(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(files.FolderError, match="another folder") as error, files.own_folder(tmp_path / "file"):
        pass
    assert "\n" not in str(error.value)


def leave_temporary(path):
    """What write_whole leaves beside `path` when its process is killed: the path of that file."""
    code = (
        "import os, sys; from support.results.files import write_whole; w = write_whole(sys.argv[1]); t = w.__enter__()"
    )
    code += "; t.touch(); print(t, flush=True); os._exit(9)"
    process = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True)
    return Path(process.stdout.strip())


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "previous").mkdir()
    (tmp_path / "other_run").mkdir()  # with a process of its own, perhaps writing just now
    left = [leave_temporary(tmp_path / name) for name in ("a.keras", "training/run.json", "previous/a.keras")]
    others = [leave_temporary(tmp_path / "other_run/a.npz")]
    names = (".movie.2024.partial.mp4", ".run.123.partial.json", f".{'a' * 24}.partial.json", "run.1.partial.json")
    others += [tmp_path / name for name in names]
    for path in others:
        path.write_text("mine")
    folder = tmp_path / "training" / left[1].name.replace("json", "png")  # our name, but no file
    folder.mkdir()
    assert all(path.exists() for path in left)
    with files.own_folder(tmp_path):
        assert not any(path.exists() for path in left)
        assert all(path.exists() for path in others) and folder.exists()


def test_the_kinds_of_things(tmp_path):
    (tmp_path / "file").write_text("")
    found = [kind(tmp_path / name) for name in (".", "file", "none", "file/below")]
    assert found == ["folder", "file", ABSENT, ABSENT]
    assert "too long" in kind(tmp_path / ("a" * 300)) and "null" in kind("a\0b")


@pytest.mark.skipif(os.name == "nt", reason="links need a right, and there are no FIFOs")
def test_links_and_fifos_are_of_another_kind(tmp_path):
    (tmp_path / "file").write_text("{}")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("none")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "fifo")
    names = ("link", "dangling", "circle", "fifo")
    found = [kind(tmp_path / name, follow_links=False) for name in names]
    assert found == ["a symbolic link"] * 3 + ["a device, FIFO or socket"]
    assert [kind(tmp_path / name) for name in names[:2]] == ["file", ABSENT]
    assert not {kind(tmp_path / name) for name in names[2:]} & {"file", "folder", ABSENT}
    assert [read_json(tmp_path / name) for name in names] == [None] * 4


JSON = [
    "",
    "[1]",
    "null",
    "1",
    '"text"',
    "{",
    "{'a': 1}",
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"a": ' + "9" * 5000 + "}",
]


@pytest.mark.parametrize("text", [*JSON, '{"a": "' + "a" * (1 << 20) + '"}'], ids=range(len(JSON) + 1))
def test_what_is_no_small_json_file_of_a_dictionary_reads_as_nothing(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    assert read_json(path) is None
    path.write_bytes(b'{"a": "\xff"}')
    assert read_json(path) is None
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}
