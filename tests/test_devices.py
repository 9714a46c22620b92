"""What the program finds out about the machine, and what in a user's environment does not matter."""

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import SCRIPT

import wgan_handwritten_digits as wgan
from support import device, quick_layers
from support.errors import InputError
from support.lazy import keras, tf

device.import_tensorflow("cpu")


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """A function that makes the processor one with these flags, or an unknown one (None)."""

    def become(flags):
        if flags is not None:
            (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
        monkeypatch.setattr(device, "CPU_INFO", tmp_path / "cpuinfo")
        device.uses_bfloat16.cache_clear()

    yield become
    device.uses_bfloat16.cache_clear()


def rounds_to_bfloat16(passes):
    """True if this block of passes multiplies matrices with the precision of bfloat16."""
    first, second = (tf.random.stateless_normal([256, 256], [number, 0]) for number in range(2))
    with passes():
        found = tf.function(lambda: first @ second)()
    exact = tf.cast(first, tf.float64) @ tf.cast(second, tf.float64)
    return float(tf.reduce_max(abs(tf.cast(found, tf.float64) - exact))) > 1e-2


@pytest.mark.parametrize(
    ("flags", "onednn", "expected"),
    [("fpu avx2 avx512_bf16", "1", False), ("fpu amx_bf16", "1", True), ("amx_bf16", "0", False), (None, "1", False)],
)
def test_training_multiplies_in_bfloat16_on_processors_with_matrix_units_for_it(
    processor, monkeypatch, flags, onednn, expected
):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    processor(flags)
    assert device.uses_bfloat16() is expected


@pytest.mark.parametrize("flags", ["fpu avx2", "fpu amx_bf16"])
def test_the_record_says_bfloat16_and_nothing_but_training_rounds_to_it(processor, flags):
    """With the second flags, training asks for it; oneDNN does it if this CPU has AVX-512 at least."""
    processor(flags)
    before = tf.config.optimizer.get_experimental_options()
    rounds = rounds_to_bfloat16(device.training_passes)
    assert device.describe()["bfloat16"] is ("amx" in flags) and not (rounds and "amx" not in flags)
    assert not rounds_to_bfloat16(device.quiet)
    after = tf.config.optimizer.get_experimental_options()
    assert all(after.get(name, False) == before.get(name, False) for name in {*before, *after})


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="tried with oneDNN on x86 only")
def test_a_convolution_and_its_leaky_relu_are_one_operation_in_training():
    from tensorflow.python.eager import context  # the public API does not show an optimised graph

    layers = [keras.Input((14, 14, 4)), keras.layers.Conv2D(8, 3), keras.layers.LeakyReLU(0.02)]
    network = quick_layers.quick(keras.Sequential(layers))

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(tf.ones([2, 14, 14, 4])))
        return tape.gradient(loss, network.trainable_variables)

    context.context().enable_run_metadata()
    try:
        with device.training_passes():
            gradients()
        graphs = context.context().export_run_metadata().function_graphs
    finally:
        context.context().disable_run_metadata()
    assert "_FusedConv2D" in {node.op for graph in graphs for node in graph.post_optimization_graph.node}


@pytest.mark.parametrize(
    ("version", "capability", "expected"),  # compiling for the second ends the process; the last is no GPU
    [("2.21.0", (9, 0), True), ("2.21.0", (12, 0), False), ("2.22.0", (12, 0), True), ("2.21.0", None, False)],
)
def test_xla_is_for_gpus_on_which_it_works(monkeypatch, version, capability, expected):
    config = SimpleNamespace(
        get_visible_devices=lambda kind: [kind] if capability else [],
        experimental=SimpleNamespace(get_device_details=lambda gpu: {"compute_capability": capability}),
    )
    monkeypatch.setattr(device, "tf", SimpleNamespace(config=config, __version__=version))
    monkeypatch.setattr(device.platform, "system", lambda: "Linux")
    assert device.use_xla() is expected


def test_what_tensorflow_prints_is_not_shown(capfd):
    with device.quiet():
        os.write(2, b"a message")
    os.write(2, b"ours")
    assert capfd.readouterr().err == "ours"


def test_the_plots_of_a_notebook_still_appear_after_a_run(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://of_the_notebook")
    device.import_tensorflow("cpu")
    assert os.environ["MPLBACKEND"] == "module://of_the_notebook"


def test_device_gpu_without_a_gpu_is_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert wgan.main(["generate", "--model", "wgan", "--device", "gpu"]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "--device gpu: TensorFlow finds no GPU" in error
    assert not list(tmp_path.iterdir())


def test_a_keras_with_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="'jax'.*KERAS_BACKEND"):
        device.import_tensorflow("cpu")


ODD = '{"image_data_format": "channels_first", "floatx": "float64", "backend": "jax"}'


@pytest.mark.slow
@pytest.mark.parametrize("content", [ODD, "null"])
def test_a_users_environment_does_not_matter_or_is_one_line(tmp_path, content):
    """A keras.json of another project or with nonsense, other backends, a terminal that knows ASCII only."""
    (tmp_path / "keras.json").write_text(content, encoding="utf-8")
    environment = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, str(SCRIPT), "--summary"]
    process = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
    if content == ODD:
        assert process.returncode == 0 and process.stderr == ""
        assert "(None, 28, 28, 1)" in process.stdout and "(None, 7, 7, 64)" in process.stdout
        assert [path.name for path in tmp_path.iterdir()] == ["keras.json"]
    else:
        assert process.returncode == 2 and process.stderr.count("\n") == 1 and "keras.json" in process.stderr
