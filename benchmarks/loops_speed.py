"""Milliseconds of an iteration: this program, and other ways to train the same networks, measured in turn.

    python benchmarks/loops_speed.py                            ours and other loops, PyTorch too if it is installed
    python benchmarks/loops_speed.py --recipe wgan cwgan gan    ours alone: minutes of a default run of each recipe
    python benchmarks/loops_speed.py --against ../older_clone   ours, and the same in an older checkout
    python benchmarks/loops_speed.py --replicas                 ours, and with two replicas that share the CPU
    python benchmarks/loops_speed.py --device gpu --batch-size 256

Prints tables in Markdown and writes no files. Each row is a process of its own; all take turns. The ratios are medians
of the rounds' ratios. If others use the machine, CPU time says more than time, and `taskset -c 0 python ...`, which
measures one core, more than several: there, PyTorch's threads spend much CPU time on waiting for each other.

An iteration is n_critic updates of the critic, each followed by clipping, and one update of the generator. The loops:

ours             compile_iteration of the program. It alone gathers and scales its batches from all of MNIST, centres
                 the critic's units, lowers the learning rate, keeps a running average, and has Lookahead
tf.function      a compiled training step for each network, called from a loop that slices numpy arrays
train_step, fit  a keras.Model with its own train_step, as in the examples of keras.io. fit starts slowly, so give 50
                 iterations or more
batchwise        predict, train_on_batch for real and for generated images, and np.clip of get_weights, as in the books
                 and collections of 2018 to 2020
PyTorch          eager, and with drawing and both losses through torch.compile; channels_last, which is faster on a CPU

If the recipe has reuse_images, ours and PyTorch update the generator with the images of the critic's updates. The other
loops draw new ones, as most scripts do. The program stops if the networks of two loops have different sizes.
"""

import argparse
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # at the end: a worker for an older checkout has that in PYTHONPATH

import machine  # noqa: E402

import wgan_handwritten_digits as wgan  # noqa: E402

TOTAL = 10_000  # iterations of the run that the schedule of the learning rate plans for


# ---------------------------------------------------------------------------------------------------------- the loops
# Each of them returns a function that does a number of iterations, the critic and the generator.
def ours(about):
    """The loop of the checkout that this process imports. about: see Worker."""
    settings = about["settings"]
    options = wgan.options_from(settings, wgan.RECIPES)
    start(options, about)
    dataset, times = wgan.load_dataset(), about.get("repeats", 1)
    if times > 1:
        images, labels = dataset.train_images, dataset.train_labels
        dataset = wgan.as_dataset(np.tile(images, (times, 1, 1)), np.tile(labels, times))
    labels = wgan.labels_to_learn(dataset, options, wgan.RECIPES[options.recipe])
    with wgan.cluster.strategy().scope():
        training = wgan.build_training(options, TOTAL, labels)
    iterate = wgan.compile_iteration(training, dataset, options)

    def run(iterations):
        for _ in range(iterations):
            iterate()
        training.sums.numpy()  # waits for the device

    return run, training.critic, training.generator


def start(options, about):
    """Starts TensorFlow, without bfloat16 or XLA or with two replicas if `about` says so."""
    from support import cluster, device

    if without := about.get("without"):
        setattr(device, without, lambda: False)  # the name of a function of support/device.py
    if about.get("replicas"):

        def join():
            one = wgan.tf.config.LogicalDeviceConfiguration()
            wgan.tf.config.set_logical_device_configuration(wgan.tf.config.list_physical_devices("CPU")[0], [one, one])
            cluster._joined = wgan.tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

        device.import_tensorflow("cpu", join)
    cluster.start(options, training=True)


