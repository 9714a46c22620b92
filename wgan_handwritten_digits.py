# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["tensorflow>=2.20,<2.22", "keras>=3.12,<3.16", "numpy>=1.26", "matplotlib>=3.8", "pillow>=10.1",
#                 "scikit-learn>=1.4", "scipy>=1.11"]
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
number, not a probability, and similar images must get similar scores: the critic has to be Lipschitz continuous. Then

    max over C of  E[C(real)] - E[C(G(z))]                                             (their equations 2 and 3)

approximates, up to a factor, the Wasserstein-1 distance between real and generated images: their mean distance, in
pixel space, if generated images are paired with real ones in the best way. Better digits make it smaller. Its gradient
is useful even if the two sets have nothing in common. The critic is kept Lipschitz in the simplest way: after each of
its updates, each weight is clipped to an interval around 0, its box. This file goes from recipes to drawing.
"""

import functools
import math
import sys
from types import SimpleNamespace

import numpy as np

from support.command_line import endings
from support.command_line.options import Options, complete
from support.datasets.loading import MNIST, load_dataset
from support.drawing import draw_digits, draw_latents, draw_styles, set_choice, to_pixels
from support.evaluation import epoch_figures, sorting
from support.labels import DIGITS, check_request, labels_of, labels_to_learn, layer_name
from support.machine import randomness, replicas
from support.machine.devices import keras, tf
from support.machine.training_layers import STRIDED, initializers, lower_rates, mean, seed_dropout, training_layers
from support.other_gans import OTHER_NETWORKS, OTHER_OBJECTIVES, OTHER_RECIPES, Recipe, gradient_penalty
from support.page.writing import check_page, page
from support.results import digit_files, files, folders, models, pictures, run_files
from support.training_run import training_run

VERSION = "0.3.0.dev0"
LEAK = 0.02  # slope of LeakyReLU below zero; with the usual 0.2 the critic is nearly linear, and misses shapes
CHOICE = 6.0  # norm of the vector that encodes the choice; that of 64 normal latent numbers is about 8
AVERAGE_DECAY = 0.999  # of the generator's running average: it covers about 1,000 iterations


# ---------------------------------------------------------------------------------------------------------- recipes
# support/other_gans.py says what each setting means. It also has the recipes of the other GANs.
RECIPES = {
    "wgan": Recipe(
        epochs=10, batch_size=32, n_critic=2, learning_rate=1e-3, latent_dim=64, clip=2.0,
        clip_scaled=True, centred=True, generator_rate=2.0, reuse_images=True, choices=10,
    ),
    # Draws the digits that are asked for: the critic gives a score for each label; the label of an image picks one.
    "cwgan": Recipe(
        epochs=5, batch_size=16, n_critic=2, learning_rate=1e-3, latent_dim=64, clip=2.0,
        clip_scaled=True, centred=True, generator_rate=2.0, reuse_images=True, conditional=True,
    ),
    # The settings of algorithm 1 of the paper, for comparison.
    "wgan-paper": Recipe(epochs=20, batch_size=64, n_critic=5, learning_rate=5e-5, clip=0.01, decay=False),
    **OTHER_RECIPES,
}  # fmt: skip


# --------------------------------------------------------------------------------------------------------- networks
def build_critic(seed=0, layers=None, labels=()):
    """The critic C: float32 images [n, 28, 28, 1] in [-1, 1] -> scores [n, 1], any real number. cwgan: [n, labels].

    The last layer is linear: a score is not a probability, so there is no sigmoid. There is no batch norm either: with
    it, the score of an image would depend on the other images of the batch. The kernels of the first layer are nearly
    half as wide as the image, so that they see a whole stroke at once. layers: a namespace, by default keras.layers.
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
            layers.Conv2D(64, 3, **STRIDED, kernel_initializer=next(kernel)),  # 4x4 takes longer
            layers.LeakyReLU(LEAK),
            layers.Flatten(),
            layers.Dense(256, kernel_initializer=next(kernel)),
            layers.LeakyReLU(LEAK),
            layers.Dense(len(labels) or 1, kernel_initializer=next(kernel), name="score"),
        ],
        name="critic",
    )


