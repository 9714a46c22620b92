"""The page digits.html, without a browser: what is in it, what it refuses, what it replaces."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import wgan_handwritten_digits as wgan
from support import device
from support.data import load_dataset
from support.lazy import keras
from support.models import PRETRAINED, load_generator, save_model
from support.options import options_from
from support.page import facts, network
from support.page.writing import build

device.import_tensorflow("cpu")
layers = keras.layers
RECORD = {
    "about": {
        "options": {"recipe": "cwgan", "latent_dim": 16, "seed": 3},
        "data": {"source": "/home/ada/secret/mnist.npz", "images": 60000},
        "device": {"name": "CPU, 2 cores"},
        "versions": {"program": "0.3.0"},
    },
    "seconds": 600.0,
    "final": {"epoch": 6},
}


class Reader(HTMLParser):
    """What a page contains: tags with their attributes; texts by the tag, or the id of a script, that they follow."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.inside = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = dict(attributes).get("id", tag) if tag == "script" else tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        self.texts[self.inside] = self.texts.get(self.inside, "") + data


@pytest.fixture(scope="module")
def generator():
    return wgan.build_generator(16, labels=tuple(range(10)))


def page_of(generator, model="generator.keras", checksum="0" * 64):
    text = build(generator, model, checksum)
    return text, Reader(text)


