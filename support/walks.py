"""Ways between points of a latent space."""

import numpy as np


def walk(points, frames):
    """Yields float32 latent vectors [frames, latent_dim], from each of `points` to the next, at the end to the first.

    The way is along a great circle (spherical interpolation, White 2016): on the straight line between two normal
    vectors lie shorter ones than a generator ever saw in training. It starts at a point and ends just before the next.
    """
    for start, end in zip(points, [*points[1:], points[0]], strict=True):
        angle = np.arccos(np.clip(start @ end / (np.linalg.norm(start) * np.linalg.norm(end)), -1.0, 1.0))
        part = np.arange(frames)[:, None] / frames
        if np.sin(angle) > 1e-6:
            way = (np.sin((1 - part) * angle) * start + np.sin(part * angle) * end) / np.sin(angle)
        else:  # on one line through the origin, where there is no one great circle
            way = (1 - part) * start + part * end
        way[0] = start  # exactly: rounding must not change whose digit it is
        yield way.astype(np.float32)
