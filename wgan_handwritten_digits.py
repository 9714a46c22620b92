# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["tensorflow>=2.20,<2.22", "keras>=3.12,<3.16", "numpy>=1.26", "matplotlib>=3.8", "pillow>=10.1"]
# ///
"""A Wasserstein GAN with weight clipping that learns to draw handwritten digits.

    python wgan_handwritten_digits.py                    train on MNIST, save the models, write 25,000 digits
    python wgan_handwritten_digits.py train              train, and save the models
    python wgan_handwritten_digits.py generate           write 25,000 digits, with the generator that was saved
    python wgan_handwritten_digits.py interpolate        a walk between digits, as an animation

A GAN is two networks with opposite aims. The generator G turns a latent vector z of random numbers into an image. The
critic C gives an image a score. It is trained to score real images high and generated ones low, the generator to be
scored high. In a Wasserstein GAN (Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875) the score is any number, not a
probability, and the critic may not change too fast from one image to the next: it has to be Lipschitz continuous. Then

    max over C of  E[C(real)] - E[C(G(z))]                                                       (their equation 2)

is, up to a factor, the Wasserstein-1 distance between the real images and the generated ones: how far the ink of one
heap of images has to be carried to make the other. Better digits make it smaller, and it has a useful gradient even
where the two have nothing in common. The critic is kept Lipschitz by the simplest means: after each of its updates all
of its weights are clipped into a box. This file is in the order in which that happens.
"""

import contextlib
import functools
import hashlib
import math
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from support import other_gans
from support.command_line.endings import tell
from support.command_line.interrupts import Interrupted, Interrupts
from support.command_line.options import Options, complete, read_options
from support.command_line.progress import Progress, clock, open_standard_error, say
from support.datasets import loading
from support.machine import devices, randomness, replicas
from support.machine.devices import keras, tf
from support.machine.training_layers import STRIDED, initializers, mean, seed_dropout, training_layers
from support.other_gans import OTHER_RECIPES, Recipe, gradient_penalty
from support.results import files, image_folder, pictures
from support.results.models import load_generator
from support.results.pictures import walk
from support.results.training_run import Run, check_folder, describe_run

VERSION = "0.2.0.dev0"
LEAK = 0.02  # slope of LeakyReLU below zero; the usual 0.2 makes the critic nearly linear, and blind to much
CHOICE = 6.0  # how much a choice counts in the generator: nearly as much as all other latent numbers together
AVERAGE_DECAY = 0.999  # of the generator's running average: it looks back over some 1,000 iterations
BLOCK = 500  # digits are drawn in blocks of this size, whatever their number


# ---------------------------------------------------------------------------------------------------------- recipes

# What the names mean stands in support/other_gans.py, beside the settings of other GANs.
RECIPES = {
    "wgan": Recipe(
        epochs=10, batch_size=32, n_critic=2, learning_rate=1e-3, latent_dim=64, clip=2.0,
        clip_scaled=True, centred=True, generator_rate=2.0, generator_batch=2, choices=10,
    ),
    # The settings of algorithm 1 of the paper, for comparison.
    "wgan-paper": Recipe(epochs=20, batch_size=64, n_critic=5, learning_rate=5e-5, clip=0.01, decay=False),
    **OTHER_RECIPES,
}  # fmt: skip


# --------------------------------------------------------------------------------------------------------- networks


def build_critic(seed=0, layers=None):
    """The critic C: float32 images [n, 28, 28, 1] in [-1, 1] -> scores [n, 1], any real number.

    The last layer is linear: a score is not a probability, so there is no sigmoid. There is no batch norm either: it
    would make an image's score depend on the other images of the batch. The kernels of the first layer are nearly half
    the image wide, for a whole stroke is to be seen at once.
    """
    kernel = initializers(keras.initializers.HeUniform, seed, first=0)
    layers = layers or keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            # A 12x12 kernel with a stride of 2, in the form that is quickest to compute: 6x6 over blocks of 2x2 pixels.
            layers.Reshape((14, 2, 14, 2)),
            layers.Permute((1, 3, 2, 4)),
            layers.Reshape((14, 14, 4)),
            layers.Conv2D(64, 6, padding="same", kernel_initializer=next(kernel)),
            layers.LeakyReLU(LEAK),
            layers.Conv2D(64, 4, **STRIDED, kernel_initializer=next(kernel)),
            layers.LeakyReLU(LEAK),
            layers.Flatten(),
            layers.Dense(256, kernel_initializer=next(kernel)),
            layers.LeakyReLU(LEAK),
            layers.Dense(1, kernel_initializer=next(kernel), name="score"),
        ],
        name="critic",
    )


