"""The page digits.html in a real browser. Skipped if there is no Chromium."""

import json

import numpy as np
import pytest
from browser import browser, find_browser
from PIL import Image
from scipy.stats import binom

import wgan_handwritten_digits as wgan
from support import device
from support.drawing import set_choice, to_pixels
from support.evaluation import classifier
from support.lazy import keras
from support.models import PRETRAINED, load_generator
from support.page.writing import build

device.import_tensorflow("cpu")
layers = keras.layers
DRAW = "Array.from(draw(network, Float32Array.from({})))"
WRITTEN = "shown.get(find('written'))[0].map((image) => image && Array.from(image))"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not find_browser(), reason="needs Chromium or Chrome")]


@pytest.fixture(scope="module")
def page():
    with browser() as page:
        page.resize(1000)
        yield page


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """The address of the page of an untrained generator with the labels 0 to 9, and the generator."""
    generator = random_weights(wgan.build_generator(64, labels=tuple(range(10))))
    return write(generator, tmp_path_factory.mktemp("labelled")), generator


def write(generator, folder):
    """Writes the page of a generator to a folder; returns its address."""
    path = folder / "digits.html"
    path.write_text(build(generator, "generator.keras", "0" * 64), encoding="utf-8")
    return path.as_uri()


def random_weights(generator):
    """The generator with random values everywhere, such that its images have all greys, as a trained one's."""
    random = np.random.default_rng(0)
    for variable in generator.variables:
        if "moving_variance" in variable.path:
            variable.assign(random.uniform(0.5, 2, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(random.normal("gamma" in variable.path, 0.3, variable.shape))
        elif variable.trainable:
            variable.assign(random.normal(0, 1.5 / np.sqrt(np.prod(variable.shape[:-1])), variable.shape))
    return generator


def other_layers():
    """Layers and settings that no recipe uses, in a sequential model."""
    return keras.Sequential(
        [
            keras.Input((7,)),
            layers.Dense(5 * 4 * 3, activation="relu"),
            layers.Reshape((5, 4, 3)),
            layers.Dropout(0.5),
            layers.Conv2DTranspose(5, (3, 2), strides=(1, 2), padding="valid", activation="leaky_relu"),
            layers.BatchNormalization(center=False, scale=False),
            layers.Conv2DTranspose(3, (3, 6), strides=(2, 3), padding="same"),
            layers.ReLU(negative_slope=0.1),
            layers.Conv2DTranspose(1, 1, activation="sigmoid"),
            layers.Flatten(),
            layers.Identity(),
            layers.Dense(784),
            layers.Rescaling(0.5, offset=-0.1),
            layers.Activation("tanh"),
            layers.Reshape((28, 28, 1)),
        ]
    )


GENERATORS = {
    "pretrained wgan": lambda: load_generator(PRETRAINED["wgan"]),
    "pretrained cwgan": lambda: load_generator(PRETRAINED["cwgan"]),
    "other layers": lambda: random_weights(other_layers()),
}


# ------------------------------------------------------------------------------------------------------ what it draws
@pytest.mark.parametrize("name", GENERATORS)
def test_it_draws_what_keras_draws(page, name, tmp_path):
    generator = GENERATORS[name]()
    address = write(generator, tmp_path)
    latents = np.random.default_rng(1).normal(size=(23, generator.input_shape[-1])).astype(np.float32)
    expected = to_pixels(generator(latents, training=False)).numpy()
    assert expected.std() > 20
    page.open(address)
    page.wait_for("find('digits-note').textContent.startsWith('Drawn in')")
    pixels = np.reshape(page.run(DRAW.format(latents.ravel().tolist())), expected.shape)
    assert np.abs(pixels - expected).max() <= 2
    assert page.problems == [] and page.requests == [address]


def test_the_canvas_shows_the_digits_in_the_colours_of_the_page(page, labelled):
    def agreement():
        """The correlation of what the canvas shows in its first row with the ink of these ten digits."""
        images = np.reshape(
            page.run("shown.get(find('digits'))[0].slice(0, 10).map((i) => Array.from(i))"), (10, 28, 28)
        )
        canvas = "find('digits').getContext('2d').getImageData(0, 0, 1120, 112).data"
        red = np.reshape(page.run(f"Array.from({canvas}).filter((_, i) => i % 4 == 0)"), (28, 4, 280, 4))
        return np.corrcoef(red.mean((1, 3)).ravel(), images.swapaxes(0, 1).ravel())[0, 1]

    for dark in (False, True):
        page.resize(1000, dark=dark)
        page.open(labelled[0])
        page.wait_for("find('digits-note').textContent.startsWith('Drawn in')")
        assert agreement() * (1 if dark else -1) > 0.9
    page.resize(1000)


# ---------------------------------------------------------------------------------------------- what one can do with it
def test_a_typed_number_is_written_by_one_hand(page, labelled):
    page.open(labelled[0])
    assert page.run("find('text').value") == "2026"
    page.run("find('text').select()")
    page.press(*"40 4")
    first, _, gap, third = page.run(WRITTEN)
    assert gap is None and first != third
    latents = page.run(
        "[4, 0, 4].map((place, i) => Array.from(labelled(handwritten(hand, i && 2 * i - 1, 64), place)))"
    )
    assert np.argmax(np.array(latents)[:, :10], axis=1).tolist() == [4, 0, 4]
    assert np.abs(np.array(latents[0]) - latents[2])[10:].mean() < 0.5 < np.std(latents[0]), "one hand"
    page.press("7")
    page.run("find('write-again').click()")
    assert page.run(WRITTEN)[0] != first
    page.press("a")
    assert "only 0, 1, 2" in page.run("find('text-note').textContent")
    assert len(page.run(WRITTEN)) == 5
    assert page.problems == []


def test_a_choice_is_set_as_in_the_program(page, labelled):
    page.open(labelled[0])
    latents = np.random.default_rng(2).normal(size=(30, 64)).astype(np.float32)
    latents[0, 3] = latents[0, :10].max()  # a tie
    places = np.arange(30) % 10
    found = page.run(f"{latents.tolist()}.map((row, i) => Array.from(setChoice(Float32Array.from(row), i % 10, 10)))")
    np.testing.assert_allclose(found, set_choice(latents, places, 10), atol=1e-6)


def test_random_numbers_are_normal_and_hands_differ(page, labelled):
    page.open(labelled[0])
    numbers = np.array(page.run("Array.from(normalNumbers(1, 100000))"))
    assert abs(numbers.mean()) < 0.02 and abs(numbers.std() - 1) < 0.02
    assert abs((np.abs(numbers) < 1).mean() - 0.683) < 0.01 and np.abs(numbers).max() < 6
    vectors = np.array(page.run("Array.from({length: 300}, (_, i) => Array.from(normalNumbers(foldIn(5, i), 64)))"))
    assert np.abs(np.corrcoef(vectors) - np.eye(300)).max() < 0.75, "neighbours have nothing in common"


def test_other_labels_are_typed_with_spaces_and_without_labels_nothing_is_asked(page, tmp_path):
    page.open(write(wgan.build_generator(64, labels=(3, 7, 12)), tmp_path))
    assert page.run("find('text').value") == "3 7 12" and len(page.run(WRITTEN)) == 3
    assert page.run("readLabels('12, 7 8 3')") == [2, 1, -1, 0]
    page.open(write(wgan.build_generator(64), tmp_path))
    for part in ("writing", "ends"):
        assert page.run(f"getComputedStyle(find('{part}')).display") == "none"


def test_the_walk_goes_from_one_digit_to_the_other(page, labelled):
    page.open(labelled[0])
    walk = "shown.get(find('walk'))[0].map((image) => Array.from(image))"
    page.run("find('part').focus()")
    start, middle, end = page.run(walk)
    assert middle not in (start, end)
    page.press("ArrowRight")
    assert page.run("find('part').value") == "51" and page.run(walk)[1] != middle
    page.press("Home")
    assert page.run(walk) == [start, start, end]
    page.press("End")
    assert page.run(walk) == [start, end, end]
    points = page.run("[0, 0.25, 1].map((part) => Array.from(between(walk[0], walk[1], part)))")
    lengths = np.linalg.norm(points, axis=1)
    assert min(lengths[0], lengths[2]) * 0.99 < lengths[1] < max(lengths[0], lengths[2]) * 1.01, "no shorter in between"
    page.run("find('start').value = 3, find('start').dispatchEvent(new Event('change'))")
    assert page.run(walk)[0] != start and page.run(walk)[2] == end
    page.run("find('walk-again').click()")
    assert page.run(walk)[2] != end


def test_a_round_of_the_game_by_keyboard(page, labelled):
    page.open(labelled[0])
    marks = "cards().map((card) => card.getAttribute('aria-pressed'))"
    pixels = "cards().map((card) => shown.get(card.querySelector('canvas'))[0][0].join())"
    real = "new Set(real.map((image) => image.join()))"
    assert page.run(f"{pixels}.map((image, i) => {real}.has(image) !== isDrawn[i])") == [True] * 10
    page.run("cards()[0].focus()")
    page.press(" ", "Tab", "Enter", "Tab", " ", " ")
    assert page.run(marks) == ["true", "true", *["false"] * 8]
    drawn = page.run("isDrawn")
    right = sum(drawn[:2]) + 8 - sum(drawn[2:])
    page.run("find('answer').focus()")
    page.press("Enter")
    words = page.run("find('score').textContent")
    assert words.startswith(f"{right} of 10 right. In all rounds: {right} of 10. ")
    assert f"By guessing alone, {100 * binom.sf(right - 1, 10, 0.5):.1f} % of all people" in words
    names = page.run("cards().map((card) => card.getAttribute('aria-label'))")
    assert names[0] == f"digit 1 of 10: {'network ✓ right' if drawn[0] else 'person ✗ wrong'}"
    page.run("cards()[5].click()")
    assert page.run(marks)[5] == "false", "the round is over"
    page.press("Enter")
    assert page.run(marks) == ["false"] * 10 and page.run("find('answer').textContent") == "Show the answer"
    assert page.problems == []


def test_the_slider_and_the_button_show_the_epochs(page, tmp_path):
    samples = tmp_path / "training/samples"
    samples.mkdir(parents=True)
    for epoch in (1, 2, 3):
        Image.new("L", (560, 560), 80 * epoch).save(samples / f"epoch_{epoch:04d}.png")
    path = tmp_path / "digits.html"
    path.write_text(build(wgan.build_generator(), tmp_path / "generator.keras", "0" * 64), encoding="utf-8")
    page.open(path.as_uri())
    words = "find('epoch-note').textContent"
    assert page.run(words) == "After epoch 3 of 3"
    page.run("find('epoch').focus()")
    page.press("Home")
    assert page.run(words) == "After epoch 1 of 3"
    assert page.run("find('epoch-picture').decode().then(() => find('epoch-picture').naturalWidth)") == 280
    page.run("find('play').click()")
    page.wait_for(f"{words} === 'After epoch 3 of 3' && find('play').textContent === 'Play'")
    assert page.problems == [] and page.requests[0] == path.as_uri()
    assert all(address.startswith("data:") for address in page.requests[1:])


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page, labelled):
    page.open(labelled[0])
    page.wait_for("find('digits-note').textContent.startsWith('Drawn in')")
    reached = []
    for _ in range(21):
        page.press("Tab")
        reached.append(page.run("document.activeElement.id || document.activeElement.className"))
        assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == [
        "text", "write-again", "save-writing", *["card"] * 10, "answer", "draw-again", "save-digits", "start", "end",
        "walk-again", "save-walk", "part",
    ]  # fmt: skip
    page.run("find('draw-again').focus()")
    before = page.run("Array.from(shown.get(find('digits'))[0][99])")
    page.press("Enter")
    page.wait_for(f"String(shown.get(find('digits'))[0][99] ?? '{before[0]}') != String({before})")


def test_pictures_are_saved_as_they_are_seen(page, labelled, tmp_path):
    page.open(labelled[0])
    page.wait_for("find('digits-note').textContent.startsWith('Drawn in')")
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path), eventsEnabled=True)
    for button, canvas, name in (("save-writing", "written", "2026"), ("save-walk", "walk", "walk")):
        page.run(f"find('{button}').click()")
        while not list(tmp_path.glob(f"{name}.png")):
            page.run("new Promise((resolve) => setTimeout(resolve, 50))")
        width, height = page.run(f"[find('{canvas}').width, find('{canvas}').height]")
        seen = page.run(f"Array.from(find('{canvas}').getContext('2d').getImageData(0, 0, {width}, 40).data)")
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.size == (width, height)
            saved = np.asarray(image.convert("RGBA"))[:40]
        assert (saved == np.reshape(seen, saved.shape)).all()


