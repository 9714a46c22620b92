"""Files and folders appear whole or not at all, whatever happens while they are written."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

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
    assert not (tmp_path / ".partial").exists()


@pytest.mark.parametrize("moves", [0, 1, 3, 6])
def test_a_move_that_was_cut_off_is_finished_by_the_next_run(tmp_path, monkeypatch, moves):
    fill(tmp_path, 9, b"old")
    replace, left = os.replace, [moves]

    def replace_some(source, target):
        if os.path.basename(os.path.dirname(source)) == ".complete":
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_some)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, 6)
    monkeypatch.undo()
    image_folder.check(tmp_path, 6)
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [b"new"] * 6
    assert json.loads((tmp_path / ".digits.json").read_text())["images"] == 6
    assert not (tmp_path / ".complete").exists()


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


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "training").mkdir()
    left = tmp_path / "training" / ".run.123.partial.json"
    (tmp_path / "other_run").mkdir()  # with a process of its own, perhaps writing just now
    others = [tmp_path / name for name in (".mine.partial.json", "run.123.partial.json", "other_run/.a.1.partial.npz")]
    for path in (left, *others):
        path.write_text("")
    with files.own_folder(tmp_path):
        assert not left.exists()
        assert all(path.exists() for path in others)
