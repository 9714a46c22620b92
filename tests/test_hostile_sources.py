"""Files and paths that are hostile or broken, as data, model, source or output: one line, the right status, no hang."""

import io
import json
import os
import shlex
import socket
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile import Row, check, fifo, file, link, several
from PIL import Image
from test_bad_models import archive, edited

import evaluate_digits
import wgan_handwritten_digits as wgan
from support.machine.devices import import_tensorflow, keras, tf
from support.results import models

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="FIFOs, devices and names as Linux has them")
import_tensorflow("cpu")
layers = keras.layers
GREY = np.zeros((3, 28, 28), np.uint8)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n%%EOF\n"


# ---- makers, as in hostile.py: each returns a function that puts one thing into a folder ----------------------------


def bound_socket(name):
    def make(folder):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)  # in the current folder: the name of a socket has at most 108 bytes

    return make


def npz(name, **arrays):
    return lambda folder: np.savez(folder / name, **arrays)


def image(name, **options):
    def make(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GREY[0]).save(folder / name, **options)

    return make


def labelled(labels, image_name="digit_00000.png"):
    """A folder of one image with this file of labels; `labels` is its content, or makes it."""
    put = labels if callable(labels) else file("s/labels.csv", labels)
    return several(image(f"s/{image_name}"), put)


def unreadable(name):
    return lambda folder: (folder / name).mkdir(mode=0)


def unreadable_file(name):
    return lambda folder: (folder / name).touch(mode=0)


def padded(member, size=40 * 2**20):
    """A generator whose `member` has additional bytes, which compression makes very small."""

    def make(folder):
        wgan.build_generator(8).save(folder / "m.keras")
        with zipfile.ZipFile(folder / "m.keras") as saved:
            members = {name: saved.read(name) for name in saved.namelist()}
        members[member] = members.get(member, b"") + b" " * size
        with zipfile.ZipFile(folder / "m.keras", "w", zipfile.ZIP_DEFLATED) as bomb:
            for name, content in members.items():
                bomb.writestr(name, content)

    return make


def configured(change):
    """A generator with a changed configuration; `change` gets it."""
    return lambda folder: edited(wgan.build_generator(8), folder / "m.keras", change)


def layer(**keys):
    """A generator with these keys in the configuration of one of its layers."""
    return configured(lambda config: config["config"]["layers"][1].update(keys))


def described(config):
    content = {"metadata.json": '{"keras_version": "3.15.1"}', "config.json": config, "model.weights.h5": b""}
    return file("m.keras", archive(content))


def model(build):
    """The model that `build` makes of a latent vector of 8 numbers and the image of a usual generator."""

    def make(folder):
        latent = keras.Input((8,))
        ink = layers.Reshape((28, 28, 1))(layers.Dense(784, "tanh")(latent))
        built = build(latent, ink)
        (built if isinstance(built, keras.Model) else keras.Model(latent, built)).save(folder / "m.keras")

    return make


def with_weights(value):
    def make(folder):
        generator = wgan.build_generator(8)
        generator.set_weights([np.full_like(weight, value) for weight in generator.get_weights()])
        generator.save(folder / "m.keras")

    return make


def of_integers(latent, ink):
    numbers = keras.Input((8,), dtype="int32")
    return keras.Model(numbers, layers.Reshape((28, 28, 1))(layers.Dense(784)(numbers)))


def of_a_named_input(latent, ink):
    return keras.Model({"a": latent}, ink)


def of_two_inputs(latent, ink):
    other = keras.Input((8,))
    return keras.Model([latent, other], layers.Add()([ink, layers.Reshape((28, 28, 1))(layers.Dense(784)(other))]))


def of_false_labels(latent, ink):
    """Layers whose names are nearly those of labels."""
    names = ("labels_0-9", "labels_9-0", "labels_", "labels_1_0", "labels_0-99999999999999")
    for name in names:
        latent = layers.Dense(8 if name == "labels_0-9" else 2, name=name)(latent)
    return layers.Reshape((28, 28, 1))(layers.Dense(784, "tanh")(latent))


def foreign(name, module="keras.layers", **config):
    return {"class_name": name, "module": module, "config": config, "registered_name": None}


# ---- the tables ------------------------------------------------------------------------------------------------------