class Setting:
    """What the other loops share: options, networks, batches of real images in [-1, 1], latent vectors."""

    def __init__(self, about):
        self.options = wgan.options_from(about["settings"], wgan.RECIPES)
        self.recipe = wgan.RECIPES[self.options.recipe]
        self.batch, self.n_critic = self.options.batch_size, self.options.n_critic
        self.generator_batch = self.batch * (self.n_critic if self.recipe.reuse_images else 1)
        self.seen = self.batch * self.n_critic  # real images of an iteration
        images = wgan.load_dataset().train_images[: 50 * self.seen, ..., None]
        self.real = images.astype("float32") / 127.5 - 1

    def networks(self):
        """A critic, a generator, and the half widths of the critic's boxes, in Keras."""
        start(self.options, {})
        critic, generator = wgan.build_networks(self.options)
        return critic, generator, wgan.clip_bounds(critic, self.options.clip, self.recipe.clip_scaled)

    def optimizer(self):
        """An optimizer in Keras, for each network its own."""
        return wgan.keras.optimizers.RMSprop(self.options.learning_rate, rho=0.9)

    def batches(self, iterations):
        """Yields a list of n_critic batches of real images for each iteration."""
        for number in range(iterations):
            first = number * self.seen % (len(self.real) - self.seen + 1)
            yield np.split(self.real[first : first + self.seen], self.n_critic)

    def latents(self, count):
        """Latent vectors from numpy."""
        return np.random.normal(size=(count, self.options.latent_dim)).astype("float32")


def compiled_steps(about):
    """Two compiled steps, called from a Python loop."""
    setting = Setting(about)
    critic, generator, bounds = setting.networks()
    critic_step, generator_step = map(wgan.tf.function, training_steps(setting, critic, generator, bounds))

    def run(iterations):
        for batches in setting.batches(iterations):
            for real in batches:
                critic_step(real)
            loss = generator_step()
        float(loss)

    return run, critic, generator


def training_steps(setting, critic, generator, bounds):
    """A function that updates the critic on real images, and one that updates the generator. Both return the loss."""
    tf, for_critic, for_generator = wgan.tf, setting.optimizer(), setting.optimizer()

    def draw(count):
        return generator(tf.random.normal([count, setting.options.latent_dim]), training=True)

    def critic_step(real):
        fake = draw(setting.batch)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(critic(fake, training=True)) - tf.reduce_mean(critic(real, training=True))
        for_critic.apply(tape.gradient(loss, critic.trainable_variables), critic.trainable_variables)
        wgan.clip_weights(critic, bounds, centred=False)
        return loss

    def generator_step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(draw(setting.generator_batch), training=True))
        for_generator.apply(tape.gradient(loss, generator.trainable_variables), generator.trainable_variables)
        return loss

    for_critic.build(critic.trainable_variables)
    for_generator.build(generator.trainable_variables)
    return critic_step, generator_step


def keras_fit(about):
    """A model with its own train_step, trained by fit."""
    setting = Setting(about)
    critic, generator, bounds = setting.networks()
    critic_step, generator_step = training_steps(setting, critic, generator, bounds)

    class Gan(wgan.keras.Model):
        def train_step(self, real):
            losses = [critic_step(part) for part in wgan.tf.split(real, setting.n_critic)]
            return {"critic_loss": losses[-1], "generator_loss": generator_step()}

    model = Gan()
    model.compile()

    def run(iterations):
        real = np.resize(setting.real, (iterations * setting.seen, 28, 28, 1))
        model.fit(real, batch_size=setting.seen, epochs=1, verbose=0)

    return run, critic, generator


def batchwise(about):
    """A Keras call for every batch. The weights are read, clipped with numpy and written back."""
    setting, keras = Setting(about), wgan.keras
    critic, generator, bounds = setting.networks()

    def loss(wanted, scores):
        return keras.ops.mean(wanted * scores)

    critic.compile(loss=loss, optimizer=setting.optimizer())
    critic.trainable = False
    latent = keras.Input((setting.options.latent_dim,))
    combined = keras.Model(latent, critic(generator(latent)))
    combined.compile(loss=loss, optimizer=setting.optimizer())
    wanted = -np.ones((setting.generator_batch, 1), "float32")
    combined.train_on_batch(setting.latents(setting.generator_batch), wanted)  # traced while the critic is frozen
    critic.trainable = True
    ones = np.ones((setting.batch, 1), "float32")

    def run(iterations):
        for batches in setting.batches(iterations):
            for real in batches:
                fake = generator.predict(setting.latents(setting.batch), verbose=0)
                critic.train_on_batch(real, -ones)
                critic.train_on_batch(fake, ones)
                weights = zip(critic.get_weights(), bounds, strict=True)
                critic.set_weights([np.clip(weight, -bound, bound) for weight, bound in weights])
            combined.train_on_batch(setting.latents(setting.generator_batch), wanted)

    return run, critic, generator


