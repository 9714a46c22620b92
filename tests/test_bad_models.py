"""Model files that are no generators: each gets one line and status 2, and none runs code of its own."""

import io
import json
import zipfile

import pytest
from conftest import run_script

import wgan_handwritten_digits as wgan
from support.machine.devices import import_tensorflow, keras
from support.results.models import ModelError, load_generator

import_tensorflow("cpu")


def saved(model, path):
    model.save(path)
    return path


def edited(model, path, change):
    """A saved model with its config.json changed."""
    saved(model, path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def generator():
    return wgan.build_generator(8)


def archive(members):
    """The bytes of a zip file of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def of_newer_keras(config):
    config["config"]["layers"][1]["config"]["argument_of_tomorrow"] = 1


def of_a_custom_class(config):
    config["config"]["layers"][1] |= {"module": "os", "class_name": "system", "registered_name": "system"}


@pytest.fixture
def bad(tmp_path):
    """A maker of the bad files by name."""
    path = tmp_path / "model.keras"

    def write(content):
        path.write_bytes(content)
        return path

    def truncated():
        saved(generator(), path)
        return write(path.read_bytes()[:-2000])

    def lambda_layer():
        code = f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()"
        layer = keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(784,))  # noqa: S307
        layers = [keras.Input((8,)), keras.layers.Dense(784), layer, keras.layers.Reshape((28, 28, 1))]
        saved(keras.Sequential(layers), path)
        (tmp_path / "ran").unlink(missing_ok=True)
        return path

    def of_shape(*shape):
        size = 1
        for side in shape:
            size *= side
        return saved(keras.Sequential([keras.Input((8,)), keras.layers.Dense(size), keras.layers.Reshape(shape)]), path)

    def two_inputs():
        a, b = keras.Input((8,)), keras.Input((8,))
        image = keras.layers.Reshape((28, 28, 1))(keras.layers.Dense(784)(keras.layers.Add()([a, b])))
        return saved(keras.Model([a, b], image), path)

    return {
        "missing": lambda: tmp_path / "missing.keras",
        "folder": lambda: tmp_path,
        "empty": lambda: write(b""),
        "text": lambda: write(b"weights, honestly"),
        "zeros": lambda: write(bytes(10_000)),
        "truncated": truncated,
        "empty zip": lambda: write(archive({})),
        "zip of something else": lambda: write(archive({"a.txt": "a"})),
        "metadata that is no json": lambda: write(archive({"metadata.json": "{"})),
        "metadata that is a list": lambda: write(archive({"metadata.json": "[]"})),
        "metadata alone": lambda: write(archive({"metadata.json": '{"keras_version": "3.15.1"}'})),
        "config that is no json": lambda: write(
            archive({"metadata.json": '{"keras_version": "3.15.1"}', "config.json": "{", "model.weights.h5": ""})
        ),
        "no weights": lambda: write(
            archive(
                {"metadata.json": '{"keras_version": "3.15.1"}', "config.json": json.dumps(generator().get_config())}
            )
        ),
        "critic": lambda: saved(wgan.build_critic(), path),
        "larger images": lambda: of_shape(32, 32, 1),
        "colour images": lambda: of_shape(28, 28, 3),
        "flat images": lambda: of_shape(784),
        "two inputs": two_inputs,
        "lambda": lambda_layer,
        "newer keras": lambda: edited(generator(), path, of_newer_keras),
        "custom class": lambda: edited(generator(), path, of_a_custom_class),
    }


NAMES = [
    "missing", "folder", "empty", "text", "zeros", "truncated", "empty zip", "zip of something else",
    "metadata that is no json", "metadata that is a list", "metadata alone", "config that is no json", "no weights",
    "critic", "larger images", "colour images", "flat images", "two inputs", "lambda", "newer keras", "custom class",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_no_generator_gets_one_line(bad, name, tmp_path):
    assert set(NAMES) == set(bad)
    path = bad[name]()
    with pytest.raises(ModelError) as error:
        load_generator(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_the_program_says_so_with_status_2_and_writes_nothing(tmp_path):
    process = run_script("generate", "--model", "missing.keras", cwd=tmp_path)
    assert process.returncode == 2
    assert len(process.stderr.splitlines()) == 1 and "missing.keras" in process.stderr
    assert not list(tmp_path.iterdir())
