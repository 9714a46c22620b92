"""Pictures of a training run: grids of images, animations, curves. With Pillow and matplotlib."""

import contextlib
from pathlib import Path

from support.console import say
from support.lazy import Image, np
from support.outputs.files import write_whole

WRITING_SCALE = 4  # pixels of the picture of a number for each pixel of a digit
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


def _save_png(path, picture):
    """Writes a Pillow image to `path`."""
    with write_whole(path) as temporary:
        picture.save(temporary)


def _save_gif(path, frames, times):
    """Writes Pillow images of one size to `path` as a GIF that repeats. times: milliseconds, of all or a list."""
    with write_whole(path) as temporary:
        frames[0].save(temporary, save_all=True, append_images=frames[1:], duration=times, loop=0)


def save_grid(path, images, columns=10):
    """Writes `images` (uint8 [n, height, width]) to `path` as one PNG, each pixel two pixels wide and high."""
    _save_png(path, Image.fromarray(np.kron(grid(images, columns), np.ones((2, 2), np.uint8))))


def save_labelled(path, images, labels, columns=10):
    """Writes a hundred of the images, uint8 [n, 28, 28], evenly spread, to `path`, with their labels, if not None."""
    from PIL import ImageDraw

    chosen = np.linspace(0, len(images) - 1, min(len(images), columns**2)).astype(int)
    picture = Image.new("L", (columns * 84, -(-len(chosen) // columns) * 60))
    for place, number in enumerate(chosen):
        x, y = place % columns * 84, place // columns * 60
        picture.paste(Image.fromarray(images[number]).resize((56, 56)), (x, y))
        if labels is not None:
            ImageDraw.Draw(picture).text((x + 60, y + 20), str(labels[number]), fill=255)
    _save_png(path, picture)


def save_animation(path, pictures):
    """Writes the PNG files `pictures` to `path` as a GIF. A missing or damaged picture is left out.

    It lasts about eight seconds, and shows the last picture for two more. It has at most 100 pictures, the first and
    the last included. Without a good picture, no file is written.
    """
    frames = []
    for number in np.unique(np.linspace(0, len(pictures) - 1, 100).round().astype(int)):
        with contextlib.suppress(Exception), Image.open(pictures[number], formats=["PNG"]) as frame:
            frames.append(frame.convert("L"))
    frames = [frame for frame in frames if frame.size == frames[-1].size]
    if frames:
        each = int(np.clip(8000 / len(frames), 60, 1000))
        _save_gif(path, frames, [each] * (len(frames) - 1) + [each + 2000])


def save_walk(folder, ways):
    """Writes a walk through latent space to `folder`: interpolation.gif, and interpolation.png with a row for each way.

    ways: a list of uint8 [frames, height, width], each from one latent vector to the next. A row shows at most 20
    frames.
    """
    columns = np.unique(np.linspace(0, len(ways[0]) - 1, 20).round().astype(int))
    frames = [Image.fromarray(image).resize([4 * side for side in image.T.shape]) for image in np.concatenate(ways)]
    _save_gif(Path(folder, "interpolation.gif"), frames, 60)
    save_grid(Path(folder, "interpolation.png"), np.concatenate([way[columns] for way in ways]), len(columns))
    say(f"a walk between {len(ways)} latent vectors in {Path(folder, 'interpolation.gif')} and .png")


def writing_path(folder, number):
    """The path of the picture of `number`, a string of digits."""
    return Path(folder, f"number_{number}.png")


def save_writing(options, lines):
    """Writes a picture of options.number: `lines` of digits, each uint8 [digits, 28, 28], white ink on black paper.

    With options.transparent: black ink on transparent paper.
    """
    number = options.number
    ink = np.zeros([len(lines), 28, 28 + STEP * (len(number) - 1)], np.uint8)
    for row, line in zip(ink, lines, strict=True):
        for place, digit in enumerate(line):
            part = row[:, STEP * place :][:, :28]
            np.maximum(part, digit, out=part)
    picture = Image.fromarray(ink.reshape(-1, ink.shape[-1]))
    if options.transparent:
        picture = Image.merge("LA", [Image.new("L", picture.size, 0), picture])
    path = writing_path(options.models_dir, number)
    _save_png(path, picture.resize([WRITING_SCALE * side for side in picture.size], Image.BICUBIC))
    say(f"{number} in {path}, {len(lines)} times" if len(lines) > 1 else f"{number} in {path}")


def save_curves(path, history, real):
    """Writes curves over the epochs to `path` as a PNG: a panel for each column of CURVES that the run has.

    history: a list of dictionaries, one per epoch, with "epoch" and other columns. real: by column, the value of real
    images, drawn as a line, or None.
    """
    # Figure instead of pyplot: it needs no window system and does not change a notebook's figures.
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    panels = {column: words for column, words in CURVES.items() if column in history[-1]}
    figure = Figure(figsize=(8, 2.8 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), squeeze=False)[:, 0]
    for axis, (column, (title, scale)) in zip(axes, panels.items(), strict=True):
        rows = [row for row in history if column in row]  # an older version may have begun the run
        axis.plot([row["epoch"] for row in rows], [row[column] for row in rows], marker="o", markersize=3)
        if real.get(column):
            axis.axhline(real[column], color="grey", linestyle="--", label=f"real digits: {real[column]:.3f}")
            axis.legend()
        axis.set(title=title, xlabel="epoch")
        if scale == "log":
            axis.set_yscale("log")
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
        angle = np.arccos(np.clip(start @ end / (np.linalg.norm(start) * np.linalg.norm(end)), -1.0, 1.0))
        part = np.arange(frames)[:, None] / frames
        if np.sin(angle) > 1e-6:
            way = (np.sin((1 - part) * angle) * start + np.sin(part * angle) * end) / np.sin(angle)
        else:  # on one line through the origin, so there is no single great circle
            way = (1 - part) * start + part * end
        way[0] = start  # without rounding: it must be the digit of this seed
        yield way.astype(np.float32)