def pytorch_networks(choices, latent_dim):
    """The critic and the generator in PyTorch: the same sizes and the same arithmetic as in the script."""
    import torch
    from torch import nn

    class Choice(nn.Module):
        def forward(self, latent):
            if not choices:
                return latent
            chosen = nn.functional.one_hot(latent[:, :choices].argmax(1), choices)
            return torch.cat([latent, wgan.CHOICE * chosen], 1)

    leaky = nn.LeakyReLU(wgan.LEAK)
    critic = nn.Sequential(
        nn.PixelUnshuffle(4),
        nn.Conv2d(16, 64, 3, padding=1), leaky,
        nn.Conv2d(64, 64, 3, padding=1), leaky,
        nn.Flatten(),
        nn.Linear(7 * 7 * 64, 256), leaky,
        nn.Linear(256, 1),
    )  # fmt: skip
    generator = nn.Sequential(
        Choice(),
        nn.Linear(latent_dim + choices, 7 * 7 * 64, bias=False),
        nn.Unflatten(1, (64, 7, 7)),
        nn.BatchNorm2d(64), leaky,
        nn.ConvTranspose2d(64, 64, 4, 2, padding=1, bias=False),
        nn.BatchNorm2d(64), leaky,
        nn.ConvTranspose2d(64, 1, 4, 2, padding=1), nn.Tanh(),
    )  # fmt: skip
    return critic, generator


def pytorch_functions(setting, critic, generator, where):
    """A function that draws a batch, and the losses of the critic and of the generator. where: "cpu" or "cuda"."""
    import torch

    def draw():
        return generator(torch.randn(setting.batch, setting.options.latent_dim, device=where))

    def critic_loss(real, fake):
        real_scores, fake_scores = critic(torch.cat([real, fake])).split(setting.batch)
        return fake_scores.mean() - real_scores.mean()

    def generator_loss(fakes):
        return -critic(torch.cat(fakes)).mean()

    return draw, critic_loss, generator_loss


