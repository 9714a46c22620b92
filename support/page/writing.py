"""Writes the page: template, style, scripts, the generator and what is known about it, in one HTML file."""

import base64
import hashlib
import json
import re
from pathlib import Path

from support.console import say
from support.labels import labels_of
from support.outputs.files import write_text
from support.page import facts, network


def check(generator, about, options):
    """Raises InputError if the step `page` is to come and cannot compute the generator, unless it is None."""
    if generator and "page" in options.steps:
        network.describe(generator, about["model"])


def write_page(generator, about, options):
    """Writes digits.html, which draws with `generator`, to options.models_dir. about: as find_generator returns it."""
    path = Path(options.models_dir, "digits.html")
    text = build(generator, about["model"], about["sha256"])
    write_text(path, text)
    say(f"a page that draws digits in a browser: {path} ({len(text) / 1e6:.1f} MB)")


def build(generator, model, checksum):
    """The page, as text. Equal arguments give the same text. model, checksum: the path of the file, and its SHA-256."""
    description, numbers = network.pack(network.describe(generator, model))
    description["labels"] = labels_of(generator)
    style, folder = _read("page.css"), Path(model).parent
    script = '"use strict";\n' + "\n".join(map(_read, ("forward.js", "latents.js", "page.js", "game.js")))
    parts = {
        # Nothing but this script and this style runs, and nothing is loaded, whatever else gets into the page.
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        "script": script,
        "latent": str(description["latent"]),
        "about": facts.describe(generator, model, checksum),
        "network": json.dumps(description, separators=(",", ":")).replace("<", "\\u003c"),
        "weights": base64.b64encode(numbers).decode(),
        "real": facts.real_digits(folder, description["labels"]),
        "epochs": json.dumps(facts.epoch_pictures(folder)),
    }
    # In one pass: what is inserted is not searched.
    return re.sub(r"{{(\w+)}}", lambda place: parts[place[1]], _read("page.html"))


def _read(name):
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(text):
    """A source expression of a content security policy: it allows an inline script or style of exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
