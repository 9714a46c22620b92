# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["tensorflow>=2.20", "keras>=3.12", "numpy>=1.26", "matplotlib>=3.8", "pillow>=10.1"]
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

from support import comparisons, devices, files, image_folder, mnist, pictures, replicas
from support.comparisons import gradient_penalty
from support.devices import keras, tf
from support.endings import tell
from support.interrupts import Interrupted, Interrupts
from support.layers import STRIDED, fuse_layers, initializers, mean, seed_dropout
from support.models import load_generator
from support.options import Options, complete, read_options
from support.progress import Progress, clock, say
from support.recipes import COMPARISONS, Recipe
from support.runs import Run, describe_run
from support.walks import walk

VERSION = "0.2.0.dev0"
LEAK = 0.02  # slope of LeakyReLU below zero; the usual 0.2 makes the critic nearly linear, and blind to much
CHOICE = 6.0  # how much a choice counts in the generator: nearly as much as all other latent numbers together
AVERAGE_DECAY = 0.999  # of the generator's running average: it looks back over some 1,000 iterations
BLOCK = 500  # digits are drawn in blocks of this size, whatever their number


# ---------------------------------------------------------------------------------------------------------- recipes

# What the names mean stands in support/recipes.py, beside the settings of other GANs.
RECIPES = {
    "wgan": Recipe(
        epochs=10, batch_size=32, n_critic=2, learning_rate=1e-3, latent_dim=64, clip=2.0,
        clip_scaled=True, centred=True, generator_rate=2.0, generator_batch=2, choices=10,
    ),
    # The settings of algorithm 1 of the paper, for comparison.
    "wgan-paper": Recipe(epochs=20, batch_size=64, n_critic=5, learning_rate=5e-5, clip=0.01, decay=False),
    **COMPARISONS,
}  # fmt: skip


# --------------------------------------------------------------------------------------------------------- networks


def build_critic(seed=0):
    """The critic C: float32 images [n, 28, 28, 1] in [-1, 1] -> scores [n, 1], any real number.

    The last layer is linear: a score is not a probability, so there is no sigmoid. There is no batch norm either: it
    would make an image's score depend on the other images of the batch. The kernels of the first layer are nearly half
    the image wide, for a whole stroke is to be seen at once.
    """
    kernel = initializers(keras.initializers.HeUniform, seed, first=0)
    layers = keras.layers
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


def build_generator(latent_dim=64, choices=10, seed=0):
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
    layers, choices = keras.layers, min(choices, latent_dim)
    latent = values = keras.Input((latent_dim,), name="latent")
    if choices:
        # 1000 times the first numbers, of which the softmax makes 1 for the largest and 0 for the others. Training in
        # bfloat16 (see support/devices.py) sees two largest in one vector of 200, and gives it half of each.
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


NETWORKS = {
    "convolutional": (build_critic, build_generator),
    "dcgan": (comparisons.build_dcgan_discriminator, comparisons.build_dcgan_generator),
    "dense": (comparisons.build_dense_discriminator, comparisons.build_dense_generator),
}


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
    critic = build_critic(options.seed)
    generator = build_generator(options.latent_dim, recipe.choices, options.seed)
    average = build_generator(options.latent_dim, recipe.choices, options.seed)
    for network in (critic, generator):  # not the average, which is only drawn with
        fuse_layers(network)
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
    """The random numbers of an iteration: which of so many `images` are seen, latent vectors for both networks, a seed.

    All randomness is a function of the seed and the iteration, never of a generator's state: a resumed training draws
    what an uninterrupted one draws. Philox gives the same numbers with XLA and without. Of several replicas each draws
    all of the numbers, and takes its share.
    """
    seed = tf.random.experimental.stateless_fold_in(tf.constant([options.seed, 0]), training.iteration)
    choose, critic_noise, generator_noise, more = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    seen, updated = options.n_critic * options.batch_size, RECIPES[options.recipe].generator_batch * options.batch_size
    chosen = tf.random.stateless_uniform([seen], choose, 0, images, tf.int32, alg="philox")
    for_critic = tf.random.stateless_normal([seen, options.latent_dim], critic_noise, alg="philox")
    for_generator = tf.random.stateless_normal([updated, options.latent_dim], generator_noise, alg="philox")
    shares = (replicas.share(values, options.n_critic) for values in (chosen, for_critic))
    return *shares, replicas.share(for_generator, 1), replicas.own_seed(more)