DATA = [
    Row("FIFO", fifo("d.npz"), "wgan train --data d.npz", 2, "FIFO"),
    Row("FIFO of images", fifo("train-images-idx3-ubyte"), "wgan train --data train-images-idx3-ubyte", 2, "FIFO"),
    Row("folder of a FIFO", fifo("a.png"), "wgan train --data .", 2, "holds neither"),
    Row("device", None, "wgan train --data /dev/zero", 2, "device"),
    Row("link to a device", link("d.npz", "/dev/zero"), "wgan train --data d.npz", 2, "device"),
    Row("folder of a device", link("a.png", "/dev/zero"), "wgan train --data .", 2, "holds neither"),
    Row("socket", bound_socket("d.npz"), "wgan train --data d.npz", 2, "socket"),
    Row("circular link", link("d.npz", "d.npz"), "wgan train --data d.npz", 2, "symbolic links"),
    Row("dangling link", link("d.npz", "nothing"), "wgan train --data d.npz", 2, "no such file"),
    Row("long name", None, f"wgan train --data {'n' * 300}", 2, "name too long"),
    Row("line feed", None, "wgan train --data 'a\nb.npz'", 2, "a b.npz: no such file"),
    Row("not UTF-8", None, "wgan train --data \udcff.npz", 2, "no such file"),
    Row("npy", lambda folder: np.save(folder / "d.npy", GREY), "wgan train --data d.npy", 2, "savez_compressed"),
    Row("empty npz", file("d.npz", b""), "wgan train --data d.npz", 2, "not a zip file"),
    Row("npz of objects", npz("d.npz", x_train=np.array([{}])), "wgan train --data d.npz", 2, "pickled"),
    Row("PostScript as png", file("s/a.png", POSTSCRIPT), "wgan train --data s", 2, "cannot identify"),
    Row("TIFF as png", image("s/a.png", format="TIFF"), "wgan train --data s", 2, "cannot identify"),
]  # fmt: skip

GENERATE = "wgan generate --model m.keras"
MODELS = [
    Row("FIFO", fifo("m.keras"), GENERATE, 2, "FIFO"),
    Row("device", None, "wgan generate --model /dev/zero", 2, "device"),
    Row("link to a device", link("m.keras", "/dev/zero"), GENERATE, 2, "device"),
    Row("socket", bound_socket("m.keras"), GENERATE, 2, "socket"),
    Row("circular link", link("m.keras", "m.keras"), GENERATE, 2, "symbolic links"),
    Row("long name", None, f"wgan generate --model {'n' * 300}.keras", 2, "name too long"),
    Row("line feed", None, "wgan generate --model 'a\nb.keras'", 2, "a b.keras: no such file"),
    Row("another suffix", file("m.h5", b"\x89HDF\r\n\x1a\n" + archive({})), "wgan generate --model m.h5", 2, ".keras"),
    Row("large metadata", padded("metadata.json"), GENERATE, 2, "claim to hold"),
    Row("large config", padded("config.json", 5 * 2**20), GENERATE, 2, "more than"),
    Row("large weights", padded("model.weights.h5"), GENERATE, 2, "claim to hold"),
    Row("large asset", padded("assets/a"), GENERATE, 2, "claim to hold"),
    Row("deep config", described("[" * 100_000), GENERATE, 2, "not a .keras file"),
    Row("config is a list", described("[]"), GENERATE, 2, "not a .keras file"),
    Row("config is null", described("null"), GENERATE, 2, "not a .keras file"),
    Row("config is empty", described("{}"), GENERATE, 2, "cannot load it"),
    Row("class name is a list", layer(class_name=[]), GENERATE, 2, "not a .keras file"),
    Row("layer of another package", layer(module="os", class_name="system"), GENERATE, 2, "'system' of 'os'"),
    Row("layer without a module", layer(module=None), GENERATE, 2, "of 'None'"),
    Row("registered name", layer(registered_name="mine>Dense"), GENERATE, 2, "not known to be safe"),
    Row("foreign layer", layer(**foreign("TorchModuleWrapper")), GENERATE, 2, "'TorchModuleWrapper'"),
    Row("layer of tomorrow", layer(**foreign("Shell")), GENERATE, 2, "'Shell'"),
    Row(
        "lambda as activation",
        layer(config={"units": 1, "activation": foreign("__lambda__", None, value="aW1wb3J0IG9z")}),
        GENERATE,
        2,
        "'__lambda__'",
    ),
    Row(
        "function as initializer",
        layer(config={"units": 1, "kernel_initializer": foreign("function", "keras.utils")}),
        GENERATE,
        2,
        "'function'",
    ),
    Row("bool images", model(lambda latent, ink: ink > 0), GENERATE, 2, "not known to be safe"),
    Row("uint8 images", model(lambda latent, ink: layers.Identity(dtype="uint8")(ink)), GENERATE, 2, "not float"),
    Row("named images", model(lambda latent, ink: {"a": ink}), GENERATE, 2, "has a dictionary as input or output"),
    Row("two images", model(lambda latent, ink: [ink, ink]), GENERATE, 2, "maps"),
    Row("named input", model(of_a_named_input), GENERATE, 2, "has a dictionary as input or output"),
    Row("two inputs", model(of_two_inputs), GENERATE, 2, "maps"),
    Row("integers as input", model(of_integers), GENERATE, 2, "not float"),
    Row("weights of NaN", with_weights(np.nan), GENERATE, 2, "not finite"),
    Row("infinite weights", with_weights(np.inf), GENERATE, 2, "not finite"),
]  # fmt: skip

