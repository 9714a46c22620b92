"""The figure that is measured after each epoch of a training run, and what is drawn and said of it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import wgan_handwritten_digits as wgan
from support import pictures
from support.data import MNIST_SHA256, as_dataset, load_dataset
from support.drawing import draw_digits
from support.evaluation import classifier, epoch_figures, figures, measuring
from support.models import PRETRAINED, load_generator


@pytest.mark.slow
def test_the_frechet_distance_is_the_one_of_evaluate_digits(monkeypatch):
    monkeypatch.setattr(epoch_figures, "JUDGED", 1000)
    dataset, generator = load_dataset(), load_generator(PRETRAINED["cwgan"])
    found = epoch_figures.prepare(generator, dataset, 4)()
    labels = dataset.train_labels[np.random.default_rng(0).permutation(60_000)[:1000]].tolist()
    digits = np.concatenate(list(draw_digits(generator, 1000, 4, digits=labels)))
    few = replace(dataset, train_images=dataset.train_images[:100], train_labels=dataset.train_labels[:100])
    values, _ = measuring.measure(digits, few, classifier.load())
    assert found == pytest.approx({"frechet_distance": values["frechet_distance"]}, rel=1e-3)


@pytest.mark.parametrize("labels", [(), (2, 3, 7)])
@pytest.mark.parametrize("has_test_images", [False, True])
def test_other_data_get_a_figure_that_needs_no_classifier(labels, has_test_images):
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
    dataset = as_dataset(images, np.resize([2, 3, 7], 60))
    unseen = images[:20] // 2 if has_test_images else images
    dataset = replace(dataset, test_images=unseen) if has_test_images else dataset
    generator = wgan.build_generator(16, labels=labels)
    order = np.random.default_rng(0).permutation(60)
    asked = dataset.train_labels[order].tolist() if labels else None
    digits = np.concatenate(list(draw_digits(generator, 60, 5, digits=asked)))
    expected = {"sliced_wasserstein": figures.sliced_wasserstein(digits, unseen)}
    assert epoch_figures.prepare(generator, dataset, 5)() == pytest.approx(expected)


@pytest.mark.parametrize("damage", [None, b"not a model"])
def test_without_the_classifier_mnist_gets_that_figure_too(damage, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "CLASSIFIER", tmp_path / "classifier.keras")
    if damage:
        classifier.CLASSIFIER.write_bytes(damage)
    dataset = load_dataset()
    few = replace(dataset, train_images=dataset.train_images[:100], test_images=dataset.test_images[:100])
    assert few.sha256 == MNIST_SHA256
    assert list(epoch_figures.prepare(wgan.build_generator(), few, 0)()) == ["sliced_wasserstein"]


@pytest.mark.parametrize("values", [[3.0, 0.1], [-0.5, 0.0]])
def test_curves_show_any_values_also_of_a_run_that_an_older_version_began(values, tmp_path):
    history = [{"epoch": 1, "frechet_distance": 5.0}]
    history += [
        {"epoch": n, "frechet_distance": 0.2, "wasserstein_estimate": value} for n, value in enumerate(values, 2)
    ]
    pictures.save_curves(tmp_path / "curves.png", history, {"frechet_distance": 0.1})
    with Image.open(tmp_path / "curves.png") as curves:
        assert curves.height > 2 * 200 and len(np.unique(curves)) > 20