def build_generator(latent_dim=64, choices=10, seed=0, layers=None):
    """The generator G: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1].

    Digits come in kinds with nothing between them. A network, which is continuous, fills the gaps: a 4 turns into a 9
    by way of images that are neither, and a good part of all images are such. So the generator is made to jump: which
    of the first `choices` latent numbers is the largest selects one of so many vectors, learned like all other weights,
    to start from. What a choice stands for is left to the training.

    The kernels of the transposed convolutions are divisible by their stride of 2, so that each pixel is made from the
    same number of values of the layer before; otherwise a checkerboard shows (Odena et al. 2016).
    """
    # Small first weights: the tanh must not be saturated from the start, where its gradient vanishes.
    kernel = initializers(lambda seed: keras.initializers.RandomNormal(0.0, 0.02, seed), seed, first=32)
    layers, choices = layers or keras.layers, min(choices, latent_dim)
    latent = values = keras.Input((latent_dim,), name="latent")
    if choices:
        # 1000 times the first numbers, of which the softmax makes 1 for the largest and 0 for the others. Training in
        # bfloat16 (see support/machine/devices.py) sees two largest in one vector of 200, and gives it half of each.
        first = {"kernel_initializer": keras.initializers.Identity(1000.0), "use_bias": False, "trainable": False}
        choice = layers.Dense(choices, activation="softmax", name="choice", **first)(latent)
        values = layers.Concatenate()([latent, layers.Rescaling(CHOICE)(choice)])
    for layer in (
        # Batch norm subtracts the mean, so a bias before it would have no effect.
        layers.Dense(7 * 7 * 128, use_bias=False, kernel_initializer=next(kernel)),
        layers.Reshape((7, 7, 128)),
        layers.BatchNormalization(momentum=0.9),
        layers.LeakyReLU(LEAK),
        layers.Conv2DTranspose(64, 4, **STRIDED, use_bias=False, kernel_initializer=next(kernel)),
        layers.BatchNormalization(momentum=0.9),
        layers.LeakyReLU(LEAK),
        layers.Conv2DTranspose(1, 4, **STRIDED, activation="tanh", kernel_initializer=next(kernel), name="digit"),
    ):
        values = layer(values)
    return keras.Model(latent, values, name="generator")


NETWORKS = {"convolutional": (build_critic, build_generator), **other_gans.NETWORKS}


# -------------------------------------------------------------------------------------------------------- objective


def wasserstein_estimate(real_scores, fake_scores):
    """E[C(real)] - E[C(fake)]: what the critic raises and the generator lowers (equation 2 of the paper)."""
    return mean(real_scores) - mean(fake_scores)


def critic_objective(objective, real_scores, fake_scores):
    """What the critic or discriminator minimises, from its scores [n, 1] of real and of generated images."""
    if objective == "wasserstein":
        return -wasserstein_estimate(real_scores, fake_scores)
    # Binary cross-entropy of logits: -log sigmoid(real) - log(1 - sigmoid(fake)).
    return mean(tf.math.softplus(-real_scores)) + mean(tf.math.softplus(fake_scores))


def generator_objective(objective, fake_scores):
    """What the generator minimises, from the scores [n, 1] of its images."""
    if objective == "wasserstein":
        return -mean(fake_scores)
    # Not the negative of the discriminator's, whose gradient vanishes while that wins (Goodfellow et al. 2014).
    return mean(tf.math.softplus(-fake_scores))


def clip_bounds(critic, clip, scaled):
    """The half width of the box of each trainable variable of the critic, a list of floats.

    Not scaled: `clip` for all, as in the paper. Scaled: `clip` times the bound that He et al. (2015) draw a layer's
    first weights from, so that a layer of many inputs may not amplify more than one of few; 0.1 times for biases.
    """
    if not scaled:
        return [clip for _ in critic.trainable_variables]
    shapes = [variable.shape for variable in critic.trainable_variables]
    return [clip * (math.sqrt(6 / math.prod(shape[:-1])) if len(shape) > 1 else 0.1) for shape in shapes]


