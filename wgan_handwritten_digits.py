# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["tensorflow>=2.20,<2.22", "keras>=3.12,<3.16", "numpy>=1.26", "matplotlib>=3.8", "pillow>=10.1",
#                 "scikit-learn>=1.4", "scipy>=1.12", "tqdm>=4.66", "filelock>=3.16"]
# ///
"""A Wasserstein GAN with weight clipping that learns to draw handwritten digits.

    python wgan_handwritten_digits.py                    train on MNIST, save the models, write 25,000 digits
    python wgan_handwritten_digits.py generate           write 25,000 digits with the saved generator
    python wgan_handwritten_digits.py interpolate        write a walk between digits, as an animation
    python wgan_handwritten_digits.py write 2026         write a number in handwriting (needs a generator of cwgan)
    python wgan_handwritten_digits.py page               write a page that draws digits in any browser

A GAN is two networks with opposite aims. The generator G turns a latent vector z of random numbers into an image. The
critic C gives an image a score. It is trained to score real images high and generated images low. The generator is
trained to be scored high. In a Wasserstein GAN (Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875) the score is any
number, not a probability, and similar images must get similar scores: the critic has to be Lipschitz continuous. So

    max over C of  E[C(real)] - E[C(G(z))]                                             (their equations 2 and 3)

is, up to a factor, the Wasserstein-1 distance between the real and the generated images. This distance is the smallest
mean distance, in pixel space, at which each generated image can be paired with a real one. Better digits make it
smaller, and its gradient is useful even if the two sets have nothing in common. The critic is kept Lipschitz in the
simplest way: after each of its updates, each weight is clipped to an interval around 0, its box.
"""

import functools
import math
import sys
from dataclasses import dataclass

from support import averages, cluster, console, models, other_gans, quick_layers, randomness, steps
from support.data import as_dataset, load_dataset
from support.drawing import draw_digits, set_choice
from support.evaluation import epoch_figures
from support.labels import DIGITS, check_request, classes_of, labels_of, labels_to_learn, layer_name
from support.lazy import keras, tf
from support.options import options_from, read_options
from support.outputs import claims, training_folder
from support.page import writing as page

VERSION = "0.4.0.dev0"
LEAK = 0.02  # slope of LeakyReLU below zero; with the usual 0.2 the critic is nearly linear, and misses shapes
CHOICE = 6.0  # norm of the vector that encodes the choice; that of 64 normal latent numbers is about 8


# ---------------------------------------------------------------------------------------------------------- recipes
@dataclass(frozen=True)
class Recipe:
    """One way to train a GAN: the defaults of the options with the same names, and settings without an option."""

    epochs: int
    batch_size: int
    n_critic: int  # critic updates per generator update
    learning_rate: float = 1e-3  # of the critic, at the start
    latent_dim: int = 64
    clip: float | None = None  # half width of the critic's boxes; None: the weights are not clipped
    clip_scaled: bool = False  # the box of each layer is in proportion to its He initialisation, see clip_bounds
    centred: bool = False  # shift the weights of each critic unit to mean zero before clipping, see clip_weights
    generator_rate: float = 1.0  # the generator's learning rate / the critic's
    final_rate: float = 0.02  # the learning rates fall linearly to this fraction of their initial value
    reuse_images: bool = False  # the generator's update uses the images of the critic's updates, no new ones
    choices: int = 0  # number of learned vectors that the generator starts from, see build_generator
    conditional: bool = False  # a score of the critic and a choice of the generator for each label of the dataset
    networks: str = "convolutional"  # or "dcgan" or "dense", in support/other_gans.py
    loss: str = "wasserstein"  # or "cross-entropy"
    penalty: float = 0.0  # weight of a gradient penalty
    lookahead: int = 0  # iterations after which both networks go halfway back, see averages.look_back; 0: never