def build_generator(latent_dim=64, choices=10, seed=0, layers=None, labels=()):
    """The generator G: float32 latent vectors [n, latent_dim], normal -> images [n, 28, 28, 1] in [-1, 1].

    Digits come in ten kinds. A network is continuous, so it also draws what lies between: a 4 turns into a 9 through
    images that are neither. So this generator can jump. A one-hot vector marks the largest of the first `choices`
    latent numbers, and adds one of `choices` learned vectors (rows of the large dense kernel) to that layer's output.
    Training decides what each of them stands for; with labels (cwgan), there is one for each label.

    The kernel size of the transposed convolutions, 4, is divisible by their stride of 2, so that each pixel is computed
    from the same number of values. Otherwise a checkerboard shows (Odena et al. 2016).
    """
    # Small initial weights keep the tanh away from saturation, where its gradient vanishes.
    kernel = initializers(lambda seed: keras.initializers.RandomNormal(0.0, 0.02, seed), seed, first=32)
    layers, choices = layers or keras.layers, len(labels) or min(choices, latent_dim)
    latent = values = keras.Input((latent_dim,), name="latent")
    if choices:
        # The softmax of 1000 times the numbers is near 1 for the largest, 0 for the rest. With bfloat16 (training on
        # CPUs with AMX), in 1 of 200 vectors the two largest numbers round to one value: each gets a half.
        name = layer_name(labels) if labels else "choice"
        one_hot = {"kernel_initializer": keras.initializers.Identity(1000.0), "use_bias": False, "trainable": False}
        choice = layers.Dense(choices, activation="softmax", name=name, **one_hot)(latent)
        values = layers.Concatenate()([latent, layers.Rescaling(CHOICE)(choice)])
    for layer in (
        # Batch norm has its own bias, so the layers before it need none.
        layers.Dense(7 * 7 * 64, use_bias=False, kernel_initializer=next(kernel)),
        layers.Reshape((7, 7, 64)),
        layers.BatchNormalization(momentum=0.9),
        layers.LeakyReLU(LEAK),
        layers.Conv2DTranspose(64, 4, **STRIDED, use_bias=False, kernel_initializer=next(kernel)),
        layers.BatchNormalization(momentum=0.9),
        layers.LeakyReLU(LEAK),
        layers.Conv2DTranspose(1, 4, **STRIDED, activation="tanh", kernel_initializer=next(kernel), name="digit"),
    ):
        values = layer(values)
    return keras.Model(latent, values, name="generator")


NETWORKS = {"convolutional": (build_critic, build_generator), **OTHER_NETWORKS}


def build_networks(options, labels, layers=None):
    """The critic and the generator of options.recipe. labels: those of the dataset, used by cwgan only."""
    recipe = RECIPES[options.recipe]
    build_critic, build_generator = NETWORKS[recipe.networks]
    same = {"seed": options.seed, "layers": layers} | ({"labels": labels} if recipe.conditional else {})
    return build_critic(**same), build_generator(options.latent_dim, recipe.choices, **same)


def pick_scores(scores, latents):
    """The score of each image for the choice of its latent vector: from [n, labels] and [..., latent_dim] to [n, 1]."""
    if (labels := scores.shape[-1]) == 1:
        return scores
    choices = tf.reshape(tf.argmax(latents[..., :labels], -1), [-1])
    return tf.gather(scores, choices, batch_dims=1)[:, None]


# -------------------------------------------------------------------------------------------------------- objective
def wasserstein_estimate(real_scores, fake_scores):
    """E[C(real)] - E[C(fake)]: the critic raises it and the generator lowers it (equation 3 of the paper)."""
    return mean(real_scores) - mean(fake_scores)


def critic_objective(real_scores, fake_scores):
    """The loss of the critic, from its scores [n, 1] of real and of generated images."""
    return -wasserstein_estimate(real_scores, fake_scores)


def generator_objective(fake_scores):
    """The loss of the generator, from the scores [n, 1] of its images."""
    return -mean(fake_scores)


OBJECTIVES = {"wasserstein": (critic_objective, generator_objective), **OTHER_OBJECTIVES}


