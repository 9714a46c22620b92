"""Seconds per iteration of several ways to train a small WGAN, measured in turn.

    python benchmarks/training_speed.py [--setting default|paper] [--rounds 7] [--iterations 10]

An iteration is n_critic updates of the critic, each followed by clipping, and one update of the generator. All rows
train the networks of wgan_handwritten_digits.py with batches of the same size. In the default setting, `ours` and
PyTorch update the generator with the images of the critic's updates; the other rows draw new ones, as most scripts do,
which is 9 % more arithmetic. The rows are:

ours             compile_iteration of the program. Only this row gathers and scales its batches from all of MNIST,
                 centres the critic's units (default setting), lowers the learning rate, sums the losses and keeps a
                 running average
ours, float32    the same without bfloat16; only if the CPU has units for bfloat16
tf.function      a compiled training step for each network, called from a loop that slices numpy arrays
train_step, fit  a keras.Model with its own train_step, as in the examples of keras.io; with ten times the iterations,
                 because fit starts slowly
batchwise        predict, train_on_batch for real and for generated images, and np.clip of get_weights, as in the books
                 and collections of 2018 to 2020
PyTorch          eager, and with drawing and both losses through torch.compile, if PyTorch is installed; also in
                 bfloat16, if ours uses it. Images and weights are channels_last, which is faster on a CPU. Each row
                 runs in its own process, because current versions crash if TensorFlow was imported first. It uses the
                 fastest of several values of ONEDNN_MAX_CPU_ISA, unless the environment has one for all rows; the
                 row's name has the value if it is not the default

The limit is the floating-point operations of an iteration's matrix products, divided by this machine's matmul rate for
matrices of 1024 x 1024. The rate is measured in the same process, in float32 and, if ours uses it, in bfloat16.
"""

import argparse
import importlib.util
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from machine import machine  # noqa: E402

import wgan_handwritten_digits as wgan  # noqa: E402
from support.datasets import loading  # noqa: E402
from support.machine import devices  # noqa: E402
from support.machine.devices import keras, tf  # noqa: E402

# oneDNN's names; DEFAULT is no limit. If the environment has a limit, it holds for all rows.
GIVEN = os.environ.get("ONEDNN_MAX_CPU_ISA")
ISAS = (GIVEN,) if GIVEN else ("DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE", "AVX2")


def ours(setting, images, bfloat16=True):
    """The program's own loop."""
    training = wgan.build_training(setting.options)
    iterate = wgan.compile_iteration(training, images, setting.options, 10_000)

    bfloat16 = bfloat16 and devices.uses_bfloat16()

    def run(iterations):
        # `iterate` sets the graph optimizer's options itself, in each call.
        with mock.patch.object(devices, "uses_bfloat16", lambda: bfloat16):
            for _ in range(iterations):
                iterate()
        training.sums.numpy()

    return run


class Setting:
    """What all rows share: options, networks, clipping bounds, batches of real images in [-1, 1]."""

    def __init__(self, recipe, images):
        self.recipe = wgan.RECIPES[recipe]
        self.options = wgan.complete(wgan.Options(recipe=recipe), wgan.RECIPES)
        self.batch, self.n_critic = self.options.batch_size, self.options.n_critic
        self.generator_batch = self.batch * (self.n_critic if self.recipe.reuse_images else 1)
        self.real = images[: self.batch * self.n_critic * 50, ..., None].astype(np.float32) / 127.5 - 1

    def networks(self):
        """A critic, a generator and the half widths of the critic's boxes."""
        critic, generator = wgan.build_critic(), wgan.build_generator(self.options.latent_dim, self.recipe.choices)
        return critic, generator, wgan.clip_bounds(critic, self.options.clip, self.recipe.clip_scaled)

    def optimizer(self):
        return keras.optimizers.RMSprop(self.options.learning_rate, rho=0.9)

    def batches(self, iterations):
        """Real batches, n_critic times `iterations` of them."""
        for number in range(iterations * self.n_critic):
            first = number * self.batch % len(self.real)
            yield self.real[first : first + self.batch]

    def noise(self, count):
        return np.random.normal(size=(count, self.options.latent_dim)).astype(np.float32)