def compile_iteration(training, images, options, iterations):
    """The function that does one iteration: n_critic updates of the critic, one of the generator, in one compiled call.

    images: uint8 [n, 28, 28], the real ones; kept on the device and scaled to [-1, 1] a batch at a time.
    iterations: how many the whole training has; the learning rate falls to a fiftieth over them.
    """
    recipe, critic, generator = RECIPES[options.recipe], training.critic, training.generator

    @replicas.fused
    def update_critic(gradients):
        training.critic_optimizer.apply(gradients, critic.trainable_variables)
        if training.bounds:
            clip_weights(critic, training.bounds, recipe.centred)

    @replicas.fused
    def update_generator(gradients):
        training.generator_optimizer.apply(gradients, generator.trainable_variables)
        # Each replica's batch norm has seen its own images.
        replicas.average([value for value in generator.non_trainable_variables if value.name.startswith("moving_")])
        # The running average of the weights draws better than the weights of any one iteration, which circle around
        # the solution (Yazici et al. 2019). At the start, where it would hold untrained weights, it is a shorter one.
        done = tf.cast(training.iteration, tf.float32)
        keep = tf.minimum(AVERAGE_DECAY, (1.0 + done) / (10.0 + done))
        for average, variable in zip(training.average.variables, generator.variables, strict=True):
            average.assign(keep * average.value + (1.0 - keep) * variable.value)

    def iterate(real_images):
        chosen, critic_noise, generator_noise, seed = draw_numbers(training, options, len(images))
        real = tf.cast(tf.gather(real_images, chosen), tf.float32) / 127.5 - 1.0
        # The generator does not change during the critic's updates, so it draws the images for all of them at once.
        fake = generator(critic_noise, training=True)
        if recipe.decay:
            rate = options.learning_rate * (1.0 - 0.98 * tf.cast(training.iteration, tf.float32) / iterations)
            training.critic_optimizer.learning_rate.assign(rate)
            training.generator_optimizer.learning_rate.assign(rate * recipe.generator_rate)
        batches = zip(tf.split(real, options.n_critic), tf.split(fake, options.n_critic), strict=True)
        for number, (real_batch, fake_batch) in enumerate(batches):
            update_seed = tf.random.experimental.stateless_fold_in(seed, number)
            seed_dropout(critic, update_seed)
            with tf.GradientTape() as tape:
                real_scores, fake_scores = tf.split(critic(tf.concat([real_batch, fake_batch], 0), training=True), 2)
                critic_loss = critic_objective(recipe.objective, real_scores, fake_scores)
                if recipe.penalty:
                    critic_loss += recipe.penalty * gradient_penalty(critic, real_batch, fake_batch, update_seed)
                share = critic_loss / replicas.count()  # the gradients of all replicas are added up
            update_critic(tape.gradient(share, critic.trainable_variables))

        seed_dropout(critic, seed)
        with tf.GradientTape() as tape:
            scores = critic(generator(generator_noise, training=True), training=True)
            generator_loss = generator_objective(recipe.objective, scores)
            share = generator_loss / replicas.count()
        update_generator(tape.gradient(share, generator.trainable_variables))
        figures = wasserstein_estimate(real_scores, fake_scores), critic_loss, generator_loss
        training.sums.assign_add(tf.stack(figures))
        replicas.average([training.sums])
        training.iteration.assign_add(1)

    return replicas.compile_for_all(iterate, images[..., None])


