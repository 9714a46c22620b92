"""Pictures of a training run: grids of images, animations, curves. With Pillow and matplotlib."""

import contextlib
from pathlib import Path

from support.console import say
from support.lazy import Image, np
from support.outputs.files import write_whole

# Columns of history.csv: the title of their panel in curves.png, the scale of its axis.
CURVES = {
    "frechet_distance": ("Fréchet distance from the test images, lower is better", "log"),
    "sliced_wasserstein": ("Sliced Wasserstein distance, lower is better", "log"),
    "wasserstein_estimate": ("E[C(real)] - E[C(generated)], in scores", "linear"),
    "score_difference": ("E[C(real)] - E[C(generated)], in scores", "linear"),
}
STEP = 21  # pixels from one digit of a number to the next: the digits of MNIST are at most 20 wide


def grid(images, columns):
    """One image, uint8 [height, width]: `images`, uint8 [n, height, width], in rows of `columns`, which divides n."""
    count, height, width = images.shape
    rows = images.reshape(count // columns, columns, height, width).swapaxes(1, 2)
    return rows.reshape(count // columns * height, columns * width)


def _save(path, picture, **settings):
    with write_whole(path) as temporary:
        picture.save(temporary, **settings)


def spread(count, most):
    """At most `most` whole numbers from 0 to count - 1, evenly spread, the first and the last included."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def save_grid(path, images, columns=10):
    """Writes `images` (uint8 [n, height, width]) to `path` as one PNG, each pixel two pixels wide and high."""
    _save(path, Image.fromarray(np.kron(grid(images, columns), np.ones((2, 2), np.uint8))))


def save_labelled(path, images, labels):
    """Writes a hundred of the images, uint8 [n, 28, 28], evenly spread, to `path`, with their labels, if not None."""
    from PIL import ImageDraw

    picture = Image.new("L", (840, 600))
    for place, number in enumerate(spread(len(images), 100)):
        x, y = place % 10 * 84, place // 10 * 60
        picture.paste(Image.fromarray(images[number]).resize((56, 56)), (x, y))
        if labels is not None:
            ImageDraw.Draw(picture).text((x + 60, y + 20), str(labels[number]), fill=255)
    _save(path, picture)


def save_animation(path, pictures):
    """Writes a hundred or fewer of the PNG files `pictures` to `path` as a GIF of ten seconds, without damaged ones."""
    frames = []
    for number in spread(len(pictures), 100):
        with contextlib.suppress(Exception), Image.open(pictures[number], formats=["PNG"]) as frame:
            frames.append(frame.convert("L"))
    if frames:
        each = min(8000 // len(frames), 1000)
        times = [each] * (len(frames) - 1) + [each + 2000]
        _save(path, frames[0], save_all=True, append_images=frames[1:], duration=times, loop=0)


def save_walk(folder, ways):
    """Writes interpolation.gif and .png, with a row for each of the `ways`, uint8 [frames, height, width]."""
    frames = [Image.fromarray(image).resize([4 * side for side in image.T.shape]) for image in np.concatenate(ways)]
    path, columns = Path(folder, "interpolation.gif"), spread(len(ways[0]), 20)
    _save(path, frames[0], save_all=True, append_images=frames[1:], duration=60, loop=0)
    save_grid(path.with_suffix(".png"), np.concatenate([way[columns] for way in ways]), len(columns))
    say(f"a walk between {len(ways)} latent vectors in {path} and .png")


def save_writing(options, lines):
    """Writes a picture of options.number in `lines`, uint8 [digits, 28, 28]: white on black, or black on nothing."""
    number = options.number
    ink = np.zeros([len(lines), 28, 28 + STEP * (len(number) - 1)], np.uint8)
    for row, line in zip(ink, lines, strict=True):
        for place, digit in enumerate(line):
            part = row[:, STEP * place :][:, :28]
            np.maximum(part, digit, out=part)
    picture = Image.fromarray(ink.reshape(-1, ink.shape[-1]))
    if options.transparent:
        picture = Image.merge("LA", [Image.new("L", picture.size, 0), picture])
    path = Path(options.models_dir, f"number_{number}.png")
    _save(path, picture.resize([4 * side for side in picture.size], Image.BICUBIC))
    say(f"{number} in {path}, {len(lines)} times" if len(lines) > 1 else f"{number} in {path}")


def save_curves(path, history, real):
    """Writes curves to `path` as a PNG. history: a dictionary an epoch. real: by column, the value of real images."""
    # Figure instead of pyplot: it needs no window system and does not change a notebook's figures.
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    columns = [column for column in CURVES if column in history[-1]]
    figure = Figure(figsize=(8, 2.8 * len(columns)), layout="constrained")
    axes = figure.subplots(len(columns), squeeze=False)[:, 0]
    for axis, column in zip(axes, columns, strict=True):
        axis.plot([row["epoch"] for row in history], [row.get(column) for row in history], marker="o", markersize=3)
        if real.get(column):
            axis.axhline(real[column], color="grey", linestyle="--", label=f"real digits: {real[column]:.3f}")
            axis.legend()
        title, scale = CURVES[column]
        axis.set(title=title, xlabel="epoch", yscale=scale)
        if scale == "log":
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")  # 0.2 instead of 2 x 10^-1
            axis.yaxis.set_minor_formatter("")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3, which="both")
    with write_whole(path) as temporary:
        figure.savefig(temporary, dpi=120)


def walk(points, frames):
    """Yields float32 latent vectors [frames, latent_dim], from each of `points` to the next, and back to the first.

    Each way starts at a point, ends just before the next, and follows a great circle (spherical interpolation, White
    2016): a straight line would pass through vectors that are shorter than any the generator saw in training.
    """
    for start, end in zip(points, [*points[1:], points[0]], strict=True):
        cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end))
        angle = np.clip(np.arccos(np.clip(cosine, -1, 1)), 1e-4, np.pi - 1e-4)  # at 0 and pi, there is no single circle
        part = np.arange(frames)[:, None] / frames
        way = (np.sin((1 - part) * angle) * start + np.sin(part * angle) * end) / np.sin(angle)
        way[0] = start  # without rounding: it must be the digit of this seed
        yield way.astype(np.float32)
