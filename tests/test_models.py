"""Model files: which ones are generators, one line about each that is not, and no code of a file ever runs."""

import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import wgan_handwritten_digits as wgan
from support.errors import InputError
from support.lazy import keras, tf
from support.models import PRETRAINED, find_generator, load_generator, save_model


def archive(path, members):
    """Writes a zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def members_of(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def dense(units=784):
    """A small generator; with other units, the rest of one."""
    shape = [keras.layers.Reshape((28, 28, 1))] if units == 784 else []
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(units), *shape])


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The members of the file of a generator."""
    path = tmp_path_factory.mktemp("good") / "m.keras"
    save_model(dense(), path)
    return members_of(path)


# ----------------------------------------------------------------------------- files that are damaged, foreign, hostile
def layer(**keys):
    """A function that writes a good file with these keys in the description of a layer, or of its settings."""

    def make(path, good):
        config = json.loads(good["config.json"])
        described = config["config"]["layers"][1]
        for key, value in keys.items():
            (described if key in described else described["config"])[key] = value
        archive(path, good | {"config.json": json.dumps(config)})

    return make


def member(name, content):
    """A function that writes a good file with another content of a member."""
    return lambda path, good: archive(path, good | {name: content})


def truncated(path, good):
    archive(path, good)
    os.truncate(path, path.stat().st_size - 2000)


def model(build):
    """A function that writes the model build(latent, ink)."""

    def make(path, good):
        latent = keras.Input((8,))
        build(latent, dense()(latent)).save(path)

    return make


def with_nan(path, good):
    generator = dense()
    generator.set_weights([weight * np.nan for weight in generator.get_weights()])
    generator.save(path)


GET_FILE = {"class_name": "function", "module": "keras.utils", "config": "get_file"}
BAD = {
    "nothing": (lambda path, good: None, "m.keras: no such file or folder; train a generator first"),
    "a folder": (lambda path, good: path.mkdir(), "m.keras: folder; train"),
    "a FIFO": (lambda path, good: os.mkfifo(path), "m.keras: a device, FIFO or socket"),
    "a text": (lambda path, good: path.write_text("weights"), "is not a .keras file, or is damaged"),
    "truncated": (truncated, "is not a .keras file, or is damaged"),
    "a deep configuration": (member("config.json", "[" * 100_000), "is not a .keras file"),
    "a large configuration": (member("config.json", b" " * 5 * 2**20), "config.json has 5,242,880 bytes, more than"),
    "a zip bomb": (member("assets/x", bytes(40 * 2**20)), "bytes claim to hold 41,9"),
    "no weights": (member("model.weights.h5", b""), "cannot load it (saved by"),
    "a layer of another package": (layer(module="os", class_name="system"), "holds 'system' of 'os'"),
    "a layer of tomorrow": (layer(class_name="Shell"), "'Shell' of 'keras.layers', which is not known to be safe"),
    "a registered name": (layer(registered_name="mine>Dense"), "not known to be safe"),
    "a lambda as activation": (layer(activation={"class_name": "__lambda__"}), "'__lambda__' of 'None'"),
    "a function as initializer": (layer(kernel_initializer=GET_FILE), "'function' of 'keras.utils'"),
    "a critic": (lambda path, good: wgan.build_critic().save(path), "it maps (None, 28, 28, 1) to (None, 1)"),
    "flat images": (lambda path, good: dense(700).save(path), "it maps (None, 8) to (None, 700)"),
    "two outputs": (model(lambda latent, ink: keras.Model(latent, [ink, ink])), "it maps (None, 8) to [(None, 28, 28"),
    "a named output": (model(lambda latent, ink: keras.Model(latent, {"a": ink})), "has a dictionary as input or"),
    "weights of NaN": (with_nan, "draws values that are not finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_generator_gets_one_line(name, good, tmp_path):
    make, words = BAD[name]
    path = tmp_path / "m.keras"
    make(path, good)
    with pytest.raises(InputError) as error:
        load_generator(path)
    assert str(path) in str(error.value) and words in str(error.value)
    assert "\n" not in str(error.value)


def test_other_formats_in_which_keras_runs_code_are_refused(program, tmp_path):
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    status, [line] = program("generate --model m.h5")
    assert status == 2 and "m.h5: its name does not end with .keras" in line
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_of_a_newer_keras_says_how_to_get_it(good, tmp_path):
    metadata = json.dumps({"keras_version": "99.0"})
    layer(argument_of_tomorrow=1)(tmp_path / "m.keras", good | {"metadata.json": metadata})
    with pytest.raises(InputError, match=r"saved by 99\.0\); if that is newer: pip install -U keras: "):
        load_generator(tmp_path / "m.keras")


# ------------------------------------------------------------------------------------------------ code in a model file
def graph_layer(folder):
    """A generator with a layer that is a TensorFlow graph from the disk, and writes a file."""

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8))])
        def serve(self, latent):
            with tf.control_dependencies([tf.io.write_file(str(folder / "ran"), "x")]):
                return tf.zeros((tf.shape(latent)[0], 28, 28, 1))

    writer = Writer()
    tf.saved_model.save(writer, str(folder / "graph"), signatures=writer.serve)
    return [keras.layers.TFSMLayer(str(folder / "graph"), call_endpoint="serve")]