RECIPES = {  # how the settings were found: benchmarks/results/search.md
    "wgan": Recipe(
        epochs=5, batch_size=16, n_critic=2, learning_rate=3e-3, generator_rate=2.0, clip=2.0, clip_scaled=True,
        centred=True, final_rate=0.15, reuse_images=True, choices=10, lookahead=5,
    ),
    # The same with labels: it draws the digits that are asked for.
    "cwgan": Recipe(
        epochs=3, batch_size=16, n_critic=2, learning_rate=3e-3, generator_rate=2.0, clip=2.0, clip_scaled=True,
        centred=True, final_rate=0.3, reuse_images=True, conditional=True, lookahead=20,
    ),
    # A gradient penalty instead of clipping (Gulrajani et al. 2017).
    "wgan-gp": Recipe(
        epochs=5, batch_size=32, n_critic=2, learning_rate=2e-3, final_rate=0.15, reuse_images=True, choices=10,
        penalty=10.0, lookahead=5,
    ),
    # The settings of algorithm 1 of the paper.
    "wgan-paper": Recipe(
        epochs=20, batch_size=64, n_critic=5, learning_rate=5e-5, latent_dim=100, clip=0.01, final_rate=1.0,
    ),
    # A discriminator that classifies images as real or generated (Radford et al. 2015; Goodfellow et al. 2014).
    "dcgan": Recipe(epochs=4, batch_size=32, n_critic=1, latent_dim=100, networks="dcgan", loss="cross-entropy"),
    "gan": Recipe(epochs=29, batch_size=64, n_critic=1, latent_dim=100, networks="dense", loss="cross-entropy"),
}  # fmt: skip