def compiled_steps(setting):
    """Two compiled steps, called from a Python loop."""
    critic, generator, bounds = setting.networks()
    for_critic, for_generator = setting.optimizer(), setting.optimizer()
    latent = setting.options.latent_dim

    @tf.function
    def critic_step(real):
        fake = generator(tf.random.normal([setting.batch, latent]), training=True)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(critic(fake, training=True)) - tf.reduce_mean(critic(real, training=True))
        for_critic.apply_gradients(
            zip(tape.gradient(loss, critic.trainable_variables), critic.trainable_variables, strict=True)
        )
        for variable, bound in zip(critic.trainable_variables, bounds, strict=True):
            variable.assign(tf.clip_by_value(variable, -bound, bound))
        return loss

    @tf.function
    def generator_step():
        with tf.GradientTape() as tape:
            noise = tf.random.normal([setting.generator_batch, latent])
            loss = -tf.reduce_mean(critic(generator(noise, training=True), training=True))
        gradients = tape.gradient(loss, generator.trainable_variables)
        for_generator.apply_gradients(zip(gradients, generator.trainable_variables, strict=True))
        return loss

    def run(iterations):
        for number, real in enumerate(setting.batches(iterations)):
            critic_step(real)
            if number % setting.n_critic == setting.n_critic - 1:
                loss = generator_step()
        float(loss)

    return run


def keras_fit(setting):
    """A model with its own train_step, trained by fit."""
    critic, generator, bounds = setting.networks()

    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.critic, self.generator = critic, generator

        def compile(self, for_critic, for_generator):
            super().compile()
            self.for_critic, self.for_generator = for_critic, for_generator

        def train_step(self, real):
            for part in tf.split(real, setting.n_critic):
                noise = tf.random.normal([setting.batch, setting.options.latent_dim])
                with tf.GradientTape() as tape:
                    fake = generator(noise, training=True)
                    loss = tf.reduce_mean(critic(fake, training=True)) - tf.reduce_mean(critic(part, training=True))
                gradients = tape.gradient(loss, critic.trainable_variables)
                self.for_critic.apply_gradients(zip(gradients, critic.trainable_variables, strict=True))
                for variable, bound in zip(critic.trainable_variables, bounds, strict=True):
                    variable.assign(tf.clip_by_value(variable, -bound, bound))
            noise = tf.random.normal([setting.generator_batch, setting.options.latent_dim])
            with tf.GradientTape() as tape:
                generator_loss = -tf.reduce_mean(critic(generator(noise, training=True), training=True))
            gradients = tape.gradient(generator_loss, generator.trainable_variables)
            self.for_generator.apply_gradients(zip(gradients, generator.trainable_variables, strict=True))
            return {"critic_loss": loss, "generator_loss": generator_loss}

    model = Gan()
    model.compile(setting.optimizer(), setting.optimizer())

    seen = setting.n_critic * setting.batch
    real = np.resize(setting.real, (200 * seen, 28, 28, 1))

    def run(iterations):
        assert iterations * seen <= len(real)
        model.fit(real[: iterations * seen], batch_size=seen, epochs=1, verbose=0)

    return run


def batchwise(setting):
    """A Keras call for every batch. The weights are read, clipped with numpy and written back."""
    critic, generator, bounds = setting.networks()

    def loss(wanted, scores):
        return keras.ops.mean(wanted * scores)

    critic.compile(loss=loss, optimizer=setting.optimizer())
    critic.trainable = False
    latent = keras.Input((setting.options.latent_dim,))
    combined = keras.Model(latent, critic(generator(latent)))
    combined.compile(loss=loss, optimizer=setting.optimizer())
    wanted = -np.ones((setting.generator_batch, 1), np.float32)
    combined.train_on_batch(setting.noise(setting.generator_batch), wanted)  # traced while the critic is frozen
    critic.trainable = True
    ones = np.ones((setting.batch, 1), np.float32)

    def run(iterations):
        for number, real in enumerate(setting.batches(iterations)):
            fake = generator.predict(setting.noise(setting.batch), verbose=0)
            critic.train_on_batch(real, -ones)
            critic.train_on_batch(fake, ones)
            # One bound for each array, in the order of get_weights.
            critic.set_weights(
                [np.clip(weight, -bound, bound) for weight, bound in zip(critic.get_weights(), bounds, strict=True)]
            )
            if number % setting.n_critic == setting.n_critic - 1:
                combined.train_on_batch(setting.noise(setting.generator_batch), wanted)

    return run