SOURCES = [
    Row("FIFO as npz", fifo("p.npz"), "evaluate p.npz", 2, "FIFO"),
    Row("FIFO as model", fifo("p.keras"), "evaluate p.keras", 2, "FIFO"),
    Row("device", None, "evaluate /dev/zero", 2, "device"),
    Row("link to a device", link("p.keras", "/dev/zero"), "evaluate p.keras", 2, "device"),
    Row("socket", bound_socket("p.npz"), "evaluate p.npz", 2, "socket"),
    Row("circular link", link("p.npz", "p.npz"), "evaluate p.npz", 2, "symbolic links"),
    Row("path of 300 bytes", None, f"evaluate {'n' * 300}", 2, "name too long"),
    Row("name of 255 bytes", None, f"evaluate {'n' * 251}.npz", 2, "no such file"),
    Row("line feed", None, "evaluate 'a\nb'", 2, "a b: no such file"),
    Row("not UTF-8", None, "evaluate \udcff", 2, "no such file"),
    Row("empty word", None, "evaluate ''", 2, "not a path"),
    Row("zero byte", None, "evaluate 'a\0b'", 2, "not a path"),
    Row("npy", lambda folder: np.save(folder / "d.npy", GREY), "evaluate d.npy", 2, "savez_compressed"),
    Row("text as npz", file("d.npz", b"text"), "evaluate d.npz", 2, "damaged"),
    Row("text as model", file("d.keras", b"text"), "evaluate d.keras", 2, "damaged"),
    Row("zip without a model", file("d.keras", archive({})), "evaluate d.keras", 2, "get it or create it again"),
    Row("zip without arrays", file("d.npz", archive({})), "evaluate d.npz", 2, "holds []"),
    Row("npz of objects", npz("d.npz", images=np.array([{}])), "evaluate d.npz", 2, "pickled"),
    Row("npz of floats", npz("d.npz", images=GREY / 255.0), "evaluate d.npz", 2, "float64"),
    Row("PostScript as png", file("s/a.png", POSTSCRIPT), "evaluate s", 2, "cannot identify"),
    Row("folder of a FIFO", fifo("a.png"), "evaluate .", 2, "holds 0 images"),
    Row("weights of NaN", with_weights(np.nan), "evaluate m.keras --images 5", 2, "not finite"),
    Row("bool images", model(lambda latent, ink: layers.Identity(dtype="bool")(ink)), "evaluate m.keras", 2, "float"),
    Row("named images", model(lambda latent, ink: {"a": ink}), "evaluate m.keras", 2, "has a dictionary"),
    Row("foreign layer", layer(**foreign("TFSMLayer")), "evaluate m.keras", 2, "'TFSMLayer'"),
    Row("large metadata", padded("metadata.json"), "evaluate m.keras", 2, "claim to hold"),
]  # fmt: skip