# --------------------------------------------------------------------------------------------------------- networks
def build_critic(scores=1):
    """The critic C: float32 images [n, 28, 28, 1] in [-1, 1] -> scores [n, scores], any real numbers.

    The last layer is linear: a score is not a probability, so there is no sigmoid. There is no batch norm either: with
    it, the score of an image would depend on the other images of the batch. The kernels of the first layer are nearly
    half as wide as the image, so that they see a whole stroke at once. cwgan has a score for each label.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            # A 12x12 kernel with a stride of 4, in the form that is quickest to compute: 3x3 over blocks of 4x4 pixels.
            layers.Reshape((7, 4, 7, 4)),
            layers.Permute((1, 3, 2, 4)),
            layers.Reshape((7, 7, 16)),
            layers.Conv2D(64, 3, padding="same", kernel_initializer="he_uniform"),
            layers.LeakyReLU(LEAK),
            layers.Conv2D(64, 3, padding="same", kernel_initializer="he_uniform"),
            layers.LeakyReLU(LEAK),
            layers.Flatten(),
            layers.Dense(256, kernel_initializer="he_uniform"),
            layers.LeakyReLU(LEAK),
            layers.Dense(scores, kernel_initializer="he_uniform", name="score"),
        ],
        name="critic",
    )


def build_generator(latent_dim=64, choices=10, labels=()):
    """The generator G: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1].

    Digits come in ten classes. A network is continuous, so it also draws what lies between: a 4 turns into a 9 through
    images that are neither. So this generator can jump. A one-hot vector marks the largest of the first `choices`
    latent numbers, and adds one of `choices` learned vectors (rows of the next dense kernel) to that layer's output.
    Training decides what each of them stands for; with labels (cwgan), there is one for each label.

    The kernel size of the transposed convolutions, 4, is divisible by their stride of 2, so that each pixel is computed
    from the same number of values. Otherwise a checkerboard shows (Odena et al. 2016).
    """
    layers, choices = keras.layers, len(labels) or min(choices, latent_dim)

    def tiny():  # small initial weights keep the tanh away from saturation, where its gradient vanishes
        return keras.initializers.RandomNormal(stddev=0.02)

    latent = values = keras.Input((latent_dim,), name="latent")
    if choices:
        # Keras has no layer for "1 for the largest, 0 for the rest", so this is the softmax of 1000 times the numbers.
        # With bfloat16, the two largest numbers of 1 in 200 vectors round to one value: each gets a half.
        choose = layers.Dense(
            choices, activation="softmax", use_bias=False, trainable=False,
            kernel_initializer=keras.initializers.Identity(1000.0), name=layer_name(labels),
        )  # fmt: skip
        values = layers.Concatenate()([latent, layers.Rescaling(CHOICE)(choose(latent))])
    for layer in (
        # Batch norm has its own bias, so the layers before it need none.
        layers.Dense(7 * 7 * 64, use_bias=False, kernel_initializer=tiny()),
        layers.Reshape((7, 7, 64)),
        layers.BatchNormalization(momentum=0.9),
        layers.LeakyReLU(LEAK),
        layers.Conv2DTranspose(64, 4, strides=2, padding="same", use_bias=False, kernel_initializer=tiny()),
        layers.BatchNormalization(momentum=0.9),
        layers.LeakyReLU(LEAK),
        layers.Conv2DTranspose(
            1, 4, strides=2, padding="same", activation="tanh", kernel_initializer=tiny(), name="digit"
        ),
    ):
        values = layer(values)
    return keras.Model(latent, values, name="generator")


def build_networks(options, labels=()):
    """The critic and the generator for these options. labels: those of the dataset, for cwgan."""
    recipe = RECIPES[options.recipe]
    if recipe.networks != "convolutional":
        return other_gans.build_networks(recipe.networks, options.latent_dim)
    return build_critic(len(labels) or 1), build_generator(options.latent_dim, recipe.choices, labels)


# ------------------------------------------------------------------------------------------- losses and clipping
def wasserstein_estimate(real_scores, fake_scores):
    """E[C(real)] - E[C(fake)]: the critic raises it and the generator lowers it (equation 3 of the paper)."""
    return tf.reduce_mean(real_scores) - tf.reduce_mean(fake_scores)


def critic_loss(real_scores, fake_scores):
    """The loss of the critic, from its scores [n] of real and of generated images."""
    return -wasserstein_estimate(real_scores, fake_scores)


def generator_loss(fake_scores):
    """The loss of the generator, from the scores [n] of its images."""
    return -tf.reduce_mean(fake_scores)


CRITIC_LOSSES = {"wasserstein": critic_loss, "cross-entropy": other_gans.discriminator_loss}
GENERATOR_LOSSES = {"wasserstein": generator_loss, "cross-entropy": other_gans.non_saturating_loss}


def clip_bounds(critic, clip, scaled):
    """The half width of the box of each trainable variable of the critic, a list of floats.

    Not scaled: `clip` for all, as in the paper. Scaled: `clip` times the bound of the uniform distribution from which
    He et al. (2015) draw a layer's initial weights, so that layers with many and with few inputs amplify about
    equally; 0.1 `clip` for biases.
    """
    bounds = []
    for variable in critic.trainable_variables:
        inputs = math.prod(variable.shape[:-1])  # of each filter or unit
        he_bound = math.sqrt(6 / inputs) if len(variable.shape) > 1 else 0.1
        bounds.append(clip * he_bound if scaled else clip)
    return bounds


def clip_weights(critic, bounds, centred):
    """Clips every trainable variable of the critic to its box (line 7 of algorithm 1 of the paper).

    Centred: before that, the weights of each filter and unit are shifted to a mean of zero. Without the shift, a
    unit responds most strongly if all its weights have one sign: it measures how much ink there is. The amount
    of ink varies so much between batches that it hides the shapes.
    """
    for variable, bound in zip(critic.trainable_variables, bounds, strict=True):
        value = variable.value
        if centred and len(value.shape) > 1 and value.shape[-1] > 1:  # not biases, not a single score
            value = value - tf.reduce_mean(value, axis=list(range(len(value.shape) - 1)), keepdims=True)
        variable.assign(tf.clip_by_value(value, -bound, bound))


# --------------------------------------------------------------------------------------------------------- training
@dataclass
class Training:
    """Everything that changes in a training run."""

    critic: object  # a Keras model
    generator: object
    average: object  # the running average of the generator, which is saved
    critic_optimizer: object
    generator_optimizer: object
    earlier_weights: list  # of both networks, see averages.look_back; [] without lookahead
    bounds: list  # of the critic's boxes, see clip_bounds
    labels: tuple  # those that the generator learns, ascending; () without labels
    iteration: object  # number of iterations done
    sums: object  # of the estimate and of both losses, over the iterations of this epoch

    @property
    def variables(self):
        """The complete state, in a fixed order: what a checkpoint holds."""
        parts = self.critic, self.generator, self.average, self.critic_optimizer, self.generator_optimizer
        values = [variable.value for part in parts for variable in part.variables]
        return [*values, *self.earlier_weights, self.iteration, self.sums]


def build_training(options, total, labels=()):
    """The Training of a run of `total` iterations. Equal arguments give equal values. labels: those to learn."""
    recipe = RECIPES[options.recipe]
    keras.utils.set_random_seed(options.seed)  # the initial weights depend on this alone
    critic, generator = build_networks(options, labels)
    average = generator  # training changes copies with faster layers, which begin with the same weights
    critic, generator = quick_layers.quick(critic), quick_layers.quick(generator)
    bounds = clip_bounds(critic, options.clip or math.inf, recipe.clip_scaled)
    clip_weights(critic, bounds, recipe.centred)
    rate = options.learning_rate
    return Training(
        critic=critic,
        generator=generator,
        average=average,
        critic_optimizer=build_optimizer(critic, rate, total * options.n_critic, recipe.final_rate),
        generator_optimizer=build_optimizer(generator, rate * recipe.generator_rate, total, recipe.final_rate),
        earlier_weights=averages.copy_weights([critic, generator]) if recipe.lookahead else [],
        bounds=bounds,
        labels=labels,
        iteration=tf.Variable(0, dtype=tf.int64),  # XLA on a GPU cannot use int32 variables
        sums=tf.Variable(tf.zeros(3, tf.float64)),
    )


def build_optimizer(network, rate, updates, final_rate):
    """RMSprop, without momentum: momentum would reuse gradients that an older version of the other network gave.

    The learning rate falls linearly from `rate` to `final_rate` times `rate` in this number of updates.
    """
    rate = keras.optimizers.schedules.PolynomialDecay(rate, updates, end_learning_rate=rate * final_rate)
    optimizer = keras.optimizers.RMSprop(rate, rho=0.9)
    optimizer.build(network.trainable_variables)
    return optimizer


def draw_numbers(training, options, classes):
    """The random numbers of an iteration, a function of the seed and the iteration alone.

    classes: int [images], for each training image the position of its label in training.labels, 0 without labels.
    Returns positions of real images, int [n, batch]; latent vectors, normal, float32 [n, batch, latent_dim]; classes of
    both, int [n, batch]; n_critic + 1 seeds, for dropout and the penalty in each update. n is n_critic if
    recipe.reuse_images, otherwise n_critic + 1: the last batch is for the generator. Several devices share each batch.
    """
    recipe = RECIPES[options.recipe]
    batches = options.n_critic if recipe.reuse_images else options.n_critic + 1
    seed = randomness.fold_in(tf.constant([options.seed, 0]), training.iteration)
    for_real, for_latents, for_updates = randomness.split(seed, 3)
    positions = randomness.integers([batches, options.batch_size], for_real, len(classes))
    latents = randomness.normal([batches, options.batch_size, options.latent_dim], for_latents)
    image_classes = tf.gather(classes, positions)
    if recipe.conditional:  # compare real sevens with generated sevens: in their latents, number 7 becomes the largest
        latents = set_choice(latents, image_classes, len(training.labels))
    seeds = cluster.own_seeds(randomness.split(for_updates, options.n_critic + 1))
    return cluster.share(positions), cluster.share(latents), cluster.share(image_classes), seeds


def score(critic, images, classes):
    """The critic's score of each image, float64 [n]. cwgan: its score for the class of the image."""
    scores = tf.gather(critic(images, training=True), classes, batch_dims=1)  # one column of each row
    return tf.cast(scores, tf.float64)  # bfloat16, in which some CPUs compute them, is too coarse for a mean


