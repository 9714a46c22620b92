"""The command line: what it accepts, what it says about mistakes, and that it needs the standard library alone."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import wgan_handwritten_digits as wgan
from support import device
from support.errors import InputError
from support.options import options_from, read_options

RECIPES = wgan.RECIPES
MISTAKES = {  # a command: what its one line says
    "--epochs 0": "--epochs: 0 is not in the range 1",
    "--epochs": "expected one argument",
    f"--epochs {'9' * 5000}": "--epochs: invalid integer value: '999",
    "--batch-size 1": "--batch-size: 1 is not in the range 2",
    "--n-critic 0": "--n-critic: 0 is not in the range 1",
    "--latent-dim 1000000000": "not in the range 1 to 100000",
    "--images 1e3": "--images: invalid integer value: '1e3'",
    "--seed=-1": "--seed: -1 is not in the range 0 to 2147483647",
    "write 7 --lines 0": "--lines: 0 is not in the range 1",
    "--clip 0": "0 is not a number above 0",
    "--clip nan": "nan is not a number above 0",
    "--learning-rate=-1": "-1 is not a number above 0",
    "--recipe wgan-gp --clip 1": "--clip: the recipe 'wgan-gp' does not use it",
    "--recipe biggan": "invalid choice: 'biggan'",
    "--device tpu": "invalid choice: 'tpu'",
    "--data ''": "'' is not a path",
    "--data missing.npz": "missing.npz: no such file",
    "--models-dir 'a\0b'": "is not a path",
    "generate --npz a.npy": "'a.npy' does not end with .npz",
    "interpolate --walk 1": "'1' is one number; give two or more",
    "interpolate --walk 1,": "--walk: invalid seeds value: '1,'",
    "generate --digits x": "'x' is not a list of labels",
    f"generate --digits {'9' * 5000}": "is not a list of labels",
    "generate --shard 0/2": "'0/2' is not of the form I/N",
    "generate --shard 3/2": "'3/2' is not of the form I/N",
    "generate --images 3 --shard 4/8": "more shards than images",
    "--shard 1/2": "--shard works with the step 'generate' only",
    "generate --npz a.npz --shard 1/2": "is written without --shard",
    "generate --npz a.npz --images 2000001": "at most 2,000,000 digits",
    "genrate": "did you mean 'generate'?",
    "'a\nb'": r"there is no step 'a\nb'",
    "write": "write: '' is not a number of 1 to 100 digits, as in `write 2026`",
    "write hello": "'hello' is not a number of 1 to 100 digits",
    f"write {'9' * 101}": "is not a number of 1 to 100 digits",
    "generate --epochs 3": "--epochs needs the step 'train'",
    "generate --frames 3": "--frames needs the step 'interpolate'",
    "train generate --model m.keras": "leave 'train' out",
    "--epoch 3": "did you mean --epochs?",
    "--nonsense": "unrecognized arguments: --nonsense;",
    "--a\x1b[31mb": "unrecognized arguments: --a [31mb",
}


def read(words):
    return read_options(shlex.split(words), RECIPES)


@pytest.mark.parametrize("words", MISTAKES, ids=lambda words: ascii(words[:50]))
def test_a_mistake_is_one_line_with_status_2(words, program, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "import_tensorflow", lambda *_: pytest.fail("TensorFlow takes seconds"))
    status, lines = program(words)
    assert (status, len(lines)) == (2, 1) and lines[0].startswith("wgan_handwritten_digits: ")
    assert MISTAKES[words] in lines[0]
    assert not list(tmp_path.iterdir())


ANSWERS = {  # a command: its exit status, what it prints
    "wgan_handwritten_digits.py --help": (0, "--batch-size N"),
    "wgan_handwritten_digits.py --version": (0, wgan.VERSION),
    "wgan_handwritten_digits.py --epoch 3": (2, "did you mean --epochs?"),
    "evaluate_digits.py --gan-trian": (2, "did you mean --gan-train?"),
}


@pytest.mark.parametrize("words", ANSWERS)
def test_the_standard_library_is_enough_to_answer(words, tmp_path):
    status, printed = ANSWERS[words]
    script, *words = words.split()
    command = [sys.executable, "-S", "-E", str(ROOT / script), *words]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert process.returncode == status, process.stderr
    assert printed in (process.stderr if status else process.stdout)
    assert len(process.stderr.splitlines()) == (1 if status else 0)


def test_importing_the_script_imports_no_package_and_writes_nothing(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import wgan_handwritten_digits
assert not {{"tensorflow", "keras", "numpy", "PIL", "matplotlib"}} & set(sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_the_help_names_every_option_and_the_defaults_of_the_recipes(capsys):
    with pytest.raises(SystemExit):
        wgan.main(["--help"])
    text = " ".join(capsys.readouterr().out.split()).replace("wgan- ", "wgan-")  # a line may end at a hyphen
    for name in vars(read("")).keys() - {"steps", "number"}:
        assert "--" + name.replace("_", "-") in text
    assert "wgan-paper 0.01" in text and "python wgan_handwritten_digits.py generate" in text


def test_the_steps_always_run_in_the_same_order():
    assert read("").steps == read("generate train").steps == ("train", "generate")
    assert read("--seed 3 train --epochs 2").steps == ("train",)
    assert read("page --lines 2 write 2026").steps == ("write", "page")


def test_an_option_that_is_left_out_has_the_value_of_the_recipe():
    options, paper = read("--n-critic 7"), read("--recipe wgan-paper")
    assert (options.n_critic, options.batch_size, options.clip) == (7, RECIPES["wgan"].batch_size, RECIPES["wgan"].clip)
    assert (paper.clip, paper.learning_rate, paper.n_critic, paper.batch_size) == (0.01, 5e-5, 5, 64)
    assert (options.images_dir, options.images, options.models_dir) == ("generated_images", 25_000, "saved_models")
    assert read("generate --npz a.npz").images_dir is None


def test_options_named_in_a_python_shell_are_the_same_and_are_checked():
    settings = {"epochs": np.int64(3), "models_dir": Path("x"), "resume": True, "summary": False, "clip": None}
    options = options_from(settings, RECIPES)
    assert vars(options) == vars(read("train --epochs 3 --models-dir x --resume"))
    assert options_from({"steps": ("generate",), "digits": (7, 3)}, RECIPES).digits == (7, 3)
    for bad in ({"epochs": 0}, {"batch_size": "x"}, {"recipe": "none"}, {"seed": -1}, {"clip": 1, "recipe": "wgan-gp"}):
        with pytest.raises(InputError, match=f"--{next(iter(bad)).replace('_', '-')}"):
            wgan.train(None, **bad)
    with pytest.raises(InputError, match="did you mean --epochs"):
        wgan.train(None, epoch=3)