HEADING, ONE = b"file,digit\n", b"file,digit\ndigit_00000.png,7\n"
LABELS_OF_SOURCES = [
    Row("no label", labelled(HEADING), "evaluate s", 2, "no label for digit_00000.png"),
    Row("another image", labelled(HEADING + b"a.png,7\n"), "evaluate s", 2, "no label for digit_00000.png"),
    Row("word", labelled(ONE.replace(b"7", b"seven")), "evaluate s", 2, "seven"),
    Row("below zero", labelled(ONE.replace(b"7", b"-1")), "evaluate s", 2, "-1"),
    Row("fraction", labelled(ONE.replace(b"7", b"7.0")), "evaluate s", 2, "7.0"),
    Row("too large", labelled(ONE.replace(b"7", b"7" * 5000)), "evaluate s", 2, "is not an image and its label"),
    Row("cut off", labelled(ONE[:-2]), "evaluate s", 2, "is not an image and its label"),
    Row("two labels", labelled(ONE + ONE[11:]), "evaluate s", 2, "two labels for digit_00000.png"),
    Row("zero bytes", labelled(HEADING + bytes(2**24)), "evaluate s", 2, "labels.csv"),
    Row("endless quotes", labelled(HEADING + b'"' + b"x\n" * 2**22), "evaluate s", 2, "cannot be read"),
    Row("line feed", labelled(HEADING, "a\nb.png"), "evaluate s", 2, "no label for a b.png"),
    Row("not UTF-8", labelled(HEADING, "\udcff.png"), "evaluate s", 2, "no label for"),
    Row("no labels", image("s/a.png"), "evaluate s --gan-train", 2, "it has none"),
    Row("foreign", labelled(b"name,label\n"), "evaluate s --gan-train", 2, "it has none"),
    Row("confidences", labelled(b"file,digit,confidence\n"), "evaluate s --gan-train", 2, "it has none"),
    Row("FIFO", labelled(fifo("s/labels.csv")), "evaluate s --gan-train", 2, "it has none"),
    Row("device", labelled(link("s/labels.csv", "/dev/zero")), "evaluate s --gan-train", 2, "it has none"),
    Row("circular link", labelled(link("s/labels.csv", "labels.csv")), "evaluate s --gan-train", 2, "it has none"),
    Row("dangling link", labelled(link("s/labels.csv", "nothing")), "evaluate s --gan-train", 2, "it has none"),
    Row("letters", labelled(ONE.replace(b"7", b"26")), "evaluate s --gan-train", 2, "its labels are 26 to 26"),
    Row("one image", labelled(ONE), "evaluate s --gan-train", 2, "128 images or more"),
    Row("too few labels", npz("d.npz", x_train=GREY, y_train=GREY[:2, 0, 0]), "evaluate d.npz", 2, "2 train labels"),
    Row("below zero", npz("d.npz", x_train=GREY, y_train=-np.ones(3, int)), "evaluate d.npz", 2, "0 or more"),
    Row("floats", npz("d.npz", x_train=GREY, y_train=np.ones(3)), "evaluate d.npz", 2, "must be integers"),
    Row("table", npz("d.npz", x_train=GREY, y_train=GREY[0]), "evaluate d.npz", 2, "must be integers"),
    Row("objects", npz("d.npz", x_train=GREY, y_train=np.array([{}] * 3)), "evaluate d.npz", 2, "pickled"),
    Row("no labels", npz("d.npz", x_train=GREY), "evaluate d.npz --gan-train", 2, "it has none"),
    Row("letters", npz("d.npz", x_train=GREY, y_train=[1, 9, 26]), "evaluate d.npz --gan-train", 2, "1 to 26"),
    Row("no labels", model(lambda latent, ink: ink), "evaluate m.keras --gan-train", 2, "it has none"),
    Row("false labels", model(of_false_labels), "evaluate m.keras --gan-train", 2, "it has none"),
]  # fmt: skip