# ------------------------------------------------------------------------------------------------------- how it looks
@pytest.mark.parametrize("width", [320, 1280])
def test_no_text_is_cut_off(page, width, tmp_path):
    model = PRETRAINED["wgan"]
    checksum = json.loads(model.with_name("figures.json").read_text(encoding="utf-8"))["sha256"]
    path = tmp_path / "digits.html"
    path.write_text(build(load_generator(model), model, checksum), encoding="utf-8")
    page.resize(width)
    page.open(path.as_uri())
    page.run("document.querySelectorAll('[hidden]').forEach((part) => (part.hidden = false))")
    page.run("document.querySelector('details').open = true")
    page.run("showAnswer()")
    assert page.run("document.documentElement.scrollWidth") <= width
    outside = f"part.getBoundingClientRect().right > {width} + 0.5"
    cut = "part.clientWidth && part.scrollWidth > part.clientWidth + 1"
    parts = f"Array.from(document.querySelectorAll('body *')).filter((part) => {outside} || {cut})"
    assert page.run(f"{parts}.map((part) => part.outerHTML.slice(0, 80))") == []
    page.resize(1000)


# ------------------------------------------------------------------------------------------------ what it must not do
def test_it_could_make_no_request_even_if_something_got_into_it(page, labelled):
    page.open(labelled[0])
    page.wait_for("find('digits-note').textContent.startsWith('Drawn in')")
    assert page.problems == [] and page.requests == [labelled[0]]
    page.run("window.stopped = []")
    page.run("document.addEventListener('securitypolicyviolation', (e) => stopped.push(e.effectiveDirective))")
    assert page.run("fetch('http://127.0.0.1:9/').then(() => 'loaded', () => 'stopped')") == "stopped"
    for element in ("img", "script", "iframe"):
        new = f"Object.assign(document.createElement('{element}'), {{src: 'http://127.0.0.1:9/'}})"
        page.run(f"void document.body.append({new})")
    page.run("document.body.insertAdjacentHTML('beforeend', '<button id=bad onclick=\"window.ran = 1\">')")
    page.run("find('bad').click()")
    page.wait_for("stopped.length == 5")
    assert sorted(page.run("stopped")) == ["connect-src", "frame-src", "img-src", "script-src-attr", "script-src-elem"]
    assert page.run("window.ran") is None


# -------------------------------------------------------------------------------------------------- with a trained one
def test_2026_reads_2026(page, tmp_path):
    page.open(write(load_generator(PRETRAINED["cwgan"]), tmp_path))
    judge, read = classifier.load(), []
    for hand in range(10):
        page.run(f"(hand = {hand}, find('text').value = '', find('text').focus())")
        page.press(*"2026")
        images = np.array(page.run(WRITTEN), np.uint8).reshape(4, 28, 28)
        read.append(classifier.classify(judge, images).labels.tolist())
    assert read[0] == [2, 0, 2, 6]
    assert np.mean(np.array(read) == [2, 0, 2, 6]) > 0.9  # some hands are bad; of 3,000 digits, 99.6 % were right
    assert page.problems == []
