"""The settings of a training that make it one GAN or another; those of the GANs that the default is compared with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """One way to train: the defaults of the options of the same names, and what has no option."""

    epochs: int
    batch_size: int
    n_critic: int
    learning_rate: float
    latent_dim: int = 100
    clip: float | None = None  # None: the weights are not clipped
    networks: str = "convolutional"  # a key of the script's NETWORKS
    objective: str = "wasserstein"  # or "cross-entropy"
    penalty: float = 0.0  # weight of the gradient penalty
    generator_rate: float = 1.0  # the generator's learning rate, in units of the critic's
    generator_batch: int = 1  # images in an update of the generator, in units of the batch size
    choices: int = 0  # so many kinds of images are kept apart, see build_generator
    clip_scaled: bool = False  # the box of each layer is clip times the bound of its He initialisation, not clip itself
    centred: bool = False  # the weights of each unit of the critic have mean zero, see clip_weights
    decay: bool = True  # the learning rate falls linearly, nearly to zero


# The settings were searched for: benchmarks/results/search.md.
COMPARISONS = {
    # A penalty on gradients in place of the clipping (Gulrajani et al. 2017).
    "wgan-gp": Recipe(
        epochs=8, batch_size=32, n_critic=2, learning_rate=1e-3, latent_dim=64, penalty=10.0, choices=10,
        generator_batch=2,
    ),
    # A discriminator that tells real from generated, with convolutions (Radford et al. 2015) and without (Goodfellow
    # et al. 2014).
    "dcgan": Recipe(
        epochs=4, batch_size=32, n_critic=1, learning_rate=1e-3, networks="dcgan", objective="cross-entropy"
    ),
    "gan": Recipe(
        epochs=29, batch_size=64, n_critic=1, learning_rate=1e-3, networks="dense", objective="cross-entropy"
    ),
}  # fmt: skip