def clip_weights(critic, bounds, centred):
    """Brings every trainable variable of the critic back into its box (line 7 of the paper's algorithm 1).

    Centred: before that, the weights of each filter and hidden unit are shifted to a mean of zero. In a box, a unit
    answers loudest when all of its weights have one sign: by its number of inputs times c, to a pattern only by the
    root of that number. So the scores of a critic whose weights are only clipped mostly tell how much ink there is,
    which varies so much from one batch to the next that the noise drowns what shape has to say.
    """
    for variable, bound in zip(critic.trainable_variables, bounds, strict=True):
        value = variable.value
        if centred and len(value.shape) > 1 and value.shape[-1] > 1:
            value = value - tf.reduce_mean(value, axis=list(range(len(value.shape) - 1)), keepdims=True)
        variable.assign(tf.clip_by_value(value, -bound, bound))


# --------------------------------------------------------------------------------------------------------- training


def build_training(options):
    """Everything that changes while training: networks, the generator's running average, optimizers, counters.

    Two calls with equal `options` give equal values. `variables` is the complete state, in a fixed order.
    """
    recipe = RECIPES[options.recipe]
    build_critic, build_generator = NETWORKS[recipe.networks]
    critic = build_critic(options.seed, training_layers())
    generator = build_generator(options.latent_dim, recipe.choices, options.seed, training_layers())
    average = build_generator(options.latent_dim, recipe.choices, options.seed)  # only drawn with, and saved
    # Without momentum: it would carry each network on to where the other one was some updates ago.
    critic_optimizer = keras.optimizers.RMSprop(options.learning_rate, rho=0.9)
    generator_optimizer = keras.optimizers.RMSprop(options.learning_rate * recipe.generator_rate, rho=0.9)
    critic_optimizer.build(critic.trainable_variables)
    generator_optimizer.build(generator.trainable_variables)
    bounds = clip_bounds(critic, options.clip, recipe.clip_scaled) if options.clip else None
    if bounds:
        clip_weights(critic, bounds, recipe.centred)
    # int64, because TensorFlow keeps int32 variables in the host's memory, out of XLA's reach.
    iteration = tf.Variable(0, dtype=tf.int64, name="iteration")
    sums = tf.Variable(tf.zeros(3, tf.float64), name="sums")
    difference = "wasserstein_estimate" if recipe.objective == "wasserstein" else "score_difference"
    networks = [*critic.variables, *generator.variables, *average.variables]
    optimizers = [*critic_optimizer.variables, *generator_optimizer.variables]
    return SimpleNamespace(
        critic=critic,
        generator=generator,
        average=average,
        critic_optimizer=critic_optimizer,
        generator_optimizer=generator_optimizer,
        bounds=bounds,
        iteration=iteration,  # how many are done
        columns=(difference, "critic_loss", "generator_loss"),
        sums=sums,  # of these three, over the iterations of this epoch
        variables=[*(variable.value for variable in [*networks, *optimizers]), iteration, sums],
    )


def draw_numbers(training, options, images):
    """The random numbers of an iteration, a function of the seed and the iteration alone.

    Returns chosen, int32 [n_critic, batch]: which of so many real `images` each update of the critic sees; latent
    vectors for the critic's updates, float32 [n_critic, batch, latent_dim]; latent vectors for the generator's update,
    float32 [1, generator's batch, latent_dim]; a seed for each of these updates, integers [n_critic + 1, 2].
    """
    updates, batch = options.n_critic, options.batch_size
    seed = randomness.fold_in(tf.constant([options.seed, 0]), training.iteration)
    choose, for_critic, for_generator, more = randomness.split(seed, 4)
    return (
        randomness.integers([updates, batch], choose, images),
        randomness.normal([updates, batch, options.latent_dim], for_critic),
        randomness.normal([1, RECIPES[options.recipe].generator_batch * batch, options.latent_dim], for_generator),
        tf.stack(randomness.split(more, updates + 1)),
    )


