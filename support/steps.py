"""The steps that draw with a trained generator."""

from support import pictures
from support.drawing import draw_digits, draw_latents, draw_lines, to_pixels
from support.labels import count_choices, labels_of
from support.outputs import digit_images
from support.page.writing import write_page


def draw(generator, about, options):
    """Takes the steps that draw, in order. about: what models.find_generator returns."""
    if "generate" in options.steps:
        generate(generator, about, options)
    if "interpolate" in options.steps:
        interpolate(generator, options)
    if "write" in options.steps:
        write(generator, options)
    if "page" in options.steps:
        write_page(generator, about, options)


def generate(generator, about, options):
    """Writes the digits, or the shard's part of them, as PNG files or as an array. about: kept beside them."""
    labels, numbers = labels_of(generator), digit_images.part_of(options.images, options.shard)
    about = {**about, "seed": options.seed, "digits": options.digits, "labels": options.digits or labels}
    about["folders"] = options.folders or None
    about["choices"] = None if labels else count_choices(generator)  # taken in turn; before version 0.4, at random
    digits = draw_digits(generator, numbers.stop, options.seed, numbers.start, options.digits)
    digit_images.save(digits, options, about)


def interpolate(generator, options):
    """Writes a walk between latent points as an animation. Each seed gives a point: its first latent vector."""
    points = [draw_latents(seed, 0, generator.input_shape[-1])[0].numpy() for seed in options.walk]
    ways = pictures.walk(points, options.frames)
    pictures.save_walk(options.models_dir, [to_pixels(generator(way, training=False)).numpy() for way in ways])


def write(generator, options):
    """Writes a number in handwriting: each line in another hand, a style that all latent vectors of the line share."""
    lines = draw_lines(options.number, options.lines, options.seed, labels_of(generator), generator.input_shape[-1])
    pictures.save_writing(options, [to_pixels(generator(line, training=False)).numpy() for line in lines])