DIGITS = npz("d.npz", images=GREY)
COPY, LABELS, PAGE = "evaluate d.npz --digit 7 --copy-to ", "evaluate d.npz --labels ", "evaluate d.npz --page "
SUB = several(DIGITS, lambda folder: (folder / "sub").mkdir())
OUTPUTS = [
    Row("here", DIGITS, COPY + ".", 2, "new folder"),
    Row("link to an empty folder", several(SUB, link("link", "sub")), COPY + "link", 2, "new folder"),
    Row("above", SUB, COPY + "sub/..", 2, "new folder"),
    Row("root", DIGITS, COPY + "/", 2, "new folder"),
    Row("file", DIGITS, COPY + "d.npz", 2, "not an empty folder"),
    Row("circular link", several(DIGITS, link("c", "c")), COPY + "c", 2, "new folder"),
    Row("FIFO", several(DIGITS, fifo("c")), COPY + "c", 2, "not an empty folder"),
    Row("name of 255 bytes", DIGITS, COPY + "n" * 255, 2, "longer than 200 bytes"),
    Row("path of 300 bytes", DIGITS, COPY + "n" * 300, 2, "longer than 200 bytes"),
    Row("folder of 300 bytes", DIGITS, COPY + "n" * 300 + "/a", 2, "no folder"),
    Row("the user's", several(DIGITS, file("l.csv")), LABELS + "l.csv", 2, "did not write it"),
    Row("the user's", several(DIGITS, image("p.png")), PAGE + "p.png", 2, "did not write it"),
    Row("the user's, in capitals", several(DIGITS, file("L.CSV")), LABELS + "L.CSV", 2, "did not write it"),
    Row("FIFO", several(DIGITS, fifo("l.csv")), LABELS + "l.csv", 2, ".csv file"),
    Row("folder", several(DIGITS, lambda folder: (folder / "l.csv").mkdir()), LABELS + "l.csv", 2, ".csv file"),
    Row("circular link", several(DIGITS, link("l.csv", "l.csv")), LABELS + "l.csv", 2, ".csv file"),
    Row("name of 255 bytes", DIGITS, LABELS + "n" * 251 + ".csv", 2, "longer than 200 bytes"),
    Row("line feed", DIGITS, LABELS + "'no\nfolder/l.csv'", 2, "no folder/l.csv: there is no folder"),
    Row("names not UTF-8", image("s/\udcff.png"), "evaluate s --labels l.csv", 2, "not UTF-8"),
    Row("empty word", DIGITS, LABELS + "''", 2, "not a path"),
    Row("circular link", several(DIGITS, link("p.png", "p.png")), PAGE + "p.png", 2, ".png file"),
    Row("name of 255 bytes", DIGITS, PAGE + "n" * 251 + ".png", 2, "longer than 200 bytes"),
    Row("folder is a file", DIGITS, PAGE + "d.npz/p.png", 2, "no folder"),
    Row("link into the images", several(image("s/a.png"), link("l", "s")), "evaluate s --page l/p.png", 2, "inside"),
]  # fmt: skip
FOR_USERS = [  # root may read and write everything
    Row("unreadable folder", unreadable("s"), "evaluate s", 2, "Permission denied"),
    Row("below an unreadable folder", unreadable("s"), "evaluate s/a.npz", 2, "Permission denied"),
    Row("unreadable folder", unreadable("s"), "wgan train --data s", 2, "Permission denied"),
    Row("unreadable labels", labelled(unreadable_file("s/labels.csv")), "evaluate s", 2, "Permission denied"),
    Row("unreadable target", several(DIGITS, unreadable("s")), COPY + "s", 2, "Permission denied"),
    Row("unwritable place", several(DIGITS, unreadable("s")), LABELS + "s/l.csv", 2, ""),
]


def named(row):
    return f"{row.what}: {row.command[:60]}"


@pytest.mark.parametrize("row", DATA + SOURCES + LABELS_OF_SOURCES + OUTPUTS, ids=named)
def test_a_hostile_path_ends_in_one_line(row, tmp_path, monkeypatch, capfd):
    check(row, tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize("row", MODELS, ids=named)
def test_a_hostile_model_ends_in_one_line(row, tmp_path, monkeypatch, capfd):
    check(row, tmp_path, monkeypatch, capfd)


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read and write everything")
@pytest.mark.parametrize("row", FOR_USERS, ids=named)
def test_what_may_not_be_read_ends_in_one_line(row, tmp_path, monkeypatch, capfd):
    try:
        check(row, tmp_path, monkeypatch, capfd)
    finally:
        (tmp_path / "s").chmod(0o700)


def test_the_current_folder_is_not_replaced_by_copies(tmp_path, monkeypatch, capfd):
    """An empty folder may be, but a shell that stands in it would lose it."""
    digits = Path(evaluate_digits.__file__).parent / "data" / "mnist.npz"
    row = Row("here", None, f"evaluate {shlex.quote(str(digits))} --digit 7 --copy-to {tmp_path}", 2, "current folder")
    check(row, tmp_path, monkeypatch, capfd)


# ---- no code of a model file runs ------------------------------------------------------------------------------------


def saved_model_layer(folder):
    """A generator whose layer is a TensorFlow graph from the disk that writes a file."""

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8))])
        def serve(self, latent):
            with tf.control_dependencies([tf.io.write_file(str(folder / "ran"), "x")]):
                return tf.zeros((tf.shape(latent)[0], 28, 28, 1))

    writer = Writer()
    tf.saved_model.save(writer, str(folder / "graph"), signatures=writer.serve)
    outside = layers.TFSMLayer(str(folder / "graph"), call_endpoint="serve")
    keras.Sequential([keras.Input((8,)), outside]).save(folder / "m.keras")


