import gzip
import hashlib
import io
import socket
import struct
import subprocess
import sys
import tracemalloc
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support.datasets import loading
from support.datasets.checks import DataError
from support.datasets.image_files import list_images, read_folder_labels, read_images
from support.datasets.loading import Dataset, load_dataset

RANDOM = np.random.default_rng(0)
TRAIN, TEST = (RANDOM.integers(0, 256, (n, 28, 28), np.uint8) for n in (5, 3))
TRAIN_LABELS, TEST_LABELS = np.array([3, 1, 4, 1, 5], np.uint8), np.array([9, 2, 6], np.uint8)
ARRAYS = {"x_train": TRAIN, "y_train": TRAIN_LABELS, "x_test": TEST, "y_test": TEST_LABELS}
IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
ANYTHING = settings(max_examples=100, deadline=None, database=None)


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def npz(**arrays):
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def npz_of_members(compression=zipfile.ZIP_DEFLATED, **members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return packed.getvalue()


def npy_header(shape, descr="|u1", version=b"\x01\x00"):
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\x01\x00" else "<I", len(text)) + text


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_idx(folder, names=IDX_NAMES, pack=bytes):
    for name, array in zip(names, ARRAYS.values(), strict=True):
        write(folder / name, pack(idx(array)))
    return folder


def save(path, array, mode="L", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).convert(mode).save(path, **options)
    return path


def assert_same(digits, labels=True, test=True):
    assert digits.train_images.dtype == np.uint8 and digits.train_images.flags.c_contiguous
    np.testing.assert_array_equal(digits.train_images, TRAIN)
    expected = (TRAIN_LABELS if labels else None, TEST if test else None, TEST_LABELS if labels and test else None)
    for array, right in zip((digits.train_labels, digits.test_images, digits.test_labels), expected, strict=True):
        assert (array is None) == (right is None)
        if right is not None:
            np.testing.assert_array_equal(array, right)
    assert digits.train_labels is None or digits.train_labels.dtype == np.int64
    assert digits.sha256 == hashlib.sha256(b"(5, 28, 28)" + TRAIN.tobytes()).hexdigest()


# The MNIST of the repository


def test_mnist_is_mnist():
    digits = load_dataset()
    sums = {
        "6bbc9ace898e44ae57da46a324031adb": digits.train_images,
        "a25bea736e30d166cdddb491f175f624": digits.train_labels.astype(np.uint8),
        "2646ac647ad5339dbf082846283269ea": digits.test_images,
        "27ae3e4e09519cfbb04c329615203637": digits.test_labels.astype(np.uint8),
    }
    readme = (loading.MNIST.parent / "README.md").read_text(encoding="utf-8")
    for md5, array in sums.items():
        assert hashlib.md5(idx(array)).hexdigest() == md5
        assert md5 in readme
    assert hashlib.sha256(loading.MNIST.read_bytes()).hexdigest() in readme
    assert digits.source == "data/mnist.npz"
    np.testing.assert_array_equal(np.bincount(digits.train_labels)[:3], [5923, 6742, 5958])


def test_mnist_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_dataset().train_images.shape == (60000, 28, 28)


# Every form that is accepted


@pytest.mark.parametrize("kind", [str, Path])
def test_npz(tmp_path, kind):
    digits = load_dataset(kind(write(tmp_path / "digits.npz", npz(**ARRAYS))))
    assert_same(digits)
    assert digits.source == str(tmp_path / "digits.npz")


def test_npz_as_others_write_it(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    assert_same(load_dataset(tmp_path / "a.npz"))
    channel = ARRAYS | {"x_train": TRAIN[..., None], "x_test": TEST[..., None]}
    assert_same(load_dataset(write(tmp_path / "b.NPZ", npz(**channel))))
    column_major = ARRAYS | {"x_train": np.asfortranarray(TRAIN), "y_train": TRAIN_LABELS.astype(">i4")}
    assert_same(load_dataset(write(tmp_path / "c.npz", npz(**column_major, notes=np.array(["more", "arrays"])))))


def test_npz_without_labels_or_test(tmp_path):
    assert_same(load_dataset(write(tmp_path / "a.npz", npz(x_train=TRAIN))), labels=False, test=False)
    assert_same(load_dataset(write(tmp_path / "b.npz", npz(x_train=TRAIN, y_train=TRAIN_LABELS))), test=False)
    assert_same(load_dataset(write(tmp_path / "c.npz", npz(x_train=TRAIN, x_test=TEST))), labels=False)
    orphans = npz(x_train=TRAIN, y_train=TRAIN_LABELS, y_test=TEST_LABELS)
    assert_same(load_dataset(write(tmp_path / "d.npz", orphans)), test=False)


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw", "FashionMNIST/raw"])
def test_idx_folder(tmp_path, below, packed, dotted):
    names = [name.replace("-idx", ".idx") if dotted else name for name in IDX_NAMES]
    names = [f"{name}.gz" if packed else name for name in names]
    write_idx(tmp_path / below, names, gzip.compress if packed else bytes)
    assert_same(load_dataset(tmp_path))
    assert_same(load_dataset(tmp_path / below / names[0]))


def test_idx_both_packed_and_not_as_torchvision_leaves_it(tmp_path):
    folder = write_idx(tmp_path / "MNIST" / "raw")
    for name in IDX_NAMES:
        write(folder / f"{name}.gz", b"broken off")
    digits = load_dataset(tmp_path)
    assert_same(digits)
    assert digits.source == str(folder / IDX_NAMES[0])


def test_idx_in_the_form_that_its_name_does_not_say(tmp_path):
    assert_same(load_dataset(write_idx(tmp_path / "a", [f"{name}.gz" for name in IDX_NAMES])))
    assert_same(load_dataset(write_idx(tmp_path / "b", pack=gzip.compress)))


def test_idx_images_alone(tmp_path):
    assert_same(load_dataset(write(tmp_path / "a" / IDX_NAMES[0], idx(TRAIN)).parent), labels=False, test=False)
    assert_same(load_dataset(write(tmp_path / "b" / "any name", idx(TRAIN))), labels=False, test=False)
    write_idx(tmp_path / "c")
    np.testing.assert_array_equal(load_dataset(tmp_path / "c" / IDX_NAMES[2]).train_images, TEST)


@pytest.mark.parametrize("packed", [False, True])
def test_emnist_reads_upright(tmp_path, packed):
    for split in ("digits", "letters", "mnist"):
        for name, array in zip(IDX_NAMES, ARRAYS.values(), strict=True):
            data = idx(np.ascontiguousarray(array.transpose(0, 2, 1)) if array.ndim == 3 else array)
            name = f"emnist-{split}-{name.replace('t10k', 'test')}{'.gz' if packed else ''}"
            write(tmp_path / split / name, gzip.compress(data) if packed else data)
            write(tmp_path / "all" / name, gzip.compress(data) if packed else data)
        assert_same(load_dataset(tmp_path / split))
        assert_same(load_dataset(tmp_path / "all" / f"emnist-{split}-{IDX_NAMES[0]}{'.gz' if packed else ''}"))
    with pytest.raises(DataError, match="several datasets.*emnist-digits-train.*emnist-letters-train"):
        load_dataset(tmp_path / "all")


def read_folder(folder):
    return read_images(folder, list_images(folder))


def test_image_folder(tmp_path):
    for number, image in enumerate(TRAIN):
        save(tmp_path / f"digit_{number}.{'PNG' if number % 2 else 'png'}", image)
    save(tmp_path / "below" / "digit_9.png", TEST[0])
    write(tmp_path / "._digit_0.png", b"left by a Macintosh")
    write(tmp_path / "Thumbs.db", b"left by Windows")
    (tmp_path / "digit_5.png").mkdir()
    assert_same(load_dataset(tmp_path), labels=False, test=False)
    assert list_images(tmp_path) == ["digit_0.png", "digit_1.PNG", "digit_2.png", "digit_3.PNG", "digit_4.png"]
    np.testing.assert_array_equal(read_folder(tmp_path), TRAIN)


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "webp", "jpg", "jpeg"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_grey_stored_as_anything(tmp_path, suffix, mode):
    smooth = np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8) * 4
    exact = suffix not in ("jpg", "jpeg")
    mode = "L" if mode == "P" and suffix in ("jpg", "jpeg") else mode
    save(tmp_path / f"a.{suffix}", smooth, mode, **({"lossless": True} if suffix == "webp" else {}))
    images = read_images(tmp_path, [f"a.{suffix}"])
    assert images.dtype == np.uint8
    np.testing.assert_allclose(images[0].astype(int), smooth, atol=0 if exact else 12)


def test_black_and_white_and_opaque(tmp_path):
    ink = np.where(TRAIN[0] > 127, 255, 0).astype(np.uint8)
    save(tmp_path / "a.png", ink, "1")
    save(tmp_path / "b.png", ink, "LA")
    save(tmp_path / "c.png", ink, "RGBA")
    np.testing.assert_array_equal(read_images(tmp_path, ["a.png", "b.png", "c.png"]), [ink] * 3)


def test_postscript_is_not_read_under_the_name_of_a_png(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    # pytest.fail raises what no reader catches.
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    write(tmp_path / "a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_images(tmp_path, ["a.png"])


def test_idx_comes_before_images(tmp_path):
    save(write_idx(tmp_path) / "preview.png", TEST[0], "RGB")
    assert_same(load_dataset(tmp_path))


# What cannot be used. Each entry writes something and returns its path.

GOOD, GOOD_GZ = idx(TRAIN), gzip.compress(idx(TRAIN))
HEADER = struct.Struct(">4B3I")


def damaged(folder):
    np.savez(folder / "bad.npz", x_train=TRAIN)
    path = folder / "bad.npz"
    return write(path, path.read_bytes().replace(TRAIN[2, 9].tobytes(), TRAIN[2, 8].tobytes()))


def npz_case(**arrays):
    return lambda folder: write(folder / "bad.npz", npz(**arrays))


def file_case(name, data):
    return lambda folder: write(folder / name, data)


def folder_case(**files):
    def make(folder):
        folder.joinpath("set").mkdir()
        for name, data in files.items():
            write(folder / "set" / name.replace("__", ".").replace("_", "-"), data)
        return folder / "set"

    return make


def picture_case(array, mode, suffix="png"):
    return lambda folder: save(folder / "images" / f"bad.{suffix}", array, mode).parent


def encrypted(folder):
    data = bytearray(npz(x_train=TRAIN))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return write(folder / "bad.npz", bytes(data))


def mislabelled(folder):
    write(write_idx(folder) / IDX_NAMES[1], idx(TEST_LABELS))
    return folder


def pickled(folder):
    np.save(folder / "a.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    return write(folder / "bad.npz", npz_of_members(x_train=(folder / "a.npy").read_bytes()))


def looped(folder):
    (folder / "loop.npz").symlink_to(folder / "loop.npz")
    return folder / "loop.npz"


BAD = {
    "missing": lambda folder: folder / "missing.npz",
    "missing below a file": lambda folder: write(folder / "a", b"") / "b",
    "name too long": lambda folder: folder / ("n" * 5000),
    "link to itself": looped,
    "no data": file_case("bad.npz", b""),
    "npz is a folder": lambda folder: (folder / "bad.npz").mkdir() or folder / "bad.npz",
    "npz is not a zip": file_case("bad.npz", b"PK\x03\x04 not a zip"),
    "npz is a web page": file_case("bad.npz", b"<!DOCTYPE html><title>404</title>"),
    "npz truncated": file_case("bad.npz", npz(**ARRAYS)[:-300]),
    "npz with other bytes than its checksum": damaged,
    "npz without arrays": file_case("bad.npz", npz_of_members()),
    "npz of other names": npz_case(images=TRAIN),
    "npz pickled": pickled,
    "npz encrypted": encrypted,
    "npz by bzip2": file_case(
        "bad.npz", npz_of_members(zipfile.ZIP_BZIP2, x_train=npy_header((1, 28, 28)) + bytes(784))
    ),
    "npz of text": file_case("bad.npz", npz_of_members(x_train=b"0 1 2 3")),
    "npz header of version 2": file_case(
        "bad.npz", npz_of_members(x_train=npy_header((1, 28, 28), version=b"\x02\x00") + bytes(784))
    ),
    "npz header of nonsense": file_case("bad.npz", npz_of_members(x_train=npy_header("(((("))),
    "npz header nested": file_case("bad.npz", npz_of_members(x_train=b"\x93NUMPY\x01\x00\x88\x13" + b"(" * 5000)),
    "npz claims 2^60": file_case("bad.npz", npz_of_members(x_train=npy_header((2**60, 28, 28)))),
    "npz claims 1.9 million": file_case("bad.npz", npz_of_members(x_train=npy_header((1_900_000, 28, 28)))),
    "npz claims fewer": file_case("bad.npz", npz_of_members(x_train=npy_header((1, 28, 28)) + bytes(785))),
    "npz claims -1": file_case("bad.npz", npz_of_members(x_train=npy_header((-1, 28, 28)) + bytes(784))),
    "npz float": npz_case(x_train=TRAIN / np.float32(255)),
    "npz NaN": npz_case(x_train=np.full((2, 28, 28), np.nan)),
    "npz int64": npz_case(x_train=TRAIN.astype(np.int64)),
    "npz strings": npz_case(x_train=np.array(["a", "b"])),
    "npz structured": npz_case(x_train=np.zeros(3, [("a", "u1", (28, 28))])),
    "npz flat": npz_case(x_train=TRAIN.reshape(5, 784)),
    "npz 32x32": npz_case(x_train=np.zeros((5, 32, 32), np.uint8)),
    "npz three channels": npz_case(x_train=np.zeros((5, 28, 28, 3), np.uint8)),
    "npz channels first": npz_case(x_train=np.zeros((5, 1, 28, 28), np.uint8)),
    "npz one image without n": npz_case(x_train=TRAIN[0]),
    "npz scalar": npz_case(x_train=np.uint8(1)),
    "npz no image": npz_case(x_train=TRAIN[:0]),
    "npz test of another size": npz_case(x_train=TRAIN, x_test=TEST[:, :27]),
    "labels too few": npz_case(x_train=TRAIN, y_train=TRAIN_LABELS[1:]),
    "labels float": npz_case(x_train=TRAIN, y_train=TRAIN_LABELS.astype(float)),
    "labels negative": npz_case(x_train=TRAIN, y_train=TRAIN_LABELS.astype(int) - 2),
    "labels enormous": npz_case(x_train=TRAIN, y_train=np.full(5, 2**64 - 1, np.uint64)),
    "labels one-hot": npz_case(x_train=TRAIN, y_train=np.eye(5, dtype=np.uint8)),
    "labels of test too many": npz_case(x_train=TRAIN, x_test=TEST, y_test=TRAIN_LABELS),
    "idx empty": file_case(IDX_NAMES[0], b""),
    "idx header broken off": file_case(IDX_NAMES[0], GOOD[:9]),
    "idx broken off": file_case(IDX_NAMES[0], GOOD[:-1]),
    "idx goes on": file_case(IDX_NAMES[0], GOOD + b"\n"),
    "idx no image": file_case(IDX_NAMES[0], HEADER.pack(0, 0, 8, 3, 0, 28, 28)),
    "idx of signed bytes": file_case(IDX_NAMES[0], HEADER.pack(0, 0, 9, 3, 5, 28, 28) + TRAIN.tobytes()),
    "idx of labels": file_case(IDX_NAMES[0], idx(TRAIN_LABELS)),
    "idx 32x32": file_case(IDX_NAMES[0], idx(np.zeros((2, 32, 32), np.uint8))),
    "idx claims 2^32 - 1": file_case(IDX_NAMES[0], HEADER.pack(0, 0, 8, 3, 2**32 - 1, 28, 28)),
    "idx claims 2^96": file_case(IDX_NAMES[0], HEADER.pack(0, 0, 8, 3, *[2**32 - 1] * 3)),
    "idx claims 1.9 million": file_case(IDX_NAMES[0], HEADER.pack(0, 0, 8, 3, 1_900_000, 28, 28)),
    "gz claims 1.9 million": file_case("a.gz", gzip.compress(HEADER.pack(0, 0, 8, 3, 1_900_000, 28, 28))),
    "gz holds more": file_case("a.gz", gzip.compress(GOOD + bytes(2**26), 1)),
    "gz broken off": file_case("a.gz", GOOD_GZ[:-9]),
    "gz of a wrong sum": file_case("a.gz", GOOD_GZ[:-8] + bytes(4) + GOOD_GZ[-4:]),
    "gz of nothing": file_case("a.gz", b"\x1f\x8b"),
    "gz with more behind": file_case("a.gz", GOOD_GZ + b"more"),
    "png in place of a set": lambda folder: save(folder / "bad.png", TRAIN[0]),
    "idx labels too few": mislabelled,
    "idx labels are images": folder_case(train_images_idx3_ubyte=GOOD, train_labels_idx1_ubyte=GOOD),
    "idx test only": folder_case(t10k_images_idx3_ubyte=GOOD),
    "folder empty": folder_case(),
    "folder of text": folder_case(a__txt=b"text"),
    "picture empty": folder_case(a__png=b""),
    "picture is text": folder_case(a__png=b"text"),
    "picture 32x32": picture_case(np.zeros((32, 32), np.uint8), "L"),
    "picture 28x27": picture_case(TRAIN[0, 1:], "L"),
    "picture enormous": picture_case(np.zeros((9500, 9500), np.uint8), "1"),
    "picture in colour": picture_case(np.zeros((28, 28, 3), np.uint8) + np.array([1, 0, 0], np.uint8), "RGB"),
    "picture with a colourful palette": picture_case(np.tile([200, 9, 9], (28, 28, 1)).astype(np.uint8), "P", "gif"),
    "picture transparent": picture_case(np.zeros((28, 28, 4), np.uint8), "RGBA"),
    "picture of 16 bits": picture_case(TRAIN[0].astype(np.uint16), "I;16"),
    "picture in four inks": picture_case(TRAIN[0], "CMYK", "jpg"),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_bad_data(tmp_path, make):
    path = make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            load_dataset(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable() and ";" in message  # one line: what is wrong; what to do


def test_the_first_bad_picture_is_named(tmp_path):
    for number, image in enumerate(TRAIN):
        save(tmp_path / f"{number}.png", image)
    save(tmp_path / "3.png", np.zeros((30, 29), np.uint8))
    write(tmp_path / "4.png", b"")
    for read in (load_dataset, read_folder):
        with pytest.raises(DataError, match=r"3\.png: 29x30 pixels"):
            read(tmp_path)


def test_bad_image_folders(tmp_path):
    for folder in (tmp_path, tmp_path / "missing", write(tmp_path / "file.png", b"")):
        with pytest.raises(DataError, match="holds 0|cannot be read"):
            read_folder(folder)
        (tmp_path / "file.png").unlink(missing_ok=True)


@pytest.mark.parametrize("path", ["", "\0", "a\nb", "\ud800", "/dev/null", "/dev/zero"])
def test_odd_paths(path):
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    assert str(caught.value).isprintable()


def test_names_inside_a_file_cannot_write_to_the_terminal(tmp_path):
    path = write(tmp_path / "a.npz", npz_of_members(**{"\x1b[2J\n": b""}))
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    assert str(caught.value).isprintable()


# Whatever the bytes: Dataset or a DataError


def digits_or_error(path):
    try:
        digits = load_dataset(path)
    except DataError as error:
        assert str(error).isprintable()
    else:
        assert isinstance(digits, Dataset)
        assert digits.train_images.dtype == np.uint8 and digits.train_images.shape[1:] == (28, 28)


SMALL = {
    "a.npz": npz(x_train=TRAIN[:1], y_train=TRAIN_LABELS[:1]),
    "b.npz": npz_of_members(zipfile.ZIP_STORED, x_train=npy_header((1, 28, 28)) + bytes(784)),
    "c.idx": idx(TRAIN[:1]),
    "d.idx": gzip.compress(idx(TRAIN[:1] // 16)),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


NAMES = ["digit_00000.png", "digit_00001.png"]
LABELLED = b"file,digit\ndigit_00000.png,7\ndigit_00001.png,0\n"


@pytest.mark.parametrize(
    "content",
    [
        LABELLED,
        LABELLED.replace(b"\n", b"\r\n").rstrip(),
        b"\xef\xbb\xbffile,digit\n\ndigit_00001.png,0\nremoved.png,3\n\xff.png,3\ndigit_00000.png,7",
    ],
)
def test_labels_beside_images(tmp_path, content):
    write(tmp_path / "labels.csv", content)
    labels = read_folder_labels(tmp_path, NAMES)
    assert labels.dtype == np.int64 and labels.tolist() == [7, 0]
    assert read_folder_labels(tmp_path, NAMES[::-1]).tolist() == [0, 7]


def test_labels_of_any_kind(tmp_path):
    write(tmp_path / "labels.csv", b'file,digit\n\xff.png,26\n"a,b\nc.png",123456789\n')
    names = [b"\xff.png".decode(errors="surrogateescape"), "a,b\nc.png"]
    assert read_folder_labels(tmp_path, names).tolist() == [26, 123_456_789]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"image,label\na.png,7\n",
        LABELLED.replace(b"digit\n", b"digit,confidence\n").replace(b"\n", b",0.9\n"),  # of evaluate_digits.py
        b" " + LABELLED,
        LABELLED.upper(),
        b"file,digit" + b"x" * 10**7,
        LABELLED.decode().encode("utf-16"),
        bytes(range(256)),
    ],
)
def test_labels_of_somebody_else(tmp_path, content):
    write(tmp_path / "labels.csv", content)
    assert read_folder_labels(tmp_path, NAMES) is None


def test_without_a_file_of_labels(tmp_path):
    assert read_folder_labels(tmp_path, NAMES) is None
    (tmp_path / "labels.csv").mkdir()
    assert read_folder_labels(tmp_path, NAMES) is None


@pytest.mark.parametrize(
    "content, words",
    [
        (LABELLED[:-18], "no label for digit_00001.png"),
        (LABELLED[:-2], "'digit_00001.png,' is not"),
        (LABELLED + b"digit_00000.png,8\n", "two labels for digit_00000.png"),
        *(
            (LABELLED.replace(b",7", b"," + bad), "is not")
            for bad in (b"-7", b"7.0", b"7,7", b"", b" 7", b"x", b"1" * 10)
        ),
        (LABELLED.replace(b",7", ",٧".encode()), "is not"),
        (LABELLED.replace(b",7", b"\xff7"), "is not"),
        (b"file,digit\n" + b"0" * 10**7, "is not"),
        (b'file,digit\n"' + b"0" * 10**7, "field larger"),
        (b"file,digit\n" + b"a.png,7\n" * 10**5, "no label for"),
    ],
)
def test_damaged_labels(tmp_path, content, words):
    path = write(tmp_path / "labels.csv", content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            read_folder_labels(tmp_path, NAMES)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert str(path) in message and words in message and message.isprintable() and ";" in message


@ANYTHING
@given(data=st.binary(max_size=200), keep=st.integers(0, len(LABELLED)))
def test_any_labels(place, data, keep):
    (place / "labels.csv").write_bytes(LABELLED[:keep] + data)
    try:
        labels = read_folder_labels(place, NAMES)
    except DataError as error:
        assert str(error).isprintable()
    else:
        assert labels is None or labels.dtype == np.int64 and labels.shape == (2,)


@ANYTHING
@given(data=st.binary(max_size=2000))
@pytest.mark.parametrize("name", ["a.npz", "a.idx"])
def test_any_bytes(place, name, data):
    digits_or_error(write(place / name, data))


@ANYTHING
@given(data=st.binary(max_size=200), shape=st.tuples(*[st.integers(0, 2**32 - 1)] * 3))
def test_any_bytes_behind_a_header(place, data, shape):
    digits_or_error(write(place / "a.idx", HEADER.pack(0, 0, 8, 3, *shape) + data))
    digits_or_error(write(place / "a.idx", b"\x1f\x8b\x08\x00" + data))
    digits_or_error(write(place / "a.npz", npz_of_members(x_train=npy_header(shape) + data)))
    digits_or_error(write(place / "a.npz", npz_of_members(x_train=b"\x93NUMPY\x01\x00" + data)))


@ANYTHING
@given(data=st.data())
@pytest.mark.parametrize("name", SMALL)
def test_any_mutation(place, name, data):
    mutant = bytearray(SMALL[name])
    # Headers and the directory of a zip are small and at the ends: let half of the changes fall there.
    ends = st.integers(0, 149).map(lambda i: i if i < 150 - 75 else len(mutant) - 1 - (i - 75))
    spots = data.draw(st.lists(st.tuples(ends | st.integers(0, len(mutant) - 1), st.integers(0, 255)), max_size=8))
    for spot, value in spots:
        mutant[spot] = value
    keep = data.draw(st.just(len(mutant)) | st.integers(0, len(mutant)))
    digits_or_error(write(place / name, bytes(mutant[:keep])))


@ANYTHING
@given(data=st.data())
def test_any_mutation_of_a_picture(place, data):
    packed = io.BytesIO()
    Image.fromarray(TRAIN[0]).save(packed, "PNG")
    mutant = bytearray(packed.getvalue())
    for spot, value in data.draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4)):
        mutant[spot] = value
    digits_or_error(write(place / "images" / "a.png", bytes(mutant)).parent)


# Without the repository's file


@pytest.fixture
def keras(tmp_path, monkeypatch):
    """A stand-in for Keras whose load_data can be set; data/mnist.npz is absent."""
    monkeypatch.setattr(loading, "MNIST", tmp_path / "data" / "mnist.npz")
    stand_in = types.ModuleType("keras")
    stand_in.datasets = types.SimpleNamespace(mnist=types.SimpleNamespace(load_data=None))
    monkeypatch.setitem(sys.modules, "keras", stand_in)
    return stand_in.datasets.mnist


def test_keras_serves_where_the_file_is_absent(keras):
    timeouts = []

    def load_data():
        timeouts.append(socket.getdefaulttimeout())
        return (TRAIN, TRAIN_LABELS), (TEST, TEST_LABELS)

    keras.load_data = load_data
    digits = load_dataset()
    assert_same(digits)
    assert digits.source == "keras.datasets.mnist"
    assert timeouts == [20] and socket.getdefaulttimeout() is None


@pytest.mark.parametrize(
    "error",
    [
        Exception("URL fetch failure on https://example.org/mnist.npz: None -- [Errno -2] Name or service not known"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed\nout"),
    ],
)
def test_keras_without_network(keras, error):
    def load_data():
        raise error

    keras.load_data = load_data
    with pytest.raises(DataError, match="--data PATH") as caught:
        load_dataset()
    assert str(loading.MNIST) in str(caught.value) and str(caught.value).isprintable()
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("answer", [None, (), ((TRAIN, TRAIN_LABELS),), ((TRAIN / 2, 1), (TEST, 2))])
def test_keras_answers_nonsense(keras, answer):
    keras.load_data = lambda: answer
    with pytest.raises(DataError, match="--data PATH"):
        load_dataset()


def test_no_keras_at_all(keras, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(DataError, match="--data PATH"):
        load_dataset()


def test_keras_is_not_asked_for_a_damaged_file(keras):
    keras.load_data = lambda: pytest.fail("asked")
    write(loading.MNIST, b"damaged")
    with pytest.raises(DataError, match=r"mnist\.npz: cannot be read"):
        load_dataset()


def test_nothing_heavy_is_imported():
    code = "import sys, support.datasets.loading; print({'PIL', 'keras', 'tensorflow'} & set(sys.modules))"
    root = Path(loading.__file__).parents[2]
    assert subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True) == "set()\n"