def clip_bounds(critic, clip, scaled):
    """The half width of the box of each trainable variable of the critic, a list of floats.

    Not scaled: `clip` for all, as in the paper. Scaled: `clip` times the bound of the uniform distribution from which
    He et al. (2015) draw a layer's initial weights, so that layers with many and with few inputs amplify about
    equally; 0.1 `clip` for biases.
    """
    if not scaled:
        return [clip for _ in critic.trainable_variables]
    shapes = [variable.shape for variable in critic.trainable_variables]
    return [clip * (math.sqrt(6 / math.prod(shape[:-1])) if len(shape) > 1 else 0.1) for shape in shapes]


def clip_weights(critic, bounds, centred):
    """Clips every trainable variable of the critic to its box (line 7 of algorithm 1 of the paper).

    Centred: before that, the weights of each filter and hidden unit are shifted to a mean of zero. Without the shift, a
    unit responds most strongly if all its weights have one sign: it measures how much ink there is. That varies so much
    between batches that its noise hides the shapes.
    """
    for variable, bound in zip(critic.trainable_variables, bounds, strict=bool(bounds)):  # no bounds, no clipping
        value = variable.value
        if centred and len(value.shape) > 1 and value.shape[-1] > 1:  # not biases, not a single score
            value = value - tf.reduce_mean(value, axis=list(range(len(value.shape) - 1)), keepdims=True)
        variable.assign(tf.clip_by_value(value, -bound, bound))


# ---------------------------------------------------------------------------------------------------- one iteration
def draw_numbers(training, options, images, labels=None):
    """The random numbers of an iteration, a function of the seed and the iteration alone. images: size of the dataset.

    Returns: positions of the real images, int32 [n_critic, batch]; latent vectors, normal, float32 [n, batch,
    latent_dim]; seeds [n_critic + 1, 2]. n is n_critic if recipe.reuse_images; else n_critic + 1, and the last batch is
    for the generator's update. labels: for cwgan, int [images], those of the real images.
    """
    updates, batch, recipe = options.n_critic, options.batch_size, RECIPES[options.recipe]
    seed = randomness.fold_in(tf.constant([options.seed, 0]), training.iteration)
    for_real, for_latents, for_others = randomness.split(seed, 3)
    chosen = randomness.integers([updates, batch], for_real, images)
    latents = randomness.normal([updates + (not recipe.reuse_images), batch, options.latent_dim], for_latents)
    if recipe.conditional:  # the critic compares real sevens with generated sevens
        choices = np.searchsorted(training.labels, labels)
        for_critic = set_choice(latents[:updates], tf.gather(choices, chosen), len(training.labels))
        latents = tf.concat([for_critic, latents[updates:]], 0)
    return chosen, latents, tf.stack(randomness.split(for_others, updates + 1))


def update_average(training):
    """Updates the running average of the generator, whose own weights circle the solution (Yazici et al. 2019)."""
    done = tf.cast(training.iteration, tf.float32)
    # At the start the average is shorter: it should forget the untrained weights.
    keep = tf.minimum(AVERAGE_DECAY, (1.0 + done) / (10.0 + done))
    for average, variable in zip(training.average.variables, training.generator.variables, strict=True):
        average.assign(keep * average.value + (1.0 - keep) * variable.value)


