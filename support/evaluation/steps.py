"""The steps of an evaluation, in order."""

import json

from support import data
from support.console import say
from support.device import import_tensorflow
from support.errors import one_line
from support.evaluation import classifier, measuring, report
from support.evaluation.classifier_training import gan_train
from support.evaluation.definitions import TRAINED_ON
from support.evaluation.sources import read_source
from support.outputs.files import checksum


def evaluate(options):
    """Measures the images of options.source, prints the figures, and writes what they ask for. Raises InputError."""
    record = classifier.read_record()
    if options.source.suffix == ".keras":  # otherwise later, so that a wrong folder or array is reported at once
        import_tensorflow(options.device)
    source = read_source(options.source, options.images, options.seed, options.gan_train)
    if options.labels:
        report.check_names(source)
    import_tensorflow(options.device)
    model = classifier.load()
    classified = classifier.classify(model, source.images)
    # Labels and copies come first: they do not need the figures, which take most of the time.
    if options.labels:
        report.write_labels(options.labels, source, classified)
        say(f"{options.labels}: {len(source.names):,} labels")
    if options.copy_to:
        number = report.copy_digit(source, options.copy_to, options.digit, classified.labels)
        say(f"{options.copy_to}: {number:,} images of the digit {options.digit}")
    dataset = data.load_dataset()
    labels = None if source.chosen else source.labels
    values, details = measuring.measure(source.images, dataset, model, classified, labels=labels)
    images, compared = len(source.images), len(details.compared)
    trained_on = min(images, TRAINED_ON) if options.gan_train else None
    values["gan_train"] = gan_train(source.images, source.labels, dataset) if options.gan_train else None
    warnings = measuring.warnings_about(source.images)
    lines = [str(source.path), source.origin, f"{images:,} images; * compares {compared:,} of them with MNIST"]
    lines += [f"GAN-train: trained on {trained_on:,} of them; real: on {TRAINED_ON:,}"] if trained_on else []
    text = report.table("\n".join(one_line(line) for line in lines if line), values, record["real"])
    if options.json:
        found = {"source": str(source.path), "origin": source.origin, "images": images, "compared": compared}
        found["trained_on"] = trained_on
        if source.path.suffix == ".keras":
            found["sha256"] = checksum(source.path)  # the step `page` looks for it
        found |= {"figures": values, "real": record["real"], "warnings": warnings, "classifier": record["sha256"]}
        print(json.dumps(found, indent=1))
    else:
        print(text)
    for warning in warnings:
        say(f"warning: {warning}")
    if options.page:
        report.write_page(options.page, text, details, dataset)
