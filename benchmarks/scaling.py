"""What it costs to divide a training among 2, 8 and 64 GPUs, on paper: efficiencies, as a table in Markdown.

    python benchmarks/scaling.py [--milliseconds 5] [--fixed 4] [--batch 32]

No GPU was measured, so the time of an iteration is an assumption, and so are the bandwidths and latencies (NETWORKS).
On one GPU, an iteration with batches of b images takes

    T(b) = fixed + (milliseconds - fixed) b / batch,

where `fixed` is the starting of its operations, some 700 of 5 to 6 microseconds each, which is not divided. One GPU
alone has XLA, which spares much of that; TensorFlow's strategies allow of none, so one is better than it looks here.
Measured was a CPU: 38 ms at batch 32 and n_critic 2, on two cores of an Intel Xeon with AMX.

In each iteration, n replicas sum n_critic gradients of the critic and one of the generator, of 4 bytes a parameter, and
a few small things. A ring all-reduce (Patarasuk and Yuan 2009, doi 10.1016/j.jpdc.2008.09.002) sends 2 (n - 1) messages
one after the other, in which each replica sends and receives 2 (n - 1) / n times what is summed. So they take

    C(n) = 2 (n - 1) / n * bytes / bandwidth + collectives * 2 (n - 1) * latency.

Nothing is computed meanwhile: each update needs the weights of the one before. NCCL sums small things along a tree,
whose latency grows with log n only; at 64 the truth may be better than the table.

strong     B images in all, on n GPUs: T(B) / (n (T(B / n) + C(n))). At 1 / n they are as fast as one
weak       b images on each: T(b) / (T(b) + C(n)). It flatters: a GPU that has few images mostly starts operations
worth it   the b on each from which n GPUs are at least 0.8 n times as fast as one that takes all of the n b images
"""

import argparse
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import wgan_handwritten_digits as wgan  # noqa: E402
from support import devices  # noqa: E402

ASSUMED = 5.0, 4.0, 32  # milliseconds, fixed, batch
GPUS = 2, 8, 64
STRONG, WEAK, WORTH = (32, 4096), (32, 512), 0.8
NETWORKS = {  # bytes a second in one direction, seconds from one replica to the next, most GPUs
    "NVLink in one machine": (300e9, 3e-6, 8),
    "100 Gbit/s, RDMA": (12.5e9, 10e-6, math.inf),
    "10 Gbit/s Ethernet": (1.25e9, 50e-6, math.inf),
}


def traffic(recipe):
    """(bytes of gradients, number of collectives) of one iteration of the recipe."""
    critic, generator = wgan.build_critic(), wgan.build_generator(recipe.latent_dim, recipe.choices)
    sizes = [sum(math.prod(v.shape) for v in net.trainable_variables) for net in (critic, generator)]
    collectives = recipe.n_critic + 1 + 2  # beside the gradients: batch norm's statistics, the sums of the losses
    return 4 * (recipe.n_critic * sizes[0] + sizes[1]), collectives


def table(milliseconds, fixed, batch):
    """The table in Markdown, with what it rests on before it and the conclusion after it."""
    volume, collectives = traffic(wgan.RECIPES["wgan"])
    slope = (milliseconds - fixed) / batch
    costs = {
        name: {n: 2e3 * ((n - 1) / n * volume / bandwidth + collectives * (n - 1) * latency) for n in GPUS if n <= most}
        for name, (bandwidth, latency, most) in NETWORKS.items()
    }

    def alone(images):
        return fixed + slope * images

    def strong(images, n, cost):
        return alone(images) / (n * (alone(images / n) + cost)) if images >= n else None

    def weak(images, n, cost):
        return alone(images) / (alone(images) + cost)

    def worth(n, cost):  # strong(n * b, n, cost) = WORTH, solved for b
        return float(f"{max(1, (WORTH * n * (fixed + cost) - fixed) / ((1 - WORTH) * n * slope)):.2g}")

    def row(words, value, form):
        cells = ([value(n, cost[n]) if n in cost else None for n in GPUS] for cost in costs.values())
        shown = (", ".join("–" if found is None else format(found, form) for found in cell) for cell in cells)
        return f"| {words} | {' | '.join(shown)} |"

    given = "Assumed, not measured" if (milliseconds, fixed, batch) == ASSUMED else "Given"
    lines = [
        f"{given}: {milliseconds:g} ms an iteration at batch {batch} on one GPU, {fixed:g} ms of them for any batch."
        f" Counted: {volume / 1e6:.1f} MB of gradients, {collectives} all-reduces an iteration.\n",
        f"| efficiency on {', '.join(map(str, GPUS))} GPUs | {' | '.join(NETWORKS)} |",
        "|---" * (len(NETWORKS) + 1) + "|",
        *(row(f"strong: {b:,} images in all", lambda n, cost, b=b: strong(b, n, cost), ".0%") for b in STRONG),
        *(row(f"weak: {b:,} images on each", lambda n, cost, b=b: weak(b, n, cost), ".0%") for b in WEAK),
        row("worth it from so many images on each", worth, ",.0f"),
    ]
    best = max(n * (strong(batch, n, cost[n]) or 0) for cost in costs.values() for n in cost)
    eight, *sixty_four = (worth(n, cost[n]) for n, cost in zip((8, 64, 64), costs.values(), strict=True))
    most = ", more in one update than MNIST has" if 64 * min(sixty_four) > 60_000 else ""
    lines += [
        f"\nA batch of {batch} in all: at the very best {best:.1f} times the speed of one GPU"
        f"{', so never worth it' if best < 1.5 else ''}. Eight GPUs with NVLink: worth it from {eight:,.0f} on each."
        f" 64 on a network: from {' or '.join(f'{b:,.0f}' for b in sixty_four)} on each{most}."
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--milliseconds", type=float, default=ASSUMED[0], help="an iteration on one GPU (assumed: 5)")
    parser.add_argument("--fixed", type=float, default=ASSUMED[1], help="of these, whatever the batch (assumed: 4)")
    parser.add_argument("--batch", type=int, default=ASSUMED[2], help="the batch size of that iteration (default: 32)")
    options = parser.parse_args()
    if not (0 <= options.fixed < options.milliseconds and options.batch > 0):
        parser.error("--fixed has to be from 0 to less than --milliseconds, --batch above 0")
    devices.import_tensorflow("cpu")
    sys.stdout.reconfigure(encoding="utf-8")
    print(table(options.milliseconds, options.fixed, options.batch))