def compile_iteration(training, images, options, total, labels=None):
    """A function that does one iteration: n_critic updates of the critic, one of the generator, in one compiled call.

    With critic_only=True, it updates the critic alone, on images of the generator's running average. images: real,
    uint8 [n, 28, 28]. labels: int [n], for cwgan. total: iterations of the run. Comments name lines of algorithm 1.
    """
    recipe, critic = RECIPES[options.recipe], training.critic
    critic_objective, generator_objective = OBJECTIVES[recipe.objective]

    @replicas.update  # compiled; averages the gradients over several GPUs
    def update_critic(gradients):
        training.critic_optimizer.apply(gradients, critic.trainable_variables)
        clip_weights(critic, training.bounds, recipe.centred)

    @replicas.update
    def update_generator(gradients):
        training.generator_optimizer.apply(gradients, training.generator.trainable_variables)
        update_average(training)

    def iterate(real_images, chosen, latents, seeds, critic_only):
        generator = training.average if critic_only else training.generator
        if recipe.decay and not critic_only:
            lower_rates(training, options.learning_rate, recipe.generator_rate, total)
        fakes, generator_tape = [], tf.GradientTape()  # records how the images are drawn
        for update in range(options.n_critic):  # line 2
            seed_dropout(critic, seeds[update])  # only dcgan and gan have dropout
            real = tf.cast(tf.gather(real_images, chosen[update]), tf.float32) / 127.5 - 1.0  # line 3
            with generator_tape:
                fakes.append(generator(latents[update], training=not critic_only))  # line 4; one batch for batch norm
            with tf.GradientTape() as tape:
                pick = functools.partial(pick_scores, latents=latents[update])  # cwgan: that of the label
                scores = [*map(pick, tf.split(critic(tf.concat([real, fakes[-1]], 0), training=True), 2))]
                critic_loss = critic_objective(*scores)  # line 5
                if recipe.penalty:
                    critic_loss += recipe.penalty * gradient_penalty(critic, real, fakes[-1], seeds[update], pick)
            update_critic(tape.gradient(critic_loss, critic.trainable_variables))  # lines 6 and 7
            training.sums.assign_add(tf.stack([wasserstein_estimate(*scores), critic_loss, 0.0]) / options.n_critic)
        if not critic_only:
            seed_dropout(critic, seeds[-1])
            with generator_tape:  # line 9: new images, or those of the critic's updates again
                fakes = fakes if recipe.reuse_images else [generator(latents[-1], training=True)]
                scores = pick_scores(critic(tf.concat(fakes, 0), training=True), latents[-len(fakes) :])
                generator_loss = generator_objective(scores)  # line 10
            update_generator(generator_tape.gradient(generator_loss, generator.trainable_variables))  # line 11
            training.sums.assign_add([0.0, 0.0, generator_loss])
        training.iteration.assign_add(1)

    draw = functools.partial(draw_numbers, training, options, len(images), labels)
    statistics = [*training.generator.non_trainable_variables, *training.average.non_trainable_variables]
    return replicas.compile_for_all(iterate, images[..., None], draw, [*statistics, training.sums])


# --------------------------------------------------------------------------------------------------------- training
def build_training(options, labels=DIGITS):
    """Everything that changes in training: networks, the generator's running average, optimizers, counters.

    Equal arguments give equal values. `variables` is the complete state, in a fixed order. labels: of the dataset.
    """
    recipe = RECIPES[options.recipe]
    critic, generator = build_networks(options, labels, training_layers())  # Keras's layers, quicker to train
    _, average = build_networks(options, labels)
    training = SimpleNamespace(critic=critic, generator=generator, average=average, labels=labels)
    # No momentum: it would reuse gradients computed against an older version of the other network.
    training.critic_optimizer = keras.optimizers.RMSprop(options.learning_rate, rho=0.9)
    training.generator_optimizer = keras.optimizers.RMSprop(options.learning_rate * recipe.generator_rate, rho=0.9)
    training.critic_optimizer.build(critic.trainable_variables)
    training.generator_optimizer.build(generator.trainable_variables)
    training.bounds = clip_bounds(critic, options.clip, recipe.clip_scaled) if options.clip else []
    clip_weights(critic, training.bounds, recipe.centred)
    training.iteration = tf.Variable(0, dtype=tf.int64)  # how many are done; XLA on a GPU cannot use int32 variables
    estimate = "wasserstein_estimate" if recipe.objective == "wasserstein" else "score_difference"
    training.columns = estimate, "critic_loss", "generator_loss"
    training.sums = tf.Variable(tf.zeros(3, tf.float64))  # of these columns, over the iterations of this epoch
    values = [*critic.variables, *generator.variables, *average.variables]
    values += [*training.critic_optimizer.variables, *training.generator_optimizer.variables]
    training.variables = [*(variable.value for variable in values), training.iteration, training.sums]
    return training