def critic_loss_and_estimate(critic, recipe, real, fake, classes, seed):
    """The critic's loss on a batch, and the estimate of equation 3. With clipping, one is the negative of the other."""
    scores = score(critic, tf.concat([real, fake], axis=0), tf.tile(classes, [2]))
    real_scores, fake_scores = tf.split(scores, 2)
    loss = CRITIC_LOSSES[recipe.loss](real_scores, fake_scores)
    if recipe.penalty:
        loss += recipe.penalty * other_gans.gradient_penalty(score, critic, real, fake, classes, seed)
    return loss, wasserstein_estimate(real_scores, fake_scores)


def compile_iteration(training, dataset, options):
    """A compiled function without arguments: an iteration, lines 2 to 11 of algorithm 1."""
    recipe, critic, generator = RECIPES[options.recipe], training.critic, training.generator
    classes = classes_of(dataset, training.labels)

    @cluster.update  # compiles the function; with several devices, it gets the mean of their gradients
    def update_critic(gradients):
        training.critic_optimizer.apply(gradients, critic.trainable_variables)  # line 6
        clip_weights(critic, training.bounds, recipe.centred)  # line 7

    @cluster.update
    def update_generator(gradients):
        training.generator_optimizer.apply(gradients, generator.trainable_variables)  # line 11
        if recipe.lookahead:
            is_time = (training.iteration + 1) % recipe.lookahead == 0
            averages.look_back([critic, generator], training.earlier_weights, is_time)
        averages.update_average(training.average, generator, training.iteration)

    def iterate(train_images):
        positions, latents, image_classes, seeds = draw_numbers(training, options, classes)
        # Line 4. The generator does not change before line 11, so all its images are drawn here. Each batch is drawn
        # separately, because batch norm uses the statistics of its batch. The tape records only this, for line 11.
        with tf.GradientTape() as generator_tape:
            fakes = [generator(batch, training=True) for batch in tf.unstack(latents)]

        losses, estimates = [], []
        for i in range(options.n_critic):  # line 2
            quick_layers.seed_dropout(critic, seeds[i])  # only dcgan and gan have dropout
            real = tf.cast(tf.gather(train_images, positions[i]), tf.float32) / 127.5 - 1.0  # line 3
            with tf.GradientTape() as tape:
                loss, estimate = critic_loss_and_estimate(critic, recipe, real, fakes[i], image_classes[i], seeds[i])
            update_critic(tape.gradient(loss, critic.trainable_variables))  # lines 5 to 7
            losses.append(loss)
            estimates.append(estimate)
        # Line 9. With reuse_images, the images of all critic updates serve again. Otherwise the last batch is new.
        first = 0 if recipe.reuse_images else options.n_critic
        images, last_classes = tf.concat(fakes[first:], axis=0), tf.reshape(image_classes[first:], [-1])
        quick_layers.seed_dropout(critic, seeds[-1])
        with tf.GradientTape(watch_accessed_variables=False) as tape:  # for the images, not for the critic's weights
            tape.watch(images)
            own_loss = GENERATOR_LOSSES[recipe.loss](score(critic, images, last_classes))
        # Line 10, by the chain rule: how the loss depends on the images, and these on the generator's weights.
        slopes = tf.split(tape.gradient(own_loss, images), len(fakes[first:]))
        update_generator(generator_tape.gradient(fakes[first:], generator.trainable_variables, output_gradients=slopes))
        training.sums.assign_add([tf.reduce_mean(estimates), tf.reduce_mean(losses), own_loss])
        training.iteration.assign_add(1)
        # With several devices: batch norm's statistics, and the sums, become the means of theirs.
        cluster.average([*generator.non_trainable_variables, *training.average.non_trainable_variables, training.sums])

    return cluster.compile_for_all(iterate, dataset.train_images[..., None])