def compile_iteration(training, images, options, iterations):
    """The function that does one iteration: n_critic updates of the critic, one of the generator, in one compiled call.

    images: uint8 [n, 28, 28], the real ones; kept on the device and scaled to [-1, 1] a batch at a time.
    iterations: how many the whole training has; the learning rate falls to a fiftieth over them.
    """
    recipe, critic, generator = RECIPES[options.recipe], training.critic, training.generator

    @replicas.update
    def update_critic(gradients):
        training.critic_optimizer.apply(gradients, critic.trainable_variables)
        if training.bounds:
            clip_weights(critic, training.bounds, recipe.centred)

    @replicas.update
    def update_generator(gradients):
        training.generator_optimizer.apply(gradients, generator.trainable_variables)
        # The running average of the weights draws better than the weights of any one iteration, which circle around
        # the solution (Yazici et al. 2019). At the start, where it would hold untrained weights, it is a shorter one.
        done = tf.cast(training.iteration, tf.float32)
        keep = tf.minimum(AVERAGE_DECAY, (1.0 + done) / (10.0 + done))
        for average, variable in zip(training.average.variables, generator.variables, strict=True):
            average.assign(keep * average.value + (1.0 - keep) * variable.value)

    def iterate(real_images, chosen, critic_latents, generator_latents, seeds):
        if recipe.decay:
            rate = options.learning_rate * (1.0 - 0.98 * tf.cast(training.iteration, tf.float32) / iterations)
            training.critic_optimizer.learning_rate.assign(rate)
            training.generator_optimizer.learning_rate.assign(rate * recipe.generator_rate)
        for update in range(options.n_critic):
            seed_dropout(critic, seeds[update])
            real = tf.cast(tf.gather(real_images, chosen[update]), tf.float32) / 127.5 - 1.0
            # As in the paper, each update draws its own images: batch norm averages over that batch alone.
            fake = generator(critic_latents[update], training=True)
            with tf.GradientTape() as tape:
                real_scores, fake_scores = tf.split(critic(tf.concat([real, fake], 0), training=True), 2)
                critic_loss = critic_objective(recipe.objective, real_scores, fake_scores)
                if recipe.penalty:
                    critic_loss += recipe.penalty * gradient_penalty(critic, real, fake, seeds[update])
            update_critic(tape.gradient(critic_loss, critic.trainable_variables))

        seed_dropout(critic, seeds[-1])
        with tf.GradientTape() as tape:
            scores = critic(generator(generator_latents[0], training=True), training=True)
            generator_loss = generator_objective(recipe.objective, scores)
        update_generator(tape.gradient(generator_loss, generator.trainable_variables))
        training.sums.assign_add(
            tf.stack([wasserstein_estimate(real_scores, fake_scores), critic_loss, generator_loss])
        )
        training.iteration.assign_add(1)

    # Each replica's batch norm has seen its own images.
    statistics = [value for value in [*generator.variables, *training.average.variables] if "moving_" in value.name]
    draw = functools.partial(draw_numbers, training, options, len(images))
    return replicas.compile_for_all(iterate, images[..., None], draw, [*statistics, training.sums])