def pytorch(about):
    """The same networks and updates in PyTorch. TensorFlow is not imported: current versions crash beside it."""
    import torch

    from support import device

    setting, where = Setting(about), "cuda" if about["settings"]["device"] == "gpu" else "cpu"
    torch.set_num_threads(device.usable_cores())
    networks = pytorch_networks(min(setting.recipe.choices, setting.options.latent_dim), setting.options.latent_dim)
    critic, generator = (network.to(where, memory_format=torch.channels_last) for network in networks)
    rate = {"lr": setting.options.learning_rate, "alpha": 0.9}
    for_critic = torch.optim.RMSprop(critic.parameters(), **rate)
    for_generator = torch.optim.RMSprop(generator.parameters(), **rate)
    # In Keras, the last axis of a kernel is its outputs; in PyTorch the first.
    in_order = SimpleNamespace(trainable_variables=[values.movedim(0, -1) for values in critic.parameters()])
    bounds = wgan.clip_bounds(in_order, setting.options.clip, setting.recipe.clip_scaled)
    arithmetic = {"device_type": where, "dtype": torch.bfloat16, "enabled": about.get("bfloat16", False)}

    functions = pytorch_functions(setting, critic, generator, where)
    draw, critic_loss, generator_loss = map(torch.compile, functions) if about.get("compiled") else functions

    def update(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def update_critic(real, fake):
        real = torch.from_numpy(real.transpose(0, 3, 1, 2)).to(where, memory_format=torch.channels_last)
        with torch.autocast(**arithmetic):
            loss = critic_loss(real, fake)
        update(for_critic, loss)
        with torch.no_grad():
            for values, bound in zip(critic.parameters(), bounds, strict=True):
                values.clamp_(-bound, bound)

    def run(iterations):
        for batches in setting.batches(iterations):
            fakes = []
            for real in batches:
                with torch.autocast(**arithmetic), torch.set_grad_enabled(setting.recipe.reuse_images):
                    fakes.append(draw())
                update_critic(real, fakes[-1].detach())
            critic.requires_grad_(False)  # no gradients of weights that are not updated
            with torch.autocast(**arithmetic):
                loss = generator_loss(fakes if setting.recipe.reuse_images else [draw()])
            update(for_generator, loss)
            critic.requires_grad_(True)
        loss.item()  # waits for the device

    return run, critic, generator


LOOPS = {"ours": ours, "tf.function": compiled_steps, "train_step, fit": keras_fit, "batchwise": batchwise}
LOOPS["PyTorch"] = pytorch


# -------------------------------------------------------------------------------------------------------- the workers
class Worker:
    """A process of its own that does iterations of a loop when it is asked. All of them take turns.

    about: "loop", a name in LOOPS; "settings", the options of the script. For ours also "folder", the checkout;
    "without", a function of support/device.py that shall return False; "replicas", True for two; and "repeats", the
    multiple of the dataset. For PyTorch also "compiled" and "bfloat16", True or False.
    """

    def __init__(self, name, about):
        paths = [str(about.get("folder", ROOT)), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        command, pipe = [sys.executable, __file__, "--worker", json.dumps(about)], subprocess.PIPE
        self.name, self.process = name, subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
        self.sizes = self.answer()  # numbers of weights of the critic and of the generator

    def answer(self):
        """The next line of the process. Raises RuntimeError if it has ended."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: its process ended with status {self.process.wait()}")
        return json.loads(line)

    def measure(self, iterations):
        """Milliseconds of an iteration: of time, and of CPU time, the mean over a number of them."""
        self.process.stdin.write(f"{iterations}\n")
        self.process.stdin.flush()
        *pair, self.memory = self.answer()  # the memory is the peak of the process, in MiB
        return pair

    def end(self):
        """Ends the process."""
        self.process.communicate()  # closes its standard input


def serve(about):
    """The process of a Worker. Each line of standard input is a number of iterations."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed goes to standard error
    run, critic, generator = LOOPS[about["loop"]](about)
    run(3)  # compiles
    print(json.dumps([count_weights(critic), count_weights(generator)]), file=answers)
    for line in sys.stdin:
        start, start_of_cpu = time.perf_counter(), time.process_time()
        run(int(line))
        spent = time.perf_counter() - start, time.process_time() - start_of_cpu
        print(json.dumps([*(1000 * seconds / int(line) for seconds in spent), machine.peak_mib()]), file=answers)


def count_weights(network):
    """The number of trained weights of a network in Keras or PyTorch."""
    arrays = network.trainable_variables if hasattr(network, "trainable_variables") else network.parameters()
    return sum(math.prod(array.shape) for array in arrays)


# --------------------------------------------------------------------------------------------------------- the tables
def rows_of(options, recipe):
    """The rows of a recipe's table: for each name what Worker takes. The first is what the others are compared with."""
    found = wgan.RECIPES[recipe]
    batches = {"batch_size": options.batch_size or found.batch_size, "n_critic": found.n_critic}
    settings = {"recipe": recipe, "device": options.device, **batches}  # an older checkout may have other defaults
    loops = {name: {"loop": name, "settings": settings} for name in LOOPS}
    base, torch = loops["ours"], loops.pop("PyTorch")
    rows = {"ours": base}
    if options.against:
        rows[f"ours in {options.against}"] = base | {"folder": str(Path(options.against).resolve())}
    if options.replicas:
        rows["ours, two replicas"] = base | {"replicas": True}
    if len(rows) > 1:
        return rows
    in_bfloat16 = options.device == "cpu" and "AMX" in machine.cpu()[1]
    if in_bfloat16:
        rows["ours, float32"] = base | {"without": "uses_bfloat16"}
    if options.device == "gpu":
        rows["ours, without XLA"] = base | {"without": "use_xla"}
    if found.networks != "convolutional" or found.conditional or found.penalty:
        return rows  # the other loops train wgan and wgan-paper only
    rows |= loops
    if importlib.util.find_spec("torch"):
        rows |= {"PyTorch eager": torch, "torch.compile": torch | {"compiled": True}}
        if in_bfloat16:
            rows["PyTorch eager, bfloat16"] = torch | {"bfloat16": True}
    return rows


def measure(rows, options):
    """For each row, the pairs of Worker.measure in each round; and the sizes of the networks of the first row.

    A loop that cannot start is left out, with a line; ours must start.
    """
    workers = []
    for name, about in rows.items():
        try:
            workers.append(Worker(name, about))
        except RuntimeError as error:  # torch.compile: usually there is no C++ compiler
            if about["loop"] == "ours":
                sys.exit(f"loops_speed.py: {error}")
            print(f"left out: {error}", file=sys.stderr)
            continue
        if about["loop"] != "ours" and workers[-1].sizes != workers[0].sizes:
            sys.exit(f"loops_speed.py: {name} has {workers[-1].sizes} weights, ours {workers[0].sizes}")
    found = {worker.name: [] for worker in workers}
    for number in range(options.rounds):
        for worker in workers if number % 2 == 0 else reversed(workers):
            found[worker.name].append(worker.measure(options.iterations))
    for worker in workers:
        worker.end()
    return found, workers[0].sizes


def print_loops(options, recipe):
    """Measures a recipe's loops and prints their table."""
    found, sizes = measure(rows_of(options, recipe), options)
    weights = f"weights of critic and generator {sizes[0]:,}, {sizes[1]:,}"
    print_heading(options, f"{recipe}, batch {options.batch_size or wgan.RECIPES[recipe].batch_size}, {weights}")
    ratios = {
        name: [[one / base for one, base in zip(*both, strict=True)] for both in zip(pairs, found["ours"], strict=True)]
        for name, pairs in found.items()
    }
    rows = []
    for name, pairs in found.items():
        times = [time for time, _ in pairs]
        (median, cpu), (ratio, cpu_ratio) = median_of(pairs), median_of(ratios[name])
        spread = f"{min(times):.1f}, {max(times):.1f}"
        rows.append([name, f"{median:.1f}", spread, f"{ratio:.2f}", f"{cpu:.1f}", f"{cpu_ratio:.2f}"])
    head = ["loop", "ms per iteration, median", "min, max", "time / ours", "CPU ms", "CPU time / ours"]
    print(machine.table(head, rows))
    for name in list(found)[1:] if options.against or options.replicas else ():
        each = ", ".join(f"{ratio:.3f}" for ratio, _ in ratios[name])
        print(f"\n{name}, time / ours in each round: {each}; median {median_of(ratios[name])[0]:.3f}")


def print_recipes(options):
    """Measures this program's loop with each recipe, in turn, and prints how long its default run takes."""
    found, _ = measure({recipe: rows_of(options, recipe)["ours"] for recipe in options.recipe}, options)
    print_heading(options, f"ours, batch {options.batch_size or 'of the recipe'}")
    images, rows = len(wgan.load_dataset().train_images), []
    for name, pairs in found.items():
        recipe, (time, cpu) = wgan.RECIPES[name], median_of(pairs)
        number = math.ceil(images / ((options.batch_size or recipe.batch_size) * recipe.n_critic))
        minutes = number * recipe.epochs * time / 60_000
        cells = [number, f"{time:.1f}", f"{cpu:.1f}", f"{number * time / 1000:.1f}", recipe.epochs]
        rows.append([name, *cells, f"{minutes:.1f}"])
    head = ["recipe", "iterations per epoch", "ms per iteration", "CPU ms", "seconds per epoch", "epochs", "minutes"]
    print(machine.table(head, rows))


def print_heading(options, words):
    """Prints the line above a table."""
    rounds = f"{options.rounds} rounds of {options.iterations} iterations"
    print(f"\n{words}; {rounds}; {machine.describe('torch', gpu=options.device == 'gpu')}\n")


def median_of(pairs):
    """The medians of the first and of the second numbers."""
    return [statistics.median(numbers) for numbers in zip(*pairs, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", nargs="+", choices=wgan.RECIPES, default=["wgan"])
    parser.add_argument("--against", metavar="FOLDER", help="an older checkout of this program")
    parser.add_argument("--replicas", action="store_true", help="also ours with two replicas on the CPU")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--batch-size", type=int, metavar="N", help="instead of the recipe's")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--iterations", type=int, default=50, metavar="N", help="of each row in each round")
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.against and not Path(options.against, "wgan_handwritten_digits.py").exists():
        parser.error(f"--against {options.against}: holds no wgan_handwritten_digits.py")
    if options.worker:
        serve(options.worker)
    elif len(options.recipe) > 1 and not (options.against or options.replicas):
        print_recipes(options)
    else:
        for recipe in options.recipe:
            print_loops(options, recipe)


if __name__ == "__main__":
    main()