# ---------------------------------------------------------------------------------------------------- what is in it
def test_it_is_one_file_whose_policy_allows_its_own_script_and_style_alone(generator):
    text, page = page_of(generator)
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert name not in ("src", "href", "action") or value == "data:,", (name, value)
            assert not name.startswith("on") and name != "style", "the policy would stop it"
    (policy,) = (tag["content"] for _, tag in page.tags if tag.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for kind in ("script", "style"):
        checksum = base64.b64encode(hashlib.sha256(page.texts[kind].encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{checksum}'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert not re.search(r"https?:|//[a-z]+\.", text.replace(page.texts["weights"], "").replace(page.texts["real"], ""))
    assert json.loads(page.texts["network"])["labels"] == list(range(10))
    assert page_of(generator)[0] == text, "equal generators give equal pages"


@pytest.mark.parametrize("recipe", wgan.RECIPES)
def test_each_recipe_has_a_name_and_a_page(recipe, tmp_path):
    options = options_from({"recipe": recipe}, wgan.RECIPES)
    save_model(wgan.build_networks(options, tuple(range(10)))[1], tmp_path / "generator.keras")
    generator = load_generator(tmp_path / "generator.keras")
    assert len(network.describe(generator, recipe)["steps"]) > 5 and recipe in facts.METHODS


def test_the_demo_is_the_page_of_the_pretrained_generator_of_cwgan():
    path = PRETRAINED["cwgan"]
    page = build(load_generator(path), str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    assert (ROOT / "docs/demo.html").read_text(encoding="utf-8") == page


def test_real_digits_are_in_it_unless_the_run_learned_something_else(generator, tmp_path):
    model = tmp_path / "generator.keras"
    real = base64.b64decode(page_of(generator, model)[1].texts["real"])
    digits = np.frombuffer(real, np.uint8).reshape(200, 28, 28)
    assert len({digit.tobytes() for digit in digits} & {image.tobytes() for image in load_dataset().test_images}) == 200
    (tmp_path / "training").mkdir()
    record = tmp_path / "training/run.json"
    record.write_text('{"about": {"data": {"sha256": "abc"}, "options": {"latent_dim": 16}}}', encoding="utf-8")
    assert page_of(generator, model)[1].texts.get("real") is None
    record.write_text('{"about": {"data": ["no", "dictionary"]}}', encoding="utf-8")
    assert page_of(generator, model)[1].texts.get("real")
    labelled = wgan.build_generator(64, labels=(3, 12))
    assert page_of(labelled)[1].texts.get("real") is None


def test_it_has_the_pictures_of_at_most_twelve_epochs_of_its_run(generator, tmp_path):
    samples = tmp_path / "training/samples"
    samples.mkdir(parents=True)
    for epoch in range(1, 31):
        Image.new("L", (560, 560), epoch).save(samples / f"epoch_{epoch:04d}.png")
    (samples / "epoch_0030.png").write_bytes(b"damaged")
    epochs = json.loads(page_of(generator, tmp_path / "generator.keras")[1].texts["epochs"])
    assert len(epochs) == 11 and epochs[0]["epoch"] == 1
    for picture in epochs:
        shown = Image.open(io.BytesIO(base64.b64decode(picture["png"])))
        assert shown.size == (280, 280) and shown.getpixel((9, 9)) == picture["epoch"]
    assert page_of(generator)[1].texts["epochs"] == "[]"


# --------------------------------------------------------------------------------------------- what it says of a run
def words(folder, generator, record=None, place="run.json", **figures):
    """The text about a generator whose folder contains these files."""
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record or RECORD), encoding="utf-8")
    if figures:
        (folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", facts.describe(generator, folder / "generator.keras", "abc")))


def test_it_names_the_recipe_and_the_run_if_the_record_is_intact_and_of_this_network(generator, tmp_path):
    assert "not recorded" in facts.describe(generator, tmp_path / "generator.keras", "abc")
    for place in ("training/run.json", "run.json"):
        found = words(tmp_path, generator, place=place)
        for part in ("weight clipping and labels", "cwgan", "6 epochs, 60,000 images, mnist.npz, seed 3", "10 minutes"):
            assert part in found
        assert "ada" not in found, "the folders of a person's computer are not for others"
        other = {**RECORD, "about": {**RECORD["about"], "options": {"latent_dim": 17}}}
        assert "not recorded" in words(tmp_path, generator, other, place)
        (tmp_path / place).write_text("{", encoding="utf-8")
        assert "not recorded" in facts.describe(generator, tmp_path / "generator.keras", "abc")


def test_a_record_may_lack_anything_or_contain_anything(generator, tmp_path):
    for value in (None, [], {}, -1, 1e308, True, "x" * 10_000, "<script>alert(1)</script>", "\ud800"):
        record = json.loads(json.dumps(RECORD), object_hook=lambda part, value=value: {key: value for key in part})
        record["about"] = {"options": {"latent_dim": 16, "recipe": value, "seed": value}, "data": value}
        words(tmp_path, generator, record, figures={"sha256": "abc", "figures": value, "real": {"recall": value}})
        text, page = page_of(generator, tmp_path / "<b>generator.keras", "abc")
        assert [tag for tag, _ in page.tags].count("script") == 5 and "<b>" not in text
        text.encode("utf-8")  # can be written


def test_it_has_the_figures_of_this_model_alone(generator, tmp_path):
    report = json.loads((PRETRAINED["wgan"].parent / "figures.json").read_text(encoding="utf-8"))
    report["figures"]["gan_test"], report["real"]["gan_test"] = 0.9876, 0.9931
    found = words(tmp_path, generator, **{**report, "sha256": "abc"})
    for part in (
        "measured on 25,000",
        "Fréchet distance ↓ 0.077 0.058",
        "confident ↑ 0.981 0.991",
        "GAN-test ↑ 0.9876",
    ):
        assert part in found
    assert "Fréchet" not in words(tmp_path, generator, **report)


# ------------------------------------------------------------------------------- what it refuses, what it replaces
def functional(*between):
    latent = value = keras.Input((8,))
    for layer in between:
        value = layer(value)
    value = layers.Dense(784)(layers.Flatten()(value))
    return keras.Model(latent, layers.Reshape((28, 28, 1))(value))


def twice():
    latent, layer = keras.Input((8,)), layers.Dense(8)
    value = layers.Dense(784)(layer(layer(latent)))
    return keras.Model(latent, layers.Reshape((28, 28, 1))(value))


def image():
    return layers.Reshape((2, 2, 2))


UNKNOWN = {
    "(Conv2D): a page can compute only Dense": lambda: functional(image(), layers.Conv2D(3, 2)),
    "(Sequential)": lambda: functional(keras.Sequential([layers.Dense(8)])),
    "not 'elu'": lambda: functional(layers.Dense(8, activation="elu")),
    "dilation_rate (1, 1)": lambda: functional(image(), layers.Conv2DTranspose(3, 2, dilation_rate=2)),
    "not 'channels_first'": lambda: functional(image(), layers.Flatten("channels_first")),
    "axis -1": lambda: functional(image(), layers.BatchNormalization(axis=1)),
    "max_value None": lambda: functional(layers.ReLU(6)),
    "uses a layer twice": twice,
}


@pytest.mark.parametrize("words", UNKNOWN)
def test_what_a_page_cannot_compute_is_one_line_and_nothing_is_written(words, program, tmp_path):
    save_model(UNKNOWN[words](), "my.keras")
    status, lines = program("page --model my.keras --models-dir out")
    assert status == 2 and len(lines) == 1 and "my.keras: " in lines[0] and words in lines[0]
    assert not (tmp_path / "out").exists()


def test_the_command_writes_it_and_replaces_its_own_page_not_that_of_the_user(program, tmp_path):
    status, lines = program("page --model wgan --models-dir out")
    assert status == 0 and "digits.html (1.8 MB)" in lines[-1]
    text = (tmp_path / "out/digits.html").read_text(encoding="utf-8")
    assert "170 epochs" in text and "Fréchet distance ↓" in text
    (tmp_path / "out/digits.html").write_text(text[:1000], encoding="utf-8")  # damaged, but ours
    assert program("page --model wgan --models-dir out")[0] == 0
    assert (tmp_path / "out/digits.html").read_text(encoding="utf-8") == text
    (tmp_path / "digits.html").write_text("mine")
    status, lines = program("page --model wgan --models-dir .")
    assert status == 2 and "digits.html: is in the way" in lines[-1]
    assert (tmp_path / "digits.html").read_text() == "mine"