def train(data, labels=None, options=None, **settings):
    """Trains a GAN; leaves models, history, pictures and checkpoints in options.models_dir.

    data: what load_dataset returns, or images, uint8 [n, 28, 28] or float [n, 28, 28] in [0, 1], white on black.
    labels: int [n], the labels of such images. options: what read_options returns. In a Python shell, name them
    instead: train(images, epochs=3). Returns the averaged generator and the critic. Raises InputError, TrainingError if
    values are no longer finite, and Interrupted, with a checkpoint saved, after Ctrl-C or SIGTERM.
    """
    options = options_from(settings, RECIPES, options)
    cluster.start(options, training=True)  # imports TensorFlow
    dataset, recipe = as_dataset(data, labels), RECIPES[options.recipe]
    # In an epoch, the critic sees as many real images as there are, drawn at random.
    epoch_iterations = math.ceil(len(dataset.train_images) / (options.batch_size * options.n_critic))
    total = options.epochs * epoch_iterations
    with cluster.strategy().scope():  # no effect on one device
        training = build_training(options, total, labels_to_learn(dataset, options, recipe))
    iterate = compile_iteration(training, dataset, options)
    measure = epoch_figures.prepare(training.average, dataset, options.seed)  # the Fréchet distance, for MNIST

    # Nobody else writes to the folder, and nothing of the user's is overwritten. The first Ctrl-C is only noted.
    with claims.claimed(claims.of_training(options)), console.signals_noted() as signals:
        folder = training_folder.TrainingFolder(options, recipe, dataset, training, VERSION)
        folder.begin(total)  # with --resume, restores the newest checkpoint
        progress = console.TrainingProgress(folder, total, options.batch_size * options.n_critic)
        for done in range(folder.iterations() + 1, total + 1):  # line 1, but with an end
            iterate()
            epoch, ends_epoch = math.ceil(done / epoch_iterations), done % epoch_iterations == 0
            progress.update(epoch)
            # Ctrl-C, here or on another machine. It takes time to ask the others.
            signal = cluster.any_signal(signals.asked, ask_others=done % 10 == 0 or done == total)
            if ends_epoch:
                folder.add_epoch(epoch_iterations, measure())
            if ends_epoch or signal or folder.is_checkpoint_due():  # or TrainingError, if weights are not finite
                folder.save(generator=training.average, critic=quick_layers.plain(training.critic))
            if ends_epoch:
                digits = next(draw_digits(training.average, 100, options.seed))
                folder.show_epoch(digits)
                progress.end_epoch(epoch, epoch_figures.in_words(folder.history[-1]), digits)
            if signal:
                raise console.Interrupted(signal, saved=True)
        folder.finish(epoch_figures.real_figures())
    return training.average, quick_layers.plain(training.critic)


