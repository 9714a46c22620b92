"""What a user might train in place of a GAN: an autoencoder with a Gaussian mixture, and flow matching.

python benchmarks/baselines.py autoencoder flow --seeds 3,4,5

After some epochs, 5,000 digits are measured as after each epoch of a GAN (support/evaluation/epoch_figures.py). Writes
benchmarks/results/NAME_seedN.csv with the columns epoch, frechet_distance and seconds, for benchmarks/epochs.py. The
seconds are those of training, without measuring; for the autoencoder they include fitting the mixture and drawing once.

autoencoder: convolutions to 16 numbers and back, cross-entropy of the pixels. 60 normal distributions with full
covariances are fitted to the numbers of 20,000 training images; a sample of them is decoded (Ghosh et al. 2020).
flow: a small U-Net learns the velocity x - noise at points between noise and an image (Lipman et al. 2023). It draws in
30 steps of Euler's method, with averaged weights.
Both: Adam, batches of 64, the learning rate falls from 1e-3 along a cosine.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
sys.path.insert(0, str(ROOT))

from support.datasets import loading  # noqa: E402
from support.evaluation import figures  # noqa: E402
from support.evaluation.definitions import JUDGED  # noqa: E402
from support.evaluation.epoch_figures import distance_from_mnist  # noqa: E402
from support.machine.devices import import_tensorflow, keras, tf  # noqa: E402

BATCH, NUMBERS, COMPONENTS, STEPS = 64, 16, 60, 30
EPOCHS = {"autoencoder": 20, "flow": 4}
MEASURED_EVERY = {"autoencoder": 4, "flow": 2}  # epochs; drawing takes long in both


def optimizer(images, epochs, average=False):
    """Adam with a rate that falls along a cosine. average: it keeps a running average of the weights."""
    rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * (len(images) // BATCH))
    return keras.optimizers.Adam(rate, use_ema=average, ema_momentum=0.999)


def build_autoencoder():
    """Encoder: float32 images [n, 28, 28, 1] in [0, 1] -> [n, NUMBERS]. Decoder: the way back."""
    layers = keras.layers

    def block(layer):
        return [layer, layers.BatchNormalization(), layers.LeakyReLU(0.1)]

    strided = {"strides": 2, "padding": "same", "use_bias": False}
    encoder = keras.Sequential(
        [keras.Input((28, 28, 1)), *block(layers.Conv2D(32, 4, **strided)), *block(layers.Conv2D(64, 4, **strided))]
        + [layers.Flatten(), layers.Dense(NUMBERS)]
    )
    decoder = keras.Sequential(
        [keras.Input((NUMBERS,)), *block(layers.Dense(7 * 7 * 64, use_bias=False)), layers.Reshape((7, 7, 64))]
        + [*block(layers.Conv2DTranspose(64, 4, **strided))]
        + [layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid")]
    )
    return encoder, decoder


def autoencoder(images, seed, epochs):
    """Returns a model to fit, its data, and a function that draws n digits, uint8 [n, 28, 28]."""
    from sklearn.mixture import GaussianMixture

    encoder, decoder = build_autoencoder()
    model = keras.Sequential([encoder, decoder])
    model.compile(optimizer(images, epochs), "binary_crossentropy")
    pixels = np.float32(images[..., None]) / 255

    def draw(count):
        codes = encoder.predict(figures.drawn(pixels, 20_000), batch_size=1000, verbose=0)
        mixture = GaussianMixture(COMPONENTS, random_state=seed, max_iter=50).fit(np.float64(codes))
        codes = np.random.default_rng(seed).permutation(mixture.sample(count)[0])
        return np.uint8(np.round(255 * decoder.predict(codes, batch_size=1000, verbose=0)[..., 0]))

    data = tf.data.Dataset.from_tensor_slices(pixels).shuffle(60_000, seed).map(lambda image: (image, image))
    return model, data, draw


def build_flow():
    """A U-Net: noisy images [n, 28, 28, 1] and times [n, 1] from 0, noise, to 1, image -> velocities [n, 28, 28, 1]."""
    layers = keras.layers
    image, moment = keras.Input((28, 28, 1)), keras.Input((1,))
    frequencies = keras.ops.convert_to_tensor(np.pi * 2.0 ** np.arange(6), "float32")
    angles = layers.Lambda(lambda t: keras.ops.concatenate([keras.ops.sin(t * frequencies), t], -1))(moment)
    known = layers.Dense(128, activation="swish")(angles)

    def conv(filters, strides=1):
        return layers.Conv2D(filters, 3, strides=strides, padding="same")

    def residual(value):
        filters = value.shape[-1]
        shift = layers.Reshape((1, 1, filters))(layers.Dense(filters)(known))
        inner = conv(filters)(layers.Activation("swish")(layers.LayerNormalization()(value)))
        inner = layers.Activation("swish")(layers.Add()([inner, shift]))
        return layers.Add()([value, conv(filters)(inner)])

    # Blocks of 2x2 pixels as one pixel of four values, as in the critic: convolutions of the whole image take too long.
    value = layers.Reshape((14, 14, 4))(layers.Permute((1, 3, 2, 4))(layers.Reshape((14, 2, 14, 2))(image)))
    full = residual(conv(64)(value))
    half = residual(conv(128, 2)(full))
    value = residual(layers.Add()([full, layers.UpSampling2D()(conv(64)(half))]))
    value = conv(4)(layers.Activation("swish")(value))
    value = layers.Reshape((28, 28, 1))(layers.Permute((1, 3, 2, 4))(layers.Reshape((14, 14, 2, 2))(value)))
    return keras.Model([image, moment], value)


def flow(images, seed, epochs):
    """Returns a model to fit, its data, and a function that draws n digits, uint8 [n, 28, 28]."""
    model = build_flow()
    model.compile(optimizer(images, epochs, average=True), "mse")

    def example(image):
        image = tf.cast(image, tf.float32) / 127.5 - 1
        noise, moment = tf.random.normal(image.shape), tf.random.uniform([1])
        return ((1 - moment) * noise + moment * image, moment), image - noise

    @tf.function
    def draw_part(noise):
        for step in tf.range(STEPS):
            moment = tf.fill([len(noise), 1], (tf.cast(step, tf.float32) + 0.5) / STEPS)
            noise += model([noise, moment], training=False) / STEPS
        return noise

    def draw(count):
        noise = tf.random.stateless_normal([count, 28, 28, 1], [seed, 1])
        values = np.concatenate([draw_part(noise[start : start + 500]).numpy() for start in range(0, count, 500)])
        return np.uint8(np.round(np.clip(values[..., 0] * 127.5 + 127.5, 0, 255)))

    return model, tf.data.Dataset.from_tensor_slices(images[..., None]).shuffle(60_000, seed).map(example), draw


def keep(name, seed, dataset, measure, epochs):
    """Trains, measures every few epochs, and writes the table."""
    keras.utils.set_random_seed(seed)
    model, data, draw = {"autoencoder": autoencoder, "flow": flow}[name](dataset.train_images, seed, epochs)
    rows, seconds, start = ["epoch,frechet_distance,seconds"], 0.0, 0.0

    def begin(epoch, logs):
        nonlocal start
        start = time.perf_counter()

    def end(epoch, logs):
        nonlocal seconds
        seconds += time.perf_counter() - start
        if (epoch + 1) % MEASURED_EVERY[name] == 0:
            before = time.perf_counter()
            digits = draw(JUDGED)
            drawing = time.perf_counter() - before
            fitting = drawing if name == "autoencoder" else 0.0
            rows.append(f"{epoch + 1},{measure(digits)},{seconds + fitting:.2f}")
            print(name, seed, rows[-1], f"drawing {JUDGED:,}: {drawing:.1f} s", flush=True)

    # While `end` runs, the model has its averaged weights. Not with batch norm, whose statistics are not averaged.
    averages = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if model.optimizer.use_ema else []
    watch = keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)
    data = data.batch(BATCH, drop_remainder=True).prefetch(4)
    model.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=[*averages, watch])
    name += "" if epochs == EPOCHS[name] else f"_{epochs}_epochs"
    (RESULTS / f"{name}_seed{seed}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{name}: {model.count_params():,} weights")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="+", choices=EPOCHS)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[3, 4, 5])
    parser.add_argument("--epochs", type=int, help="another number, to try it out")
    options = parser.parse_args()
    import_tensorflow("cpu")
    dataset = loading.load_dataset()
    measure = distance_from_mnist()
    for name in options.names:
        for seed in options.seeds:
            keep(name, seed, dataset, measure, options.epochs or EPOCHS[name])


if __name__ == "__main__":
    main()