def lambda_layer(folder):
    code = f"__import__('pathlib').Path({str(folder / 'ran')!r}).touch()"
    return [keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(8,)), *dense().layers]


def custom_class(folder):
    """A layer of a class that this process has registered, as a program that uses this one may have."""

    @keras.saving.register_keras_serializable("hostile")
    class Toucher(keras.layers.Layer):
        def call(self, values):
            Path(folder, "ran").touch()
            return values

    return [Toucher(), *dense().layers]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("make", [graph_layer, lambda_layer, custom_class])
def test_no_code_of_a_model_file_runs(make, nested, good, tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((8,)), *make(tmp_path)]).save(path)
    if nested:  # a model in the model
        outer, inner = json.loads(good["config.json"]), json.loads(members_of(path)["config.json"])
        outer["config"]["layers"][1] = inner
        archive(path, good | {"config.json": json.dumps(outer)})
    (tmp_path / "ran").unlink(missing_ok=True)
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked to load it"))
    with pytest.raises(InputError, match="it could run code, so it is not loaded"):
        load_generator(path)
    assert not (tmp_path / "ran").exists()


# ----------------------------------------------------------------------------------------------------- good generators
def test_generators_of_common_layers_are_loaded(tmp_path):
    layers, latent = keras.layers, keras.Input((8,))
    norm = {"kernel_regularizer": "l2", "bias_constraint": "max_norm", "kernel_initializer": "orthogonal"}
    values = layers.Dense(784, activation=layers.LeakyReLU(0.1), **norm)(latent)
    values = layers.Rescaling(2.0)(values) + layers.Dense(784, activation="swish")(latent) * 0.5
    values = layers.Reshape((28, 28, 1))(layers.GaussianNoise(0.1, seed=1)(values))
    values = layers.SpectralNormalization(layers.Conv2D(4, 3, padding="same"))(values)
    inner = keras.Sequential([keras.Input((28, 28, 4)), layers.Conv2D(1, 1, activation="tanh")])
    generator = keras.Model(latent, inner(values))
    generator.compile("adam", "mse")  # an optimizer is no obstacle
    generator.save(tmp_path / "m.keras")
    noise = np.ones((2, 8), np.float32)
    np.testing.assert_allclose(load_generator(tmp_path / "m.keras")(noise), generator(noise), rtol=1e-5, atol=1e-6)


def test_a_saved_model_loads_in_the_oldest_keras_that_is_supported(tmp_path):
    """Keras 3.12 refuses settings that later versions write, even if they change nothing."""
    for network, layer_name in ((wgan.build_generator(8), "BatchNormalization"), (wgan.build_critic(), "Conv2D")):
        save_model(network, tmp_path / "m.keras")
        config = members_of(tmp_path / "m.keras")["config.json"].decode()
        assert layer_name in config
        assert not any(name in config for name in ("quantization_config", "renorm", "input_axes", "output_axes"))


def test_a_pretrained_generator_that_is_gone_can_be_got_back(monkeypatch, tmp_path):
    monkeypatch.setitem(PRETRAINED, "wgan", tmp_path / "generator.keras")
    with pytest.raises(InputError, match="git checkout saved_models/pretrained"):
        find_generator(SimpleNamespace(model="wgan", models_dir="saved_models"))