def pytorch(setting, bounds, compiled=False, bfloat16=False):
    """The same networks and steps in PyTorch. bounds: the clipping bounds of the critic's arrays, from Keras."""
    import torch
    from torch import nn

    torch.set_num_threads(devices.usable_cores())
    choices, latent = setting.recipe.choices, setting.options.latent_dim

    class Choice(nn.Module):
        def forward(self, noise):
            if not choices:
                return noise
            chosen = nn.functional.one_hot(noise[:, :choices].argmax(1), choices)
            return torch.cat([noise, wgan.CHOICE * chosen], 1)

    critic = nn.Sequential(
        nn.PixelUnshuffle(2),
        nn.Conv2d(4, 64, 6, padding="same"),
        nn.LeakyReLU(wgan.LEAK),
        nn.Conv2d(64, 64, 3, 2, padding=1),  # pads at the other side than Keras, at the same cost
        nn.LeakyReLU(wgan.LEAK),
        nn.Flatten(),
        nn.Linear(7 * 7 * 64, 256),
        nn.LeakyReLU(wgan.LEAK),
        nn.Linear(256, 1),
    )
    generator = nn.Sequential(
        Choice(),
        nn.Linear(latent + choices, 7 * 7 * 64, bias=False),
        nn.Unflatten(1, (64, 7, 7)),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(wgan.LEAK),
        nn.ConvTranspose2d(64, 64, 4, 2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(wgan.LEAK),
        nn.ConvTranspose2d(64, 1, 4, 2, padding=1),
        nn.Tanh(),
    )
    rate = {"lr": setting.options.learning_rate, "alpha": 0.9}
    critic, generator = (network.to(memory_format=torch.channels_last) for network in (critic, generator))
    for_critic = torch.optim.RMSprop(critic.parameters(), **rate)
    for_generator = torch.optim.RMSprop(generator.parameters(), **rate)
    data = torch.from_numpy(setting.real.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)

    def draw():
        return generator(torch.randn(setting.batch, latent))

    def critic_loss(real, fake):
        scores = critic(torch.cat([real, fake]))
        return scores[setting.batch :].mean() - scores[: setting.batch].mean()

    def generator_loss(fakes):
        return -critic(torch.cat(fakes)).mean()

    if compiled:
        draw, critic_loss, generator_loss = map(torch.compile, (draw, critic_loss, generator_loss))

    def run(iterations):
        fakes = []
        for number in range(iterations * setting.n_critic):
            first = number * setting.batch % len(data)
            for_critic.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                with torch.set_grad_enabled(setting.recipe.reuse_images):
                    fakes.append(draw())
                loss = critic_loss(data[first : first + setting.batch], fakes[-1].detach())
            loss.backward()
            for_critic.step()
            with torch.no_grad():
                # The parameters have the order and sizes of Keras's.
                for parameter, bound in zip(critic.parameters(), bounds, strict=True):
                    parameter.clamp_(-bound, bound)
            if number % setting.n_critic == setting.n_critic - 1:
                critic.requires_grad_(False)  # no gradients for weights that are not updated
                for_generator.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                    loss = generator_loss(fakes if setting.recipe.reuse_images else [draw()])
                loss.backward()
                for_generator.step()
                fakes = []
                critic.requires_grad_(True)

    return run


def serve_pytorch(recipe, **row):
    """Runs a PyTorch row in this process, without TensorFlow. Each line of standard input is a number of iterations."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # all other output goes to standard error
    run = pytorch(Setting(recipe, loading.load_dataset(None).train_images), **row)
    run(3)  # compiles
    assert "tensorflow" not in sys.modules
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        run(int(line))
        print("done", file=answers, flush=True)


def pytorch_process(isa, **row):
    """A function like those of the other rows, whose iterations run in a new process. Raises RuntimeError."""
    command = [sys.executable, str(Path(__file__).resolve()), "--pytorch-row", json.dumps(row)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=os.environ | {"ONEDNN_MAX_CPU_ISA": isa}, **pipes)

    def wait_for(answer):
        if process.stdout.readline().strip() != answer:
            raise RuntimeError(f"the PyTorch process ended with status {process.wait()}")

    def run(iterations):
        process.stdin.write(f"{iterations}\n")
        process.stdin.flush()
        wait_for("done")

    wait_for("ready")
    run.end = process.stdin.close  # without more lines, the process ends
    return run


def quickest_pytorch(**row):
    """(ONEDNN_MAX_CPU_ISA, function) of this row's fastest process; five iterations with each of ISAS decide."""
    found = {}
    for isa in ISAS:
        run = pytorch_process(isa, **row)
        start = time.perf_counter()
        run(5)
        found[isa] = time.perf_counter() - start, run
        best = min(found, key=lambda isa: found[isa][0])
        for other in found.keys() - {best}:
            found[other][1].end()
    print({isa: f"{seconds * 200:.0f} ms" for isa, (seconds, _) in found.items()}, file=sys.stderr)
    return best, found[best][1]


def products(network):
    """Yields the floating-point operations of each layer's matrix product in `network`, for one image, forward."""
    for layer in network.layers:
        if not layer.trainable or not layer.weights or not hasattr(layer, "kernel"):
            continue
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        shape = (layer.input if transposed else layer.output).shape
        yield 2 * math.prod(shape[1:-1]) * math.prod(layer.kernel.shape)


def operations(setting):
    """Floating-point operations of an iteration's matrix products: forward, and backward to weights and inputs."""
    critic, generator, _ = setting.networks()
    critic, generator = list(products(critic)), list(products(generator))
    update = 2 * setting.batch * (3 * sum(critic) - critic[0])  # no gradient with respect to the images
    drawing = setting.batch * sum(generator)
    passes = 2 if setting.recipe.reuse_images else 3  # backward to weights and inputs; forward, if the images are new
    last = setting.generator_batch * (passes * sum(generator) - generator[0] + 2 * sum(critic))
    return setting.n_critic * (update + drawing) + last


def product_rate(dtype):
    """Floating-point operations per second in products of 1024 x 1024 matrices, on all cores."""
    first, second = (tf.cast(tf.random.normal([1024, 1024]), dtype) for _ in range(2))

    @tf.function
    def multiply():
        value = first
        for _ in range(10):
            value = tf.matmul(value, second) * tf.cast(0.03, dtype)
        return tf.reduce_sum(tf.cast(value, tf.float32))

    multiply()
    start = time.perf_counter()
    for _ in range(5):
        float(multiply())
    return 50 * 2 * 1024**3 / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--setting", choices=("default", "paper"), default="default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=10, help="of each row in each round")
    parser.add_argument("--pytorch-row", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pytorch_row:
        return serve_pytorch(**options.pytorch_row)

    devices.import_tensorflow("cpu")
    images = loading.load_dataset(None).train_images
    recipe = {"default": "wgan", "paper": "wgan-paper"}[options.setting]
    setting = Setting(recipe, images)
    rows = {"ours": ours(setting, images)}
    if devices.uses_bfloat16():
        rows["ours, float32"] = ours(setting, images, bfloat16=False)
    rows["tf.function"] = compiled_steps(setting)
    rows["train_step, fit"] = keras_fit(setting)
    rows["batchwise"] = batchwise(setting)
    for run in rows.values():
        run(3)  # compiles, traces
    if importlib.util.find_spec("torch"):
        bounds = setting.networks()[2]
        for bfloat16 in (False, True) if devices.uses_bfloat16() else (False,):
            for compiled in (False, True):
                name = ("torch.compile" if compiled else "PyTorch eager") + (", bfloat16" if bfloat16 else "")
                print(f"{name}: ", end="", file=sys.stderr, flush=True)
                try:
                    isa, run = quickest_pytorch(recipe=recipe, bounds=bounds, compiled=compiled, bfloat16=bfloat16)
                except RuntimeError as error:  # usually there is no C++ compiler
                    if not compiled:
                        raise
                    print(f"left out, {error}", file=sys.stderr)
                    continue
                rows[name if isa == ISAS[0] else f"{name}, {isa}"] = run
    else:
        print("PyTorch is not installed: its rows are left out", file=sys.stderr)
    seconds, rates = {name: [] for name in rows}, {"float32": [], "bfloat16": []}
    order, shuffle = list(rows), random.Random(0).shuffle
    for _ in range(options.rounds):
        shuffle(order)  # so that no row always comes first, or after the same row
        for name in order:
            iterations = options.iterations * (10 if "fit" in name else 1)
            start = time.perf_counter()
            rows[name](iterations)
            seconds[name].append((time.perf_counter() - start) / iterations)
        for dtype, found in rates.items():
            if dtype == "float32" or devices.uses_bfloat16():
                found.append(product_rate(getattr(tf, dtype)))

    work, about = operations(setting), machine("torch")
    bases = [statistics.median(seconds[name]) for name in ("ours", "ours, float32") if name in seconds]

    def line(name, median, least, most):
        cells = " | ".join(f"{median / base:.2f}" for base in bases)
        return f"| {name} | {median * 1e3:.1f} | {least * 1e3:.1f}, {most * 1e3:.1f} | {cells} |"

    batch = f"batch {setting.batch}, generator's {setting.generator_batch}, n_critic {setting.n_critic}"
    print(f"{options.setting}: {batch}; {options.rounds} rounds of {options.iterations} iterations; {about}\n")
    ratios = ["time / ours", "time / ours in float32"][: len(bases)]
    print(f"| loop | ms per iteration, median | min, max | {' | '.join(ratios)} |\n|---|---|---|{'---|' * len(ratios)}")
    for name, found in seconds.items():
        print(line(name, statistics.median(found), min(found), max(found)))
    for dtype, found in rates.items():
        if found:
            rate = statistics.median(found)
            name = f"limit: {work / 1e9:.2f} GFLOP at {rate / 1e9:.0f} GFLOP/s ({dtype})"
            print(line(name, work / rate, work / max(found), work / min(found)))


if __name__ == "__main__":
    main()
