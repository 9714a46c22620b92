"""The data: every form that is read, every kind of fault in them, and that no file does harm."""

import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support import data
from support.data import as_dataset, load_dataset
from support.errors import InputError

RANDOM = np.random.default_rng(0)
TRAIN, TEST = (RANDOM.integers(0, 256, (n, 28, 28), np.uint8) for n in (5, 3))
TRAIN_LABELS, TEST_LABELS = np.array([3, 1, 4, 1, 5], np.uint8), np.array([9, 2, 6], np.uint8)
ARRAYS = {"x_train": TRAIN, "y_train": TRAIN_LABELS, "x_test": TEST, "y_test": TEST_LABELS}
IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    kind = 8 if array.dtype == np.uint8 else 12
    return struct.pack(f">4B{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def npz(**arrays):
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def npz_of(member, name="x_train.npy"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, member)
    return packed.getvalue()


def npy(shape):
    """The header of an .npy file."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def csv(columns, heading=None):
    lines = [",".join(map(str, row)) for row in np.asarray(columns).tolist()]
    return "\n".join([heading, *lines] if heading else lines).encode()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def assert_same(found, labels=True, test=False):
    """`found` has the images of TRAIN, and TEST and labels if it should."""
    expected = TRAIN, labels and TRAIN_LABELS, test and TEST, labels and test and TEST_LABELS
    arrays = found.train_images, found.train_labels, found.test_images, found.test_labels
    for array, right, dtype in zip(arrays, expected, [np.uint8, np.int64] * 2, strict=True):
        if right is False:
            assert array is None
        else:
            assert array.dtype == dtype
            np.testing.assert_array_equal(array, right)
    assert found.sha256 == hashlib.sha256(b"(5, 28, 28)" + TRAIN.tobytes()).hexdigest()


# ------------------------------------------------------------------------------------------------- MNIST, and arrays
def test_mnist_is_mnist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it is found from anywhere
    digits, readme = load_dataset(), (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    arrays = digits.train_images, digits.train_labels, digits.test_images, digits.test_labels
    sums = [hashlib.md5(idx(array.astype(np.uint8))).hexdigest() for array in arrays]
    assert (len(sums), sums[0]) == (4, "6bbc9ace898e44ae57da46a324031adb")
    assert all(md5 in readme for md5 in sums)
    assert (digits.source, digits.sha256, digits.prepared) == ("data/mnist.npz", data.MNIST_SHA256, "")
    monkeypatch.setattr(data, "MNIST", tmp_path / "mnist.npz")
    with pytest.raises(InputError, match=r"mnist\.npz: cannot be read \(No such file"):
        load_dataset()


def test_arrays_in_a_shell():
    assert_same(as_dataset(TRAIN), labels=False)
    dataset = as_dataset(TRAIN.reshape(5, 784) / 255, TRAIN_LABELS.tolist())
    assert_same(dataset)
    assert as_dataset(dataset) is dataset
    for dtype in ("bool", "float16", "float64"):
        np.testing.assert_array_equal(as_dataset((TRAIN > 127).astype(dtype)).train_images, 255 * (TRAIN > 127))
    for wrong in ("digits.npz", [[1, 2], [3]], None, TRAIN[0], {"x_train": TRAIN}):
        with pytest.raises(InputError, match="the train images|the array"):
            as_dataset(wrong)


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">i2", "float32"])
@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 28, 28, 1), (5, 784)])
def test_arrays_of_any_kind_and_shape(tmp_path, dtype, shape):
    array = np.asfortranarray(TRAIN.reshape(shape).astype(dtype))
    np.save(tmp_path / "a.npy", array)
    assert_same(load_dataset(tmp_path / "a.npy"), labels=False)
    assert_same(load_dataset(write(tmp_path / "a.NPZ", npz(x_train=array, y_train=TRAIN_LABELS))))


def test_labels_of_any_kind():
    one_hot, words = np.eye(10)[TRAIN_LABELS], TRAIN_LABELS.astype(str).astype(object)  # words: as from OpenML
    for labels in (TRAIN_LABELS[:, None], one_hot, one_hot.astype(np.uint8), TRAIN_LABELS.astype(np.float32), words):
        assert_same(as_dataset(TRAIN, labels))


MEDMNIST = ("train_images", "train_labels", "test_images", "test_labels")
NAMES = [
    ({**ARRAYS, "notes": np.array(["more"])}, {"test": True}),
    (dict(zip(MEDMNIST, ARRAYS.values(), strict=True)), {"test": True}),
    ({"X_train": TRAIN, "Y_train": TRAIN_LABELS}, {}),
    ({"images": TRAIN, "labels": TRAIN_LABELS}, {}),
    ({"arr_0": TRAIN, "arr_1": TRAIN_LABELS}, {}),
    ({"images": TRAIN + 1, "x_train": TRAIN}, {"labels": False}),
    ({"digits": TRAIN}, {"labels": False}),
    ({"x_train": TRAIN, "y_train": TRAIN_LABELS, "y_test": TEST_LABELS}, {}),
]


@pytest.mark.parametrize("arrays, expected", NAMES)
def test_npz_of_any_names(tmp_path, arrays, expected):
    path = write(tmp_path / "a.npz", npz(**arrays))
    assert_same(load_dataset(str(path)), **expected)
    assert load_dataset(path).source == str(path)


# ------------------------------------------------------------------------------------------------------------- files
@pytest.mark.parametrize("name", ["{}", "{}.gz", "qmnist-{}", "MNIST/raw/{}", "raw/{}.gz"])
def test_idx_folders(tmp_path, name):
    for file, array in zip(IDX_NAMES, ARRAYS.values(), strict=True):
        if "qmnist" in name and array.ndim == 1:  # a table: the digit, then its writer and more
            file, array = file.replace("idx1-ubyte", "idx2-int"), np.stack([array, array + 7], 1).astype(">i4")
        write(tmp_path / name.format(file), gzip.compress(idx(array)) if ".gz" in name else idx(array))
    assert_same(load_dataset(tmp_path), test=True)
    assert_same(load_dataset(tmp_path / name.format(IDX_NAMES[0])), test=True)
    of_test = load_dataset(tmp_path / name.format(IDX_NAMES[2]))
    assert of_test.test_images is None and of_test.train_labels.tolist() == TEST_LABELS.tolist()


def test_idx_of_any_name_and_beside_its_packed_twin(tmp_path):
    assert_same(load_dataset(write(tmp_path / "a", idx(TRAIN))), labels=False)
    assert_same(load_dataset(write(tmp_path / "b.bin", gzip.compress(idx(TRAIN)))), labels=False)
    write(tmp_path / "c" / f"{IDX_NAMES[0]}.gz", b"broken off")
    assert_same(load_dataset(write(tmp_path / "c" / IDX_NAMES[0], idx(TRAIN)).parent), labels=False)


def test_an_archive_that_also_has_folders_with_the_names_of_files(tmp_path):
    for file, array in zip(IDX_NAMES, ARRAYS.values(), strict=True):
        for name in (f"{file}/{file}", file.replace("-idx", ".idx")):
            write(tmp_path / name, idx(array))
    assert_same(load_dataset(tmp_path), test=True)
    assert_same(load_dataset(tmp_path / "train-images.idx3-ubyte"), test=True)


def test_emnist_is_turned_upright(tmp_path):
    turned = np.ascontiguousarray(TRAIN.transpose(0, 2, 1))
    table = write(tmp_path / "emnist-letters-train.csv", csv(np.c_[TRAIN_LABELS, turned.reshape(5, 784)]))
    for kind in ("letters", "digits"):
        files = [write(tmp_path / f"emnist-{kind}-{IDX_NAMES[0]}", idx(turned)), table]
        write(tmp_path / f"emnist-{kind}-{IDX_NAMES[1]}", idx(TRAIN_LABELS))
        for path in files:
            assert_same(load_dataset(path))
            assert "upright" in load_dataset(path).prepared
    with pytest.raises(InputError, match="emnist-digits-train.*emnist-letters-train.*one dataset"):
        load_dataset(tmp_path)


PIXELS = TRAIN.reshape(5, 784)
ROWS, LAST = np.c_[TRAIN_LABELS, PIXELS], np.c_[PIXELS, TRAIN_LABELS]
HEADING = ",".join(f"pixel{i}" for i in range(784))
TABLES = {
    "Kaggle": csv(ROWS, f"label,{HEADING}"),
    "no names": csv(ROWS),
    "label last, quoted, Windows": csv(LAST, f'{HEADING},"Label"').replace(b"\n", b"\r\n"),
    "floats": csv(np.c_[TRAIN_LABELS, PIXELS / 255]),
    "mark, empty lines": b"\xef\xbb\xbf" + csv(ROWS).replace(b"\n", b"\n\n") + b"\n",
    "no labels": csv(PIXELS),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_csv(tmp_path, name, packed):
    content = gzip.compress(TABLES[name]) if packed else TABLES[name]
    assert_same(load_dataset(write(tmp_path / ("a.csv.gz" if packed else "a.csv"), content)), "no labels" not in name)


# --------------------------------------------------------------------------------------------------------- image files
KEPT = ["png L", "png RGB", "png P", "png RGBA", "tif L", "bmp L", "gif L", "webp L", "pgm L", "jpg L"]
GREY = np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8) * 4


def test_a_folder_of_images(tmp_path):
    for number, image in enumerate(TRAIN):
        save(tmp_path / f"{number}.{'PNG' if number % 2 else 'bmp'}", image)
    write(tmp_path / "._0.png", b"left by a Macintosh")
    write(tmp_path / "Thumbs.db", b"left by Windows")
    (tmp_path / "5.png").mkdir()
    assert_same(load_dataset(tmp_path), labels=False)
    assert load_dataset(tmp_path).file_names == ("0.bmp", "1.PNG", "2.bmp", "3.PNG", "4.bmp")


@pytest.mark.parametrize("suffix, mode", [kept.split() for kept in KEPT])
def test_grey_28x28_is_taken_bit_for_bit(tmp_path, suffix, mode):
    options = {"lossless": True} if suffix == "webp" else {}
    save(tmp_path / f"a.{suffix}", Image.fromarray(GREY).convert(mode), **options)
    found = load_dataset(tmp_path)
    assert found.prepared == ""
    np.testing.assert_allclose(found.train_images[0].astype(int), GREY, atol=12 if suffix == "jpg" else 0)


def large(digit):
    return np.asarray(Image.fromarray(digit).resize((200, 200)))


def coloured(ink, paper):
    return lambda digit: Image.composite(
        Image.new("RGBA", (200, 200), ink), Image.new("RGBA", (200, 200), paper), Image.fromarray(large(digit))
    )


def photo(digit):
    """Dark ink on paper with a shadow and noise, somewhere on the page, turned on its side by the camera."""
    page = 210 - 40 * np.add.outer(np.arange(500), np.arange(600)) / 1100 + RANDOM.normal(0, 6, (500, 600))
    page[90:290, 140:340] -= large(digit) * 0.5
    return np.rot90(np.repeat(page.clip(0, 255).astype(np.uint8)[..., None], 3, 2))


TURNED = Image.Exif()
TURNED[0x112] = 6
KINDS = {
    "larger.tif": large,
    "20x20.bmp": lambda digit: Image.fromarray(digit).crop(Image.fromarray(digit).getbbox()),
    "ink on paper.gif": lambda digit: 255 - large(digit),
    "blue on yellow.png": coloured("navy", "yellow"),
    "black and transparent.png": coloured("black", (0, 0, 0, 0)),
    "white and transparent.png": coloured("white", (255, 255, 255, 0)),
    "16 bits.png": lambda digit: 65535 - 257 * large(digit).astype(np.uint16),
    "photograph.jpg": photo,
}


@pytest.mark.parametrize("name", KINDS)
def test_other_images_are_prepared_as_mnist_was(tmp_path, name):
    digits = load_dataset().test_images[:20]
    for number, digit in enumerate(digits):
        save(tmp_path / f"{number:02} {name}", KINDS[name](digit), **({"exif": TURNED} if name.endswith("jpg") else {}))
    found = load_dataset(tmp_path)
    assert "prepared 20 images as MNIST's were" in found.prepared
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(found.train_images, digits, strict=True)]
    assert np.mean(likeness) > 0.85
    assert (found.train_images.max((1, 2)) == 255).all() and (found.train_images[:, 0] == 0).all()


@pytest.mark.parametrize("train, test", [("", None), ("train", "test"), ("mnist_png/training", "mnist_png/testing")])
@pytest.mark.parametrize("names, labels", [("345", [3, 4, 5]), ("ABC", [0, 1, 2])])
def test_class_folders(tmp_path, names, labels, train, test):
    """Numbers are the labels themselves; other names are 0, 1, ... in sorted order."""
    for name, image in zip(names, TRAIN, strict=False):
        save(tmp_path / train / name / "a.png", image)
    if test:
        save(tmp_path / test / names[1] / "a.png", TEST[0])
    found = load_dataset(tmp_path)
    np.testing.assert_array_equal(found.train_images, TRAIN[:3])
    assert found.train_labels.tolist() == labels and found.class_names == tuple(names)
    assert load_dataset(tmp_path).file_names == tuple(f"{train}/{name}/a.png".lstrip("/") for name in names)
    assert (found.test_labels is None) if test is None else (found.test_labels.tolist() == labels[1:2])


def own_folder(folder, labels="file,digit\ndigit_00000.png,7\ndigit_00001.png,0\n", **record):
    """A folder as this program writes it."""
    for number in range(2):
        save(folder / f"digit_{number:05}.png", TRAIN[number])
    write(folder / "labels.csv", labels.encode())
    record = {"images": 2, "seed": 0, "model": "m.keras", "complete": True, **record}
    write(folder / "digits.json", json.dumps(record).encode())
    return folder


def test_the_labels_of_generated_images(tmp_path):
    with pytest.raises(InputError, match="complete"):
        load_dataset(own_folder(tmp_path / "a", complete=False))
    assert load_dataset(own_folder(tmp_path / "b")).train_labels.tolist() == [7, 0]
    windows = "\ufefffile,digit\r\n\r\ndigit_00001.png,0\r\nremoved.png,3\r\ndigit_00000.png,7"
    assert load_dataset(own_folder(tmp_path / "c", windows)).train_labels.tolist() == [7, 0]
    for foreign in ("", "image,label\na.png,7\n", "file,digit,confidence\ndigit_00000.png,7,0.9\n"):
        assert load_dataset(own_folder(tmp_path / "d", foreign)).train_labels is None
    for rows in ("1.png,7", *(f"0.png,7\ndigit_00001.png,{label}" for label in ("", "x", "-1", "7.0", "7,7"))):
        with pytest.raises(InputError):
            load_dataset(own_folder(tmp_path / "e", f"file,digit\ndigit_0000{rows}\n"))


def test_a_line_warns_of_ink_on_paper():
    assert data.warning_about(load_dataset().train_images[:100]) == ""
    assert "invert" in data.warning_about(255 - load_dataset().train_images[:100])


# ------------------------------------------------------- what cannot be used: each row makes a path, and words follow
def file(name, content):
    return lambda folder: write(folder / name, content)


def array(**arrays):
    return file("bad.npz", npz(**arrays))


def images(*names, image=GREY):
    def make(folder):
        for name in names:
            save(folder / name, image)
        return folder

    return make


def changed(folder):
    """An array with other bytes than its checksum."""
    np.savez(folder / "bad.npz", x_train=TRAIN)
    content = (folder / "bad.npz").read_bytes()
    return write(folder / "bad.npz", content.replace(TRAIN[2, 9].tobytes(), TRAIN[2, 8].tobytes()))


SQUARE = np.zeros((2, 32, 32), np.uint8)
OBJECTS = io.BytesIO()
np.save(OBJECTS, np.array([{}, []], dtype=object), allow_pickle=True)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n%%EOF\n"
ROW = csv(PIXELS[:1])
BAD = {
    "empty": (file("a", b""), "is no data"),
    "folder of text": (lambda folder: write(folder / "a.txt", b"text").parent, r"holds \['a.txt'\]; give a folder"),
    "images beside folders": (images("preview.png", "7/a.png"), "give a folder"),
    "test images in no class": (images("train/3/a.png", "test/a.png"), "test: its images are in no class folders"),
    "a file that labels.csv lacks": (
        lambda folder: write(images("b.png")(folder) / "labels.csv", b"file,digit\na.png,3\n").parent,
        "labels.csv: has no line for b.png; add one",
    ),
    "pickle": (file("mnist.pkl.gz", gzip.compress(pickle.dumps([1]))), "a pickle.*savez_compressed"),
    "MATLAB": (file("a.mat", b"MATLAB 5.0 MAT-file"), "a MATLAB file.*loadmat"),
    "MATLAB 7.3": (file("a.mat", b"MATLAB 7.3 MAT-file"), "a MATLAB 7.3 file.*h5py"),
    "HDF5": (file("a.hdf5", b"\x89HDF\r\n\x1a\n"), "an HDF5 file.*h5py"),
    "Parquet": (file("a.parquet", b"PAR1"), "Parquet.*read_parquet"),
    "archive": (file("a.zip", npz_of(b"", "a.png")), "an archive; unpack it"),
    "npz of other bytes than its checksum": (changed, "cannot be read"),
    "npz of several names": (array(a=TRAIN, b=TRAIN), r"\['a', 'b'\]; name the images x_train"),
    "npz of objects": (file("bad.npz", npz_of(OBJECTS.getvalue())), "pickled Python objects.*savez_compressed"),
    "npz that promises 1.9 million": (file("bad.npz", npz_of(npy((1_900_000, 28, 28)))), "promises"),
    "npy cut off": (file("bad.npy", npy((5, 28, 28)) + bytes(99)), "promises"),
    "32x32": (array(x_train=SQUARE), r"uint8 \[2, 32, 32\]; they must be"),
    "pixels of NaN": (array(x_train=np.full((2, 28, 28), np.nan)), "nan"),
    "pixels from -1 to 1": (array(x_train=TRAIN / 127.5 - 1), "floats from 0"),
    "pixels of 16 bits": (array(x_train=TRAIN.astype(int) * 257), "whole numbers from 0"),
    "pixels of 0 and 1 in uint8": (array(x_train=(TRAIN / 255).astype("uint8")), "multiply by 255 before astype"),
    "labels too few": (array(x_train=TRAIN, y_train=TRAIN_LABELS[1:]), "0 or more, for each of the 5 images"),
    "idx that promises 2^96": (file("a", struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3)), "bytes; .* at most"),
    "gz of a wrong checksum": (file("a.gz", gzip.compress(idx(TRAIN))[:-8] + bytes(8)), "cannot be read"),
    "gz that holds more": (file("a.gz", gzip.compress(idx(TRAIN) + bytes(2**26), 1)), "promises"),
    "csv of a word": (file("a.csv", ROW + b"\n" + ROW + b"\nx" + ROW[1:]), "'x.*at row 2"),
    "csv of unequal lines": (file("a.csv", ROW + b"\n" + ROW + b",1\n" + ROW), "columns changed.*at row 2"),
    "csv of other columns": (file("a.csv", csv(TRAIN[0])), "has 28 columns"),
    "csv of one endless line": (file("a.csv.gz", gzip.compress(b"0," * 2**26, 1)), "columns; give 784"),
    "picture of PostScript": (lambda folder: write(folder / "a.png", POSTSCRIPT).parent, "cannot be read"),
    "picture that is enormous": (images("a.png", image=Image.new("1", (9500, 9500))), "9500x9500 pixels"),
    "picture of nothing": (images("a.png", image=np.zeros((40, 40), np.uint8)), "shows nothing"),
}  # fmt: skip


@pytest.mark.parametrize("make, words", BAD.values(), ids=BAD)
def test_bad_data(tmp_path, make, words):
    path = make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=words) as caught:
            load_dataset(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24, "a small file cannot fill the memory"
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert str(tmp_path) in message and message.isprintable() and ";" in message


@pytest.mark.skipif(sys.platform != "linux", reason="FIFOs and devices as Linux has them")
def test_paths_that_are_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo.png")
    os.symlink("/dev/zero", "zero.png")
    with pytest.raises(InputError, match="holds .*give a folder"):
        load_dataset(".")
    os.symlink("loop.png", "loop.png")
    for path in ("fifo.png", "zero.png", "loop.png", "/dev/null", "", "\0", "a\nb", "\ud800", "n" * 5000):
        with pytest.raises(InputError) as caught:
            load_dataset(path)
        assert str(caught.value).isprintable()


# ------------------------------------------------------------------- whatever the bytes: a Dataset, or an InputError
def picture(kind):
    packed = io.BytesIO()
    Image.fromarray(np.pad(TRAIN[0], 2)).save(packed, kind)
    return packed.getvalue()


SMALL = {
    "a.npz": npz(x_train=TRAIN[:1], y_train=TRAIN_LABELS[:1]),
    "a.npy": npy((1, 28, 28)) + TRAIN[0].tobytes(),
    "a.idx": idx(TRAIN[:1]),
    "a.gz": gzip.compress(idx(TRAIN[:1] // 16)),
    "a.csv": csv(PIXELS[:2], HEADING),
    **{f"{kind}/a.png": picture(kind) for kind in ("png", "gif", "tiff", "ppm")},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("bytes")


@settings(max_examples=100, deadline=None, database=None)
@given(data=st.data())
@pytest.mark.parametrize("name", SMALL)
def test_any_change(place, name, data):
    changed = bytearray(SMALL[name])
    # Headers and the directory of a zip are small and at the ends: let half of the changes fall there.
    ends = st.integers(-75, 74).map(lambda i: i % len(changed))
    for spot in data.draw(st.lists(ends | st.integers(0, len(changed) - 1), max_size=8)):
        changed[spot] = data.draw(st.integers(0, 255))
    keep = data.draw(st.just(len(changed)) | st.integers(0, len(changed)))
    path = write(place / name, bytes(changed[:keep]) + data.draw(st.binary(max_size=20)))
    try:
        images = load_dataset(path if path.parent == place else path.parent).train_images
    except InputError as error:
        assert str(error).isprintable()
    else:
        assert images.dtype == np.uint8 and images.shape[1:] == (28, 28)
