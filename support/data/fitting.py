"""Reads image files. Those that are not yet like MNIST's are prepared as MNIST was made."""

from support.console import watch
from support.data.dataset import SIDE, DataError, reading
from support.lazy import Image, np

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # not PostScript, on which Pillow runs Ghostscript
MOST_PIXELS = 4096 * 4096
BOX = 20  # pixels: the side of the square that the digits of MNIST are fitted into


def read_files(paths):
    """uint8 [n, 28, 28] of image files, and in words what was done to them.

    If each is 28x28, opaque and grey, they are taken bit for bit. Otherwise all are prepared, so that they are alike.
    """
    images = [_read(path, _as_it_is) for path in watch(paths, "reading images")]
    if all(image is not None for image in images):
        return np.stack(images), ""
    images = [_read(path, _as_in_mnist) for path in watch(paths, "preparing images")]
    done = f"grey, white ink on black, fitted into {BOX}x{BOX}, centred by mass"
    return np.stack(images), f"prepared {len(images):,} images as MNIST's were: {done}"


def _read(path, convert):
    """What `convert` makes of the image in a file."""
    with reading(path), Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise DataError(f"{path}: {image.width}x{image.height} pixels; make it smaller, 4096x4096 at most")
        return convert(image)


def _as_it_is(image):
    """uint8 [28, 28] of an image that is like MNIST's, however it is stored; None of any other."""
    if image.size != (SIDE, SIDE) or image.mode not in ("L", "1", "LA", "P", "PA", "RGB", "RGBA"):
        return None
    if image.mode == "L":
        return np.asarray(image)
    red, green, blue, alpha = np.moveaxis(np.asarray(image.convert("RGBA")), -1, 0)
    return red if (red == green).all() and (red == blue).all() and (alpha == 255).all() else None


def _as_in_mnist(image):
    """uint8 [28, 28]: the ink of an image of any size and kind, fitted into 20x20, its centre of mass in the middle."""
    ink = _ink(image)
    if not 0 < ink.max() < np.inf:
        raise DataError(f"{image.filename}: shows nothing; remove it")
    rows, columns = (np.flatnonzero((ink > 0.2 * ink.max()).any(axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width, height = (max(1, round(side * BOX / max(ink.shape))) for side in ink.shape[::-1])
    ink = np.asarray(Image.fromarray(ink).resize((width, height))).clip(0)
    y, x = (ink.sum(axis) @ np.arange(side) / ink.sum() for axis, side in ((1, height), (0, width)))
    top = min(max(round(SIDE / 2 - y), 0), SIDE - height)  # in MNIST, the centre is in row 14 and column 14, from 0
    left = min(max(round(SIDE / 2 - x), 0), SIDE - width)
    fitted = np.zeros((SIDE, SIDE), np.uint8)
    fitted[top : top + height, left : left + width] = np.rint(255 * ink / ink.max())
    return fitted


def _ink(image):
    """float32 [height, width]: 0 where an image shows paper, more where it shows ink.

    The border is paper. Ink differs from it by more than the pixels of the border differ from each other.
    """
    from PIL import ImageOps

    deep = image.mode.startswith(("I", "F"))  # 16 or 32 bits; Pillow would cut these to 8
    image = ImageOps.exif_transpose(image).convert("F" if deep else "RGBA")
    image.thumbnail((512, 512))
    grey = np.asarray(image, np.float32)
    if not deep:  # transparent parts show a paper that the ink stands out from
        grey, alpha = grey[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32), grey[..., 3] / 255
        paper = 255 if (grey * alpha).sum() < 127.5 * alpha.sum() else 0
        grey = paper + (grey - paper) * alpha
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > (grey.min() + grey.max()) / 2:
        grey, border = -grey, -border
    paper = np.median(border)
    noise = min(4 * np.median(abs(border - paper)), 0.3 * (grey.max() - paper))
    return (grey - paper - noise).clip(0)
