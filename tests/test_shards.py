"""Images drawn by several processes, each a part of them: together what one process draws."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT, run_script

from support.results import files, image_folder


def everything(folder):
    """All files of a folder but the lock, hidden ones too, as checksums by their names."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def shards(model, folder, parts, images):
    """Draws all parts at the same time; returns the finished processes."""
    with ThreadPoolExecutor(parts) as pool:
        options = ("--model", model, "--images", images, "--images-dir", "images", "--seed", 5)
        return list(
            pool.map(
                lambda part: run_script("generate", *options, "--shard", f"{part}/{parts}", cwd=folder),
                range(1, parts + 1),
            )
        )


def test_shards_together_write_exactly_what_one_process_writes(finished, tmp_path):
    model = finished.models / "generator.keras"
    whole = tmp_path / "whole"
    whole.mkdir()
    process = run_script("generate", "--model", model, "--images", 1203, "--seed", 5, cwd=whole)
    assert process.returncode == 0, process.stderr
    for process in shards(model, tmp_path, 3, 1203):
        assert process.returncode == 0 and process.stderr.startswith("401 digits in "), process.stderr
    assert everything(tmp_path / "images") == everything(whole / "generated_images")
    # Shards of another generator, under the same name, are not taken for the rest of these.
    manifest = json.loads((tmp_path / "images/.digits.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def fill(folder, total, shard=None, content=b"new"):
    """What `generate` does, with images of that content."""
    with files.own_folder(folder, shard):
        image_folder.check(folder, total, shard)
        count = len(files.part_of(total, shard))
        image_folder.fill(folder, [[content] * count], total, {"seed": content.decode()}, shard)
        image_folder.finish(folder)


def images(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.mark.parametrize("before", [(50, None), (30, None), (100_002, (1, 2500))])  # the last has longer names
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_take_the_place_of_all_images_of_an_earlier_run(tmp_path, before, order):
    fill(tmp_path, *before, content=b"old")
    after = 40
    for part in order:
        assert b"old" in images(tmp_path).values()
        fill(tmp_path, after, (part, 3))
    assert images(tmp_path) == {image_folder.image_name(number, after): b"new" for number in range(after)}
    assert json.loads((tmp_path / ".digits.json").read_text(encoding="utf-8")) == {"images": after, "seed": "new"}
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".digits.json", ".lock"]


@pytest.mark.parametrize(("before", "after"), [(100, 10), (12, 20), (20, 20)])
@pytest.mark.parametrize("left", [1, 2, 3])
@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3), (3, 2, 1)])
def test_shards_take_the_place_of_what_fewer_of_as_many_shards_left(tmp_path, before, after, left, order):
    fill(tmp_path, before, (left, 3), b"old")
    for part in order:
        fill(tmp_path, after, (part, 3))
    assert images(tmp_path) == {image_folder.image_name(number, after): b"new" for number in range(after)}
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".digits.json", ".lock"]


def test_one_run_takes_the_place_of_shards_that_never_became_complete(tmp_path):
    for part in (1, 3):
        fill(tmp_path, 30, (part, 4), b"old")
    fill(tmp_path, 10)
    assert images(tmp_path) == {image_folder.image_name(number, 10): b"new" for number in range(10)}
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".digits.json", ".lock"]


def test_shards_of_different_seeds_do_not_pass_for_one_set(tmp_path):
    fill(tmp_path, 10, (1, 2), b"one")
    fill(tmp_path, 10, (2, 2), b"two")
    assert not (tmp_path / ".digits.json").exists()
    assert len(list(tmp_path.glob(".digits-*-of-2.json"))) == 2


def test_a_shard_leaves_files_of_the_user_and_refuses_to_replace_one(tmp_path):
    mine = [tmp_path / name for name in (".complete-mine", ".partial_2", ".digits-of-mine.json", "digit_00007.png")]
    for path in mine:
        path.write_text("mine")
    fill(tmp_path, 10, (1, 2))
    with pytest.raises(files.FolderError, match="digit_00007"):
        fill(tmp_path, 10, (2, 2))
    assert all(path.read_text() == "mine" for path in mine)


def test_a_shard_that_was_killed_in_its_move_is_finished_by_any_other(tmp_path, monkeypatch):
    fill(tmp_path, 10, content=b"old")
    replace, left = os.replace, [3]

    def replace_some(source, target):
        if ".complete" in os.path.dirname(source):
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_some)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, 10, (1, 2))
    monkeypatch.undo()
    fill(tmp_path, 10, (2, 2))
    assert images(tmp_path) == {image_folder.image_name(number, 10): b"new" for number in range(10)}
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".digits.json", ".lock"]


HOLD = """
import sys
from support.results.files import own_folder
with own_folder(sys.argv[1], eval(sys.argv[2])):
    print("held", flush=True)
    input()
"""


@pytest.mark.parametrize(
    ("holding", "asking", "free"),
    [
        *(((1, 2), (2, 2), True), ((2, 4), (3, 4), True), ((1, 2), (1, 2), False), ((1, 2), None, False)),
        *((None, (2, 2), False), ((1, 2), (1, 4), False)),
    ],
)
def test_shards_share_a_folder_with_each_other_alone(tmp_path, holding, asking, free):
    command = [sys.executable, "-c", HOLD, str(tmp_path), repr(holding)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        if free:
            with files.own_folder(tmp_path, asking):
                pass
        else:
            with pytest.raises(files.FolderError, match="another run"), files.own_folder(tmp_path, asking):
                pass
        holder.communicate("\n")


def test_the_parts_of_any_number_of_images_are_all_of_them_once():
    for total, parts in itertools.product((1, 7, 500, 25_000), (1, 2, 3, 64)):
        found = [number for part in range(parts) for number in files.part_of(total, (part + 1, parts))]
        assert found == list(range(total))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/", "a/b", "-1/2", "1/2/3"])
def test_a_shard_that_is_none_is_refused(tmp_path, text):
    process = run_script("generate", f"--shard={text}", cwd=tmp_path)
    assert process.returncode == 2 and process.stderr.count("\n") == 1 and text in process.stderr


def test_a_shard_is_for_drawing_alone(tmp_path):
    process = run_script("--shard", "1/2", cwd=tmp_path)
    assert process.returncode == 2 and process.stderr.count("\n") == 1 and "generate" in process.stderr