def train(digits, options=None, interrupts=None):
    """Trains on digits.train_images; leaves models, history, pictures and checkpoints in options.models_dir.

    digits: what load_dataset returns. interrupts: an Interrupts, looked at after each iteration. Returns the
    averaged generator and the critic. Raises TrainingError when values are no longer
    finite, CheckpointError when there is nothing to resume from, Interrupted when it was asked to end.
    """
    options = complete(options or Options(), RECIPES)
    devices.import_tensorflow(options.device, lambda: replicas.join(options.worker_timeout, options.batch_size))
    with replicas.scope():
        training = build_training(options)
    about, chief = describe_run(options, RECIPES[options.recipe], digits, VERSION, __file__), replicas.is_chief()
    run = Run(options.models_dir, about, training.variables, options.resume, warn, writes=chief)
    epoch_length = math.ceil(len(digits.train_images) / (options.batch_size * options.n_critic))
    total, done = options.epochs * epoch_length, int(training.iteration.numpy())
    if done >= total and chief:
        warn(f"{len(run.history)} epochs of training are done already; a larger --epochs goes on from there")
    iterate = compile_iteration(training, digits.train_images, options, total)
    headline = training.columns[0].replace("_", " ").capitalize()
    progress = Progress(total, done, silent=not chief)
    asked = None  # to end, by the signal of this number

    while done < total and not asked:
        iterate()
        done += 1
        epoch, in_epoch = -(-done // epoch_length), (done - 1) % epoch_length + 1
        where = f"epoch {epoch}/{options.epochs}, {headline}"
        asked = replicas.agree(interrupts and interrupts.asked, done % 10 == 0 or done == total)
        if asked and done < total and not run.worth_saving():
            break
        if progress.due():  # reading a value makes the host wait for the device, so not after every iteration
            speed = progress.speed(done) * options.n_critic * options.batch_size
            progress.show(done, f"{where} {training.sums.numpy()[0] / in_epoch:.4g}, {speed:.0f} images/s")
        if in_epoch == epoch_length or asked or run.checkpoint_due():
            means = run.checked(training.columns, training.sums.numpy() / in_epoch, done)
            if in_epoch == epoch_length:
                training.sums.assign(tf.zeros(3, tf.float64))
                samples = next(draw_digits(training.average, 100, options.seed))
                run.save_epoch(done, means, samples, options.tensorboard)
            run.save_checkpoint(done)
            if in_epoch == epoch_length:
                progress.say(done, f"{where} {means[training.columns[0]]:.4g}, {clock(run.seconds())}")
    critic = NETWORKS[RECIPES[options.recipe].networks][0](options.seed)  # of built-in layers, to be saved
    critic.set_weights(training.critic.get_weights())
    run.save_models(generator=training.average, critic=critic)
    if done >= total:
        run.finish(
            ("E[C(real)] - E[C(generated)]", "scores", {training.columns[0]: headline}),
            ("Losses, both minimised", "loss", {"critic_loss": "critic", "generator_loss": "generator"}),
        )
    if asked:
        raise Interrupted(asked, saved=bool(run.own) if chief else None)
    return training.average, critic


# ---------------------------------------------------------------------------------------------------- drawing digits


def to_pixels(images):
    """Images [n, 28, 28, 1] in [-1, 1] -> uint8 [n, 28, 28], 0 to 255."""
    return tf.cast(tf.round(tf.clip_by_value(images[..., 0] * 127.5 + 127.5, 0.0, 255.0)), tf.uint8)


def draw_latents(seed, block, latent_dim):
    """The latent vectors of a block of digits: float32 [BLOCK, latent_dim], normal, a function of these three alone."""
    return randomness.normal([BLOCK, latent_dim], tf.stack([seed, block]))


@functools.lru_cache(maxsize=4)
def compile_drawing(generator):
    """The function (number of a block, seed) -> BLOCK digits of `generator`, uint8 [BLOCK, 28, 28], compiled once."""

    def draw_block(block, seed):
        return to_pixels(generator(draw_latents(seed, block, generator.input_shape[-1]), training=False))

    return tf.function(draw_block, jit_compile=replicas.use_xla(), autograph=False)


def draw_digits(generator, stop, seed=0, first=0):
    """Yields the digits `first` to `stop` - 1 in parts: uint8 [n, 28, 28], white ink on black as in MNIST, 0 to 255.

    generator: any Keras model from latent vectors to images [n, 28, 28, 1] in [-1, 1]. Digit i depends on the
    generator, the seed and i alone: it is always made from the same numbers, in the same place of a block of the same
    size.
    """
    draw_block = compile_drawing(generator)
    for start in range(first - first % BLOCK, stop, BLOCK):
        digits = draw_block(tf.constant(start // BLOCK), tf.constant(seed)).numpy()
        yield digits[max(first - start, 0) : stop - start]


def generate(generator, options, about, interrupts):
    """Writes the digits, or the shard's part of them, as PNG files, in place of what an earlier run left there."""
    start, numbers = time.monotonic(), files.part_of(options.images, options.shard)
    parts = draw_digits(generator, numbers.stop, options.seed, numbers.start)
    image_folder.fill(options.images_dir, pictures.encode_ahead(parts), options.images, about, options.shard)
    with interrupts.deferred():  # the new digits take the old ones' place at one stroke
        whole = image_folder.finish(options.images_dir)
    waiting = "" if whole else "; they appear when all shards are done"
    say(f"{len(numbers)} digits in {options.images_dir}, {clock(time.monotonic() - start)}{waiting}")


def interpolate(generator, options):
    """Writes what the generator draws on a walk between latent points: interpolation.gif, and interpolation.png.

    In the second each row is the way from one of the points to the next, 20 pictures of it at most. The point of a seed
    is the latent vector of that seed's digit 0.
    """
    check_folder(options.models_dir, ["interpolate"])
    latent_dim = generator.input_shape[-1]
    points = [draw_latents(seed, 0, latent_dim)[0].numpy() for seed in options.walk]
    ways = [np.asarray(to_pixels(generator(way, training=False))) for way in walk(points, options.frames)]
    folder, columns = Path(options.models_dir), np.unique(np.linspace(0, options.frames - 1, 20).round().astype(int))
    pictures.save_film(folder / "interpolation.gif", np.concatenate(ways))
    pictures.save_grid(folder / "interpolation.png", np.concatenate([way[columns] for way in ways]), len(columns))
    say(f"a walk between {len(points)} latent points in {folder / 'interpolation.gif'} and .png")


# ------------------------------------------------------------------------------------------------------------- main


def warn(line):
    """Prints a line on standard error."""
    say(f"wgan_handwritten_digits: {line}")


def run(options, interrupts):
    """Checks all that can be checked before anything is written, then takes the steps in turn."""
    training = "train" in options.steps and not options.summary
    join = functools.partial(replicas.join, options.worker_timeout, options.batch_size) if training else None
    if not options.data and not loading.MNIST.exists():
        devices.import_tensorflow(options.device, join)  # before Keras, whose own copy of MNIST is used
    digits = loading.load_dataset(options.data) if training else None
    devices.import_tensorflow(options.device, join)
    if options.summary:
        networks = build_training(options)
        networks.critic.summary()
        networks.generator.summary()
        return
    if training and not replicas.is_chief():  # which alone writes
        with interrupts.deferred():
            train(digits, options, interrupts)
            replicas.wait_for_all()
        return
    model_path = Path(options.model or Path(options.models_dir, "generator.keras"))
    generator = None if digits else load_generator(model_path)
    written = {step: options.images_dir if step == "generate" else options.models_dir for step in options.steps}
    for folder in filter(None, [*written.values(), options.tensorboard]):
        files.check_folder(folder)
    if "generate" in options.steps:
        image_folder.check(options.images_dir, options.images, options.shard)
    with contextlib.ExitStack() as held:
        for folder in {os.path.realpath(folder): folder for folder in written.values()}.values():
            held.enter_context(files.own_folder(folder, options.shard))
        if options.tensorboard:
            files.make_folder(options.tensorboard)
        if "generate" in options.steps:
            image_folder.finish(options.images_dir)  # what a run that was killed left half done
        if digits:
            with interrupts.deferred():
                generator, _ = train(digits, options, interrupts)
        if "generate" in options.steps:
            about = {"seed": options.seed, "model": "trained by this run" if digits else str(model_path)}
            if not digits:
                about["sha256"] = hashlib.sha256(model_path.read_bytes()).hexdigest()
            generate(generator, options, about, interrupts)
        if "interpolate" in options.steps:
            interpolate(generator, options)
        replicas.wait_for_all()


def main(arguments=None):
    """Does what the command line asks for and returns the exit status: 0 done, 2 a bad option or input, 1 a failure."""
    open_standard_error()
    arguments = sys.argv[1:] if arguments is None else arguments
    versions = ", ".join(f"{name} {number}" for name, number in devices.package_versions().items())
    if hasattr(sys.stdout, "reconfigure"):  # not in a notebook
        sys.stdout.reconfigure(
            errors="replace"
        )  # a terminal that knows ASCII alone gets question marks, not a traceback
    about = (__doc__ or "").split("\n\nA GAN")[0]  # python -OO leaves docstrings out
    options = read_options(arguments, RECIPES, about, f"%(prog)s {VERSION} ({versions})")
    try:
        with Interrupts() as interrupts:
            run(options, interrupts)
        return 0
    except (Exception, Interrupted) as error:
        return tell(error, warn, arguments, training="train" in options.steps)


if __name__ == "__main__":
    sys.exit(main())