def train(digits, options=None, interrupts=None):
    """Trains on digits.train_images; leaves models, history, pictures and checkpoints in options.models_dir.

    digits: what support.mnist.load returns. interrupts: an Interrupts, looked at after each iteration. Returns the
    averaged generator and the critic (with the calls of fuse_layers). Raises TrainingError when values are no longer
    finite, CheckpointError when there is nothing to resume from, Interrupted when it was asked to end.
    """
    options = complete(options or Options(), RECIPES)
    devices.import_tensorflow(options.device, lambda: replicas.join(options.worker_timeout, options.batch_size))
    with replicas.scope():
        training = build_training(options)
    about, chief = describe_run(options, RECIPES[options.recipe], digits, VERSION), replicas.is_chief()
    run = Run(options.models_dir, about, training.variables, options.resume, warn, writes=chief)
    epoch_length = math.ceil(len(digits.train_images) / (options.batch_size * options.n_critic))
    total, done = options.epochs * epoch_length, int(training.iteration.numpy())
    if done >= total and chief:
        warn(f"{len(run.history)} epochs of training are done already; a larger --epochs goes on from there")
    iterate = compile_iteration(training, digits.train_images, options, total)
    headline = training.columns[0].replace("_", " ").capitalize()
    progress, first = Progress(total, done, silent=not chief), True
    asked = None  # to end, by the signal of this number

    while done < total and not asked:
        # The first one is compiled, of which some versions of TensorFlow tell.
        with devices.quiet_standard_error() if first else contextlib.nullcontext(), devices.training_passes():
            iterate()
        first, done = False, done + 1
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
                progress.say(done, f"{where} {means[training.columns[0]]:.4g}, {clock(run.seconds())}")
            run.save_checkpoint(done)
    run.save_models(generator=training.average, critic=training.critic)
    if done >= total:
        run.finish(
            ("E[C(real)] - E[C(generated)]", "scores", {training.columns[0]: headline}),
            ("Losses, both minimised", "loss", {"critic_loss": "critic", "generator_loss": "generator"}),
        )
    if asked:
        raise Interrupted(asked, saved=bool(run.own) if chief else None)
    return training.average, training.critic


# ---------------------------------------------------------------------------------------------------- drawing digits


def to_pixels(images):
    """Images [n, 28, 28, 1] in [-1, 1] -> uint8 [n, 28, 28], 0 to 255."""
    return tf.cast(tf.round(tf.clip_by_value(images[..., 0] * 127.5 + 127.5, 0.0, 255.0)), tf.uint8)


@functools.lru_cache(maxsize=4)
def compile_drawing(generator):
    """The function (number of a block, seed) -> BLOCK digits of `generator`, uint8 [BLOCK, 28, 28], compiled once."""

    def draw_block(block, seed):
        noise = tf.random.stateless_normal([BLOCK, generator.input_shape[-1]], tf.stack([seed, block]), alg="philox")
        return to_pixels(generator(noise, training=False))

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
    latent_dim = generator.input_shape[-1]
    points = [tf.random.stateless_normal([latent_dim], [seed, 0], alg="philox").numpy() for seed in options.walk]
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
    if not options.data and not mnist.MNIST.exists():
        devices.import_tensorflow(options.device, join)  # before Keras, whose own copy of MNIST is used
    digits = mnist.load(options.data) if training else None
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
    arguments = sys.argv[1:] if arguments is None else arguments
    versions = ", ".join(f"{name} {number}" for name, number in devices.package_versions().items())
    options = read_options(arguments, RECIPES, __doc__.split("\n\nA GAN")[0], f"%(prog)s {VERSION} ({versions})")
    try:
        with Interrupts() as interrupts:
            run(options, interrupts)
        return 0
    except (Exception, Interrupted) as error:
        return tell(error, warn, arguments, training="train" in options.steps)


if __name__ == "__main__":
    sys.exit(main())
