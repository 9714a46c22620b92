"""The command line: what it accepts, what it says of mistakes, and that it answers before TensorFlow is loaded."""

import subprocess
import sys

import pytest
from conftest import SCRIPT, run_script

from support.command_line.options import Options, complete, read_options
from wgan_handwritten_digits import RECIPES


def read(*arguments):
    return read_options(list(arguments), RECIPES, "", "")


def test_an_option_left_out_takes_the_recipes_value():
    options = read("--n-critic", "7")
    recipe = RECIPES["wgan"]
    assert (options.n_critic, options.batch_size, options.clip) == (7, recipe.batch_size, recipe.clip)
    paper = read("--recipe", "wgan-paper")
    assert (paper.clip, paper.learning_rate, paper.n_critic, paper.batch_size) == (0.01, 5e-5, 5, 64)
    assert complete(Options(n_critic=7), RECIPES) == options


def test_the_default_trains_the_critic_more_often_than_the_generator():
    assert read().n_critic >= 2


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ([], ("train", "generate")),
        (["train"], ("train",)),
        (["generate"], ("generate",)),
        (["generate", "train"], ("train", "generate")),
        (["--seed", "3", "train", "--epochs", "2"], ("train",)),
        (["interpolate"], ("interpolate",)),
        (["interpolate", "train", "--frames", "5"], ("train", "interpolate")),
    ],
)
def test_steps(words, steps):
    assert read(*words).steps == steps


MISTAKES = [
    ["--epochs", "0"],
    ["--epochs", "-1"],
    ["--epochs", "1.5"],
    ["--epochs", "many"],
    ["--epochs"],
    ["--batch-size", "1"],
    ["--batch-size", "100000000"],
    ["--n-critic", "0"],
    ["--n-critic", "x"],
    ["--clip", "0"],
    ["--clip", "-0.01"],
    ["--clip", "nan"],
    ["--clip", "inf"],
    ["--clip", "wide"],
    ["--learning-rate", "0"],
    ["--learning-rate", "-1"],
    ["--learning-rate", "nan"],
    ["--learning-rate", "1e99"],
    ["--latent-dim", "0"],
    ["--latent-dim", "1000000000"],
    ["--images", "0"],
    ["--images", "-5"],
    ["--images", "1e3"],
    ["--images", "999999999999"],
    ["--images-dir", ""],
    ["--models-dir", ""],
    ["--seed", "-1"],
    ["--seed", "2147483648"],
    ["--seed", "0x10"],
    ["--recipe", "biggan"],
    ["--device", "tpu"],
    ["--data", ""],
    ["--unknown"],
    ["--epoch", "3"],
    ["dance"],
    ["train", "generate", "again"],
    ["generate", "--epochs", "3"],
    ["generate", "--resume"],
    ["train", "--images", "3"],
    ["--model", "generator.keras"],
    ["train", "--model", "generator.keras"],
    ["generate", "--model", ""],
    ["interpolate", "--images", "3"],
    ["generate", "--frames", "3"],
    ["interpolate", "--frames", "0"],
    ["interpolate", "--walk", "3"],
    ["interpolate", "--walk", "3,"],
    ["interpolate", "--walk", "1,-2"],
    ["interpolate", "--walk", "one,two"],
    ["generate", "--tensorboard", "logs"],
    ["--tensorboard", ""],
]


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_gets_one_line_and_status_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        read(*words)
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert "--help" in printed.err


def test_the_help_names_every_option_and_the_recipes_defaults(tmp_path):
    process = run_script("--help", cwd=tmp_path)
    assert process.returncode == 0
    for name in vars(Options()):
        assert name in ("steps", "number") or "--" + name.replace("_", "-") in process.stdout
    assert "wgan-paper 0.01" in " ".join(process.stdout.split()).replace("wgan- ", "wgan-")  # broken at its hyphen


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["--epochs", "0"], ["--data", "missing.npz"]])
def test_it_answers_before_tensorflow_is_loaded(words, tmp_path):
    code = f"""
import runpy, sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
sys.argv = [{str(SCRIPT)!r}, *{words!r}]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert process.returncode == (0 if words[0] in ("--help", "--version") else 2), process.stderr
    assert "AssertionError" not in process.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_summary_prints_both_networks_and_writes_nothing(tmp_path):
    process = run_script("--summary", cwd=tmp_path)
    assert process.returncode == 0
    assert "critic" in process.stdout and "generator" in process.stdout
    assert "Conv2DTranspose" in process.stdout
    assert not list(tmp_path.iterdir())