def train(dataset, options=None):
    """Trains on dataset.train_images; leaves models, history, pictures and checkpoints in options.models_dir.

    dataset: what support.datasets.loading.load_dataset returns. Returns the averaged generator and the critic. Raises
    TrainingError if values are no longer finite, InputError if an option, folder or checkpoint cannot be used, and
    Interrupted after SIGINT (Ctrl-C, a notebook's stop button) or SIGTERM; a checkpoint is saved first if possible.
    """
    options = complete(options or Options(), RECIPES)
    replicas.start(options)
    labels = labels_to_learn(dataset, options, RECIPES)
    with replicas.scope():
        training = build_training(options, labels)
    about = run_files.describe_run(options, RECIPES[options.recipe], dataset, VERSION, __file__)
    epoch_length = math.ceil(len(dataset.train_images) / (options.batch_size * options.n_critic))
    total = options.epochs * epoch_length
    iterate = compile_iteration(training, dataset.train_images, options, total, dataset.train_labels)
    judge = epoch_figures.prepare(training, dataset, options.seed, iterate, epoch_length)  # how good are the digits?
    with training_run(training, options, about, epoch_length, judge) as run:  # resumes, reports, saves
        for _ in run.iterations():
            iterate()
        critic, _ = build_networks(options, labels)  # to be saved: built-in layers alone
        critic.set_weights(training.critic.get_weights())
        run.save_models(generator=training.average, critic=critic)
    return training.average, critic


# ------------------------------------------------------------------------------------------------ the other steps
def generate(generator, about, options):
    """Writes the digits, or the shard's part of them, as PNG files or as an array. about: kept beside them."""
    labels, numbers = labels_of(generator), files.part_of(options.images, options.shard)
    if options.digits and not labels:
        about = {**about, "labels_by": "classifier"}
        digits = sorting.keep(draw_digits(generator, sys.maxsize, options.seed), options.digits, numbers)
    else:
        digits = draw_digits(generator, numbers.stop, options.seed, numbers.start, options.digits)
    digit_files.save(digits, options, {**about, "seed": options.seed, "labels": options.digits or labels})


def interpolate(generator, about, options):
    """Writes a walk between latent points as an animation. A seed's point is the latent vector of its first digit."""
    points = [draw_latents(seed, 0, generator.input_shape[-1])[0].numpy() for seed in options.walk]
    ways = pictures.walk(points, options.frames)
    pictures.save_walk(options.models_dir, [np.asarray(to_pixels(generator(way, training=False))) for way in ways])


def write(generator, about, options):
    """Writes a number in handwriting: in each line another hand, a style that all latent vectors of the line share."""
    styles, labels = draw_styles(options, generator.input_shape[-1]), labels_of(generator)
    choices = np.searchsorted(labels, [[int(digit) for digit in options.number]] * options.lines)
    latents = set_choice(styles, choices, len(labels))
    pictures.save_writing(options, [to_pixels(generator(line, training=False)).numpy() for line in latents])


# ------------------------------------------------------------------------------------------------------------- main
def run(options):
    """Takes the steps that `options` ask for, in turn."""
    training = "train" in options.steps
    if options.summary:
        return [network.summary() for network in build_networks(options, DIGITS)]
    if training and not options.data and not MNIST.exists():
        replicas.start(options)  # Keras will provide MNIST; TensorFlow is set up first
    dataset = load_dataset(options.data) if training else None
    replicas.start(options, training)
    found = None if training else models.find_generator(options)
    labels = labels_of(found[0]) if found else labels_to_learn(dataset, options, RECIPES)
    check_request(options, labels)
    check_page(found, options)
    if training and not replicas.is_chief():  # only the chief writes
        train(dataset, options)
        replicas.wait_for_all()
        return
    with folders.reserved(options, labelled=bool(labels or options.digits)):
        if training:
            train(dataset, options)
        for step in (generate, interpolate, write, page):
            if step.__name__ in options.steps:
                found = found or models.find_generator(options)
                step(*found, options)
        replicas.wait_for_all()
    endings.say_next_steps(options)


def main(arguments=None):
    """Does what the command line asks for; returns the exit status: 0, or 2 bad input, 1 failure, 130 or 143 signal."""
    return endings.run_program(run, arguments, RECIPES, (__doc__ or "").split("\n\nA GAN")[0], VERSION)


if __name__ == "__main__":
    sys.exit(main())