# ------------------------------------------------------------------------------------------------------------- main
def run(options):
    """Takes the steps that `options` ask for, in order. Bad options and data are found before anything is written."""
    recipe, trains = RECIPES[options.recipe], "train" in options.steps
    if options.summary:
        for network in build_networks(options, DIGITS if recipe.conditional else ()):
            network.summary()
        return
    dataset = load_dataset(options.data) if trains else None
    cluster.start(options, trains)
    generator, about = (None, None) if trains else models.find_generator(options)
    labels = labels_to_learn(dataset, options, recipe) if trains else labels_of(generator)
    check_request(options, labels)
    page.check(generator, about, options)
    if trains and not cluster.is_chief():  # only the chief writes files and draws
        train(dataset, options=options)
        return cluster.wait_for_all()
    with claims.claimed(claims.of_run(options, labelled=bool(labels)), lock=not options.shard):
        if trains:
            train(dataset, options=options)
            generator, about = models.find_generator(options)
        steps.draw(generator, about, options)
        cluster.wait_for_all()
    console.say_next_steps(options)


def main(arguments=None):
    """Runs the command line; returns the exit status: 0 done, 1 failure, 2 bad input, 130 or 143 signal."""
    about = (__doc__ or "").split("\n\nA GAN")[0]  # without a docstring if Python was started with -OO
    read = functools.partial(read_options, recipes=RECIPES, about=about, version=VERSION)
    return console.run_program(read, run, arguments, "wgan_handwritten_digits")


if __name__ == "__main__":
    sys.exit(main())
