"""Images drawn by several processes, each a part of them: together what one process draws."""

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
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
    processes = shards(model, tmp_path, 3, 1203)
    for process in processes:
        assert process.returncode == 0 and process.stderr.startswith("401 digits in "), process.stderr
    assert sum("when all shards are done" in process.stderr for process in processes) == 2
    assert everything(tmp_path / "images") == everything(whole / "generated_images")
    # Shards of another generator, under the same name, are not taken for the rest of these.
    manifest = json.loads((tmp_path / "images/digits.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def fill(folder, total, shard=None, content=b"new"):
    """What `generate` does, with images of that content."""
    image_folder.check(folder, total, shard)
    with files.own_folder(folder, shard):
        image_folder.finish(folder)
        count = len(files.part_of(total, shard))
        image_folder.fill(folder, [[content] * count], total, {"seed": content.decode()}, shard)
        image_folder.finish(folder)


def images(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def whole(count, content=b"new"):
    return {image_folder.image_name(number, count): content for number in range(count)}


def assert_nothing_but_images(folder):
    assert sorted(path.name for path in folder.glob(".*")) == [".lock"]


@pytest.mark.parametrize("before", [(50, None), (30, None), (100_002, (1, 2500))])  # the last never became a set
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_the_last_shard_puts_all_images_in_the_place_of_an_earlier_run(tmp_path, before, order):
    fill(tmp_path, *before, content=b"old")
    earlier, after = images(tmp_path), 40
    for part in order:
        assert images(tmp_path) == earlier
        fill(tmp_path, after, (part, 3))
    assert images(tmp_path) == whole(after)
    assert json.loads((tmp_path / "digits.json").read_text(encoding="utf-8")) == {"images": after, "seed": "new"}
    assert_nothing_but_images(tmp_path)


@pytest.mark.parametrize(("before", "after"), [(100, 10), (12, 20), (20, 20)])
@pytest.mark.parametrize("left", [1, 2, 3])
@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3), (3, 2, 1)])
def test_shards_take_the_place_of_what_fewer_of_as_many_shards_left(tmp_path, before, after, left, order):
    fill(tmp_path, before, (left, 3), b"old")
    for part in order:
        assert not images(tmp_path)
        fill(tmp_path, after, (part, 3))
    assert images(tmp_path) == whole(after)
    assert_nothing_but_images(tmp_path)


def test_one_run_takes_the_place_of_shards_that_never_became_complete(tmp_path):
    for part in (1, 3):
        fill(tmp_path, 30, (part, 4), b"old")
    fill(tmp_path, 10)
    assert images(tmp_path) == whole(10)
    assert_nothing_but_images(tmp_path)


@pytest.mark.parametrize("other", [(10, (2, 2), b"two"), (12, (2, 2), b"one"), (10, (2, 3), b"one")])
def test_shards_of_another_seed_total_or_number_of_parts_do_not_pass_for_one_set(tmp_path, other):
    fill(tmp_path, 10, (1, 2), b"one")
    fill(tmp_path, *other)
    assert not images(tmp_path) and not (tmp_path / "digits.json").exists()
    fill(tmp_path, 10, (1, 2), b"one")
    assert not images(tmp_path)
    fill(tmp_path, 10, (2, 2), b"one")
    assert images(tmp_path) == whole(10, b"one")
    assert_nothing_but_images(tmp_path)


def test_a_shard_may_be_repeated_before_and_after_its_set_is_complete(tmp_path):
    fill(tmp_path, 10, (1, 2), b"one")
    fill(tmp_path, 10, (1, 2), b"two")
    fill(tmp_path, 10, (2, 2), b"two")
    assert images(tmp_path) == whole(10, b"two")
    (tmp_path / "digit_00000.png").unlink()
    fill(tmp_path, 10, (1, 2), b"two")
    assert images(tmp_path) == whole(10, b"two")
    assert_nothing_but_images(tmp_path)


def test_parts_that_were_drawn_into_folders_of_their_own_are_put_together_by_repeating_one(tmp_path):
    for part in (1, 2, 3):
        fill(tmp_path / str(part), 30, (part, 3))
        shutil.copytree(tmp_path / str(part), tmp_path / "together", dirs_exist_ok=True)
    fill(tmp_path / "together", 30, (1, 3))
    assert images(tmp_path / "together") == whole(30)
    assert_nothing_but_images(tmp_path / "together")


def test_a_shard_leaves_files_of_the_user_and_refuses_to_replace_one(tmp_path):
    mine = [tmp_path / name for name in (".complete-mine", ".partial_2", ".digits-of-mine.json", "digit_00007.png")]
    for path in mine:
        path.write_text("mine")
    for part in (1, 2):  # both: their images appear together
        with pytest.raises(files.FolderError, match="digit_00007"):
            fill(tmp_path, 10, (part, 2))
    assert sorted(tmp_path.iterdir()) == sorted(mine)
    mine.pop().unlink()
    for part in (1, 2):
        fill(tmp_path, 10, (part, 2))
    assert images(tmp_path) == whole(10)
    assert all(path.read_text() == "mine" for path in mine)