def lambda_layer(folder):
    code = f"__import__('pathlib').Path({str(folder / 'ran')!r}).touch()"
    ink = layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(784,))  # noqa: S307
    keras.Sequential([keras.Input((8,)), layers.Dense(784), ink, layers.Reshape((28, 28, 1))]).save(folder / "m.keras")


def custom_class(folder):
    """A layer of a class that this process has registered, as a program that uses this one may have."""

    @keras.saving.register_keras_serializable("hostile")
    class Toucher(layers.Layer):
        def call(self, values):
            Path(folder, "ran").touch()
            return values

    ink = [layers.Dense(784), Toucher(), layers.Reshape((28, 28, 1))]
    keras.Sequential([keras.Input((8,)), *ink]).save(folder / "m.keras")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("make", [saved_model_layer, lambda_layer, custom_class])
def test_no_code_of_a_model_file_runs(make, nested, tmp_path, monkeypatch):
    make(tmp_path)
    if nested:  # in a model in the model
        with zipfile.ZipFile(tmp_path / "m.keras") as saved:
            inner = json.loads(saved.read("config.json"))
        outer = edited(
            keras.Sequential([keras.Input((8,)), layers.Identity()]),
            tmp_path / "outer.keras",
            lambda c: c["config"]["layers"].__setitem__(1, inner),
        )
        outer.rename(tmp_path / "m.keras")
    (tmp_path / "ran").unlink(missing_ok=True)
    with monkeypatch.context() as patch:
        # pytest.fail raises what no reader catches.
        patch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked to load it"))
        with pytest.raises(models.ModelError, match="could run code"):
            models.load_generator(tmp_path / "m.keras")
    assert not (tmp_path / "ran").exists()


def test_common_generators_are_loaded(tmp_path):
    """The list holds what people build generators from; the optimizer of a compiled one is no obstacle."""
    latent = keras.Input((8,))
    norm = {"kernel_regularizer": "l2", "bias_constraint": "max_norm", "kernel_initializer": "orthogonal"}
    values = layers.Dense(784, activation=layers.LeakyReLU(0.1), **norm)(latent)
    values = layers.Rescaling(2.0)(values) + layers.Dense(784, activation="swish")(latent) * 0.5
    values = layers.Reshape((28, 28, 1))(layers.GaussianNoise(0.1, seed=1)(values))
    values = layers.SpectralNormalization(layers.Conv2D(4, 3, padding="same"))(values)
    inner = keras.Sequential([keras.Input((28, 28, 4)), layers.Conv2D(1, 1, activation="tanh")])
    generator = keras.Model(latent, inner(values))
    generator.compile("adam", "mse")
    generator.save(tmp_path / "m.keras")
    loaded = models.load_generator(tmp_path / "m.keras")
    noise = np.ones((2, 8), np.float32)
    np.testing.assert_allclose(loaded(noise), generator(noise), rtol=1e-5, atol=1e-6)


def test_the_memory_follows_the_bytes_of_a_padded_file(tmp_path):
    """A member that claims 3 GB is refused by its declared size: nothing of it is read."""
    packed = io.BytesIO(archive({"metadata.json": b"{}" + b" " * 1000, "config.json": b"{}"}))
    content = packed.getvalue().replace((1002).to_bytes(4, "little"), (3_000_000_000).to_bytes(4, "little"))
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(models.ModelError, match="claim to hold 3,000,000"):
        models.load_generator(tmp_path / "m.keras")
