"""What the program finds out about the machine."""

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT, run_script

from support.machine import devices
from support.machine.devices import keras, tf
from support.machine.training_layers import training_layers

devices.import_tensorflow("cpu")


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """A function that makes the processor one with these flags, or an unknown one (None)."""

    def become(flags):
        if flags is not None:
            (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
        monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "cpuinfo")
        devices.uses_bfloat16.cache_clear()

    yield become
    devices.uses_bfloat16.cache_clear()


def products(size=256):
    """A product of matrices as it is computed in training, and the same in float64."""
    first, second = (tf.random.stateless_normal([size, size], [number, 0]) for number in range(2))
    with devices.training_passes():
        found = tf.function(lambda: first @ second)()
    return found, tf.cast(first, tf.float64) @ tf.cast(second, tf.float64)


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu avx2 avx512_bf16", False), ("fpu amx_bf16", True), (None, False)]
)
def test_bfloat16_is_for_processors_with_units_for_it(processor, monkeypatch, flags, expected):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    processor(flags)
    assert devices.uses_bfloat16() is expected


def test_bfloat16_needs_onednn(processor, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    processor("amx_bf16")
    assert not devices.uses_bfloat16()


def test_without_such_units_training_multiplies_in_float32(processor):
    processor("fpu avx2")
    found, exact = products()
    assert found.dtype == tf.float32
    assert float(tf.reduce_max(abs(tf.cast(found, tf.float64) - exact))) < 1e-3


@pytest.mark.parametrize(
    ("version", "capability", "expected"),
    [("2.21.0", (9, 0), True), ("2.21.0", (12, 0), False), ("2.22.0", (12, 0), True)],
)
def test_nothing_is_compiled_with_xla_for_a_gpu_on_which_that_ends_the_process(
    monkeypatch, version, capability, expected
):
    asked = []
    config = SimpleNamespace(
        get_visible_devices=lambda kind: [kind],
        experimental=SimpleNamespace(get_device_details=lambda gpu: {"compute_capability": capability}),
    )
    of_a_gpu = SimpleNamespace(
        config=config, __version__=version, function=lambda f, jit_compile, autograph: asked.append(jit_compile)
    )
    monkeypatch.setattr(devices, "tf", of_a_gpu)
    monkeypatch.setattr(devices.platform, "system", lambda: "Linux")
    devices.fused(len)
    assert devices.use_xla() is expected
    assert asked == [expected]
    monkeypatch.setattr(devices.platform, "system", lambda: "Darwin")
    assert not devices.use_xla()


def test_bfloat16_is_in_use_on_a_processor_that_has_units_for_it():
    """Without which the next test says nothing."""
    if not devices.uses_bfloat16():
        pytest.skip("this processor has none")
    found, exact = products()
    assert float(tf.reduce_max(abs(tf.cast(found, tf.float64) - exact))) > 1e-2


@pytest.mark.parametrize("flags", ["fpu avx2", "fpu amx_bf16"])
def test_the_record_says_bfloat16_only_if_products_are_rounded_to_it(processor, flags):
    """Asked for with the second flags, and in effect there if oneDNN has bfloat16 on this CPU (AVX-512 or more)."""
    processor(flags)
    found, exact = products()
    rounded = float(tf.reduce_max(abs(tf.cast(found, tf.float64) - exact))) > 1e-2
    assert devices.describe()["bfloat16"] is rounded


def test_the_record_does_not_claim_an_option_that_tensorflow_does_not_know(processor, monkeypatch):
    processor("fpu amx_bf16")
    accepted = tf.config.optimizer.set_experimental_options
    monkeypatch.setattr(
        tf.config.optimizer, "set_experimental_options", lambda options: accepted({"no_such_option": True})
    )
    assert devices.uses_bfloat16() and not devices.describe()["bfloat16"]


def operations_of_a_convolution():
    """The names of the operations that remain of a convolution, its LeakyReLU and their gradient, once optimised."""
    from tensorflow.python.eager import context  # the public API does not show an optimised graph

    layers = training_layers()
    network = keras.Sequential([keras.Input((14, 14, 4)), layers.Conv2D(8, 3), layers.LeakyReLU(0.02)])
    images = tf.ones([2, 14, 14, 4])

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(images))
        return tape.gradient(loss, network.trainable_variables)

    context.context().enable_run_metadata()
    try:
        with devices.training_passes():
            gradients()
        found = context.context().export_run_metadata().function_graphs
    finally:
        context.context().disable_run_metadata()
    return {node.op for graphs in found for node in graphs.post_optimization_graph.node}


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="tried with oneDNN on x86 only")
def test_a_convolution_and_its_leaky_relu_are_one_operation_in_training():
    assert "_FusedConv2D" in operations_of_a_convolution()


def test_outside_of_training_products_are_in_float32(processor):
    processor("fpu amx_bf16")
    products()
    first = tf.random.stateless_normal([256, 256], [0, 0])
    exact = tf.cast(first, tf.float64) @ tf.cast(first, tf.float64)
    found = tf.function(lambda: first @ first)()
    assert float(tf.reduce_max(abs(tf.cast(found, tf.float64) - exact))) < 1e-3


@pytest.mark.parametrize(
    ("end", "printed"), [("pass", False), ("raise KeyError", True), ("os.abort()", True), ("os._exit(3)", True)]
)
def test_what_is_held_back_is_printed_if_the_block_or_the_process_fails(end, printed):
    lines = ["import os", "from support.machine.devices import quiet_standard_error as quiet"]
    lines += ["with quiet():", "    os.write(2, b'a reason')", f"    {end}"]
    code = "\n".join(lines)
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ("a reason" in process.stderr) is printed
    assert (process.returncode == 0) is not printed


def test_a_keras_with_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(devices.keras.backend, "backend", lambda: "jax")
    with pytest.raises(devices.DeviceError, match="'jax'.*KERAS_BACKEND"):
        devices.import_tensorflow("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("content", ["null", "[]", "{", '{"floatx": 7}'])
def test_a_keras_json_with_nonsense_is_one_line_or_no_matter(tmp_path, content):
    (tmp_path / "keras.json").write_text(content, encoding="utf-8")
    process = run_script("train", "--summary", cwd=tmp_path, env=os.environ | {"KERAS_HOME": str(tmp_path)})
    if process.returncode:
        assert process.returncode == 2 and process.stderr.count("\n") == 1, process.stderr
        assert "keras.json" in process.stderr
    else:
        assert process.stderr == "" and "conv2d" in process.stdout


@pytest.mark.parametrize("script", ["wgan_handwritten_digits.py", "evaluate_digits.py"])
def test_python_without_docstrings_runs_the_scripts(tmp_path, script):
    command = [sys.executable, "-OO", str(ROOT / script), "--help"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0 and "--device" in process.stdout, process.stderr


@pytest.mark.slow
def test_a_summary_is_printed_on_a_terminal_that_knows_ascii_only(tmp_path):
    process = run_script("--summary", cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert process.returncode == 0 and "critic" in process.stdout, process.stderr


def test_the_graph_optimizer_is_left_as_it_was():
    before = tf.config.optimizer.get_experimental_options()
    with devices.training_passes():
        assert tf.config.optimizer.get_experimental_options() != before
    after = tf.config.optimizer.get_experimental_options()
    assert all(after.get(name, False) == before.get(name, False) for name in {*before, *after})