def test_a_file_of_the_user_that_comes_between_two_shards_stays(tmp_path):
    fill(tmp_path, 10, (1, 2))
    with files.own_folder(tmp_path, (2, 2)):
        image_folder.fill(tmp_path, [[b"new"] * 5], 10, {"seed": "new"}, (2, 2))
        (tmp_path / "digit_00007.png").write_text("mine")
        with pytest.raises(FileExistsError, match="not written by this program"):
            image_folder.finish(tmp_path)
    assert images(tmp_path) == {"digit_00007.png": b"mine"}
    image_folder.check_whole(tmp_path)
    (tmp_path / "digit_00007.png").unlink()
    with files.own_folder(tmp_path, (2, 2)):
        assert image_folder.finish(tmp_path)
    assert images(tmp_path) == whole(10)


# Each operation on files of a run, one after the other, is the last one of a process that is killed before it.
KILLED = """
import itertools, os, shutil, sys
import faults
from support.results import files
from support.results import image_folder
folder, left = sys.argv[1], int(sys.argv[2])
def before(operation):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
image_folder.check(folder, 6, (2, 2))
shutil._use_fd_functions = False  # else what rmtree removes is not seen
faults.watch_files(folder, before)
with files.own_folder(folder, (2, 2)):
    image_folder.finish(folder)
    image_folder.fill(folder, [[b"new"] * 3], 6, {"seed": "new"}, (2, 2))
    image_folder.finish(folder)
"""


@pytest.mark.parametrize(
    "again", [(6, (2, 2), b"new"), (6, (1, 2), b"new"), (6, (1, 2), b"older"), (4, None, b"newest")]
)
def test_a_shard_that_is_killed_at_any_moment_loses_nothing(tmp_path, again):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    for moment in itertools.count():
        folder = tmp_path / str(moment)
        fill(folder, 8, content=b"old")
        fill(folder, 6, (1, 2))
        fill(folder, 6, (2, 2), b"older")
        fill(folder, 6, (2, 3), b"old")  # which others discard
        process = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(moment)], env=environment)
        found = images(folder)
        assert found.items() <= whole(8, b"old").items() | whole(6).items()
        if found not in (whole(8, b"old"), whole(6)):
            with pytest.raises(files.FolderError, match="finishes that"):
                image_folder.check_whole(folder)
        if process.returncode == 0:
            break
        assert process.returncode == 9
        fill(folder, *again)
        assert images(folder) in (whole(8, b"old"), whole(6), whole(6, b"older"), whole(4, b"newest"))
        if again[2] == b"newest":
            assert images(folder) == whole(4, b"newest")
        elif found == whole(8, b"old") and again[1] == (1, 2) and images(folder) == found:
            fill(folder, 6, (2, 2))  # the part that was killed
        if again[2] == b"new":
            assert images(folder) == whole(6)
        assert not list(folder.rglob("swapping"))
    assert moment > 15
    assert images(folder) == whole(6)


SHARD = """
import sys
from support.results import files
from support.results import image_folder
folder, shard = sys.argv[1], eval(sys.argv[2])
print("ready", flush=True)
input()
with files.own_folder(folder, shard):
    image_folder.fill(folder, [[b"new"] * 50] * 4, 800, {"seed": "new"}, shard)
    image_folder.finish(folder)
"""


def test_shards_that_end_at_once_make_one_set(tmp_path):
    fill(tmp_path, 800, content=b"old")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    commands = [[sys.executable, "-c", SHARD, str(tmp_path), repr((part, 4))] for part in (1, 2, 3, 4)]
    processes = [subprocess.Popen(command, **pipes) for command in commands]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in processes] == [""] * 4
    assert images(tmp_path) == whole(800)
    assert_nothing_but_images(tmp_path)


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


def test_one_shard_at_a_time_is_alone_in_a_folder(tmp_path):
    code = HOLD.replace("own_folder\n", "alone, own_folder\n").replace(
        "eval(sys.argv[2])):", "(1, 2)), alone(sys.argv[1]):"
    )
    command, entered = [sys.executable, "-c", code, str(tmp_path)], threading.Event()

    def enter():
        with files.alone(tmp_path):
            entered.set()

    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with files.own_folder(tmp_path, (2, 2)), ThreadPoolExecutor() as pool:
            waiting = pool.submit(enter)
            assert not entered.wait(0.5)
            holder.communicate("\n")
            waiting.result(timeout=60)
            asking = [*command[:2], HOLD, str(tmp_path), "(2, 2)"]  # leaving the block did not release the folder
            process = subprocess.run(asking, cwd=ROOT, input="", capture_output=True, text=True)
            assert "another run" in process.stderr


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
