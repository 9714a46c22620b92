"""Keras models: saved whole or not at all, loaded without running their code, errors in one line."""

import json
import os
import zipfile
from pathlib import Path

from support.errors import InputError
from support.lazy import keras, np
from support.outputs.files import checksum, kind, write_whole

# The classes that a model file may use, by module. Keras's safe mode is not enough: in Keras 3.12 it loads a TFSMLayer,
# whose graph may write files. A layer of a future Keras is refused until it is added here.
ALLOWED = {
    None: "__keras_tensor__",
    "keras": "DTypePolicy Sequential",
    "keras.src.models.functional": "Functional",
    "keras.layers": """
        Activation Add AlphaDropout Attention Average AveragePooling2D BatchNormalization Concatenate Conv1D
        Conv1DTranspose Conv2D Conv2DTranspose Cropping2D Dense DepthwiseConv2D Dot Dropout ELU Flatten GaussianDropout
        GaussianNoise GlobalAveragePooling2D GlobalMaxPooling2D GroupNormalization Identity InputLayer
        LayerNormalization LeakyReLU MaxPooling2D Maximum Minimum MultiHeadAttention Multiply PReLU Permute
        RMSNormalization ReLU RepeatVector Rescaling Reshape Resizing SeparableConv2D Softmax SpatialDropout2D
        SpectralNormalization Subtract UnitNormalization UpSampling2D ZeroPadding2D""",
    "keras.src.ops.numpy": "Add Concatenate Divide Multiply Negative Reshape Subtract Tanh Transpose TrueDivide",
    "keras.initializers": """
        Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal
        RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros""",
    "keras.regularizers": "L1 L1L2 L2 OrthogonalRegularizer",
    "keras.constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm",
    "keras.random": "SeedGenerator",
}
ALLOWED = {(module, name) for module, names in ALLOWED.items() for name in names.split()}
FOLDER = Path(__file__).parents[1] / "saved_models/pretrained"
PRETRAINED = {name: FOLDER / name / "generator.keras" for name in ("wgan", "cwgan")}  # names that --model takes
# Settings that Keras 3.13 to 3.15 write and 3.12 refuses, with their defaults.
LATER_SETTINGS = {
    "quantization_config": None, "renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99, "input_axes": None,
    "output_axes": None,
}  # fmt: skip
MOST_CONFIG = 2**22  # bytes; the configuration of the default generator has 7,000


def save_model(model, path):
    """Saves a model whole or not at all. It loads without this program, in Keras 3.12 or newer."""

    def without_later_settings(settings):
        return {name: value for name, value in settings.items() if LATER_SETTINGS.get(name, "") != value}

    with write_whole(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as file:
            members = {name: file.read(name) for name in file.namelist()}
        members["config.json"] = json.dumps(json.loads(members["config.json"], object_hook=without_later_settings))
        with zipfile.ZipFile(temporary, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)


def find_generator(options):
    """The generator that `options` name, and a dictionary with its path and checksum. Raises InputError."""
    path = PRETRAINED.get(options.model) or Path(options.model or Path(options.models_dir, "generator.keras"))
    generator = load_generator(path)
    return generator, {"model": str(path), "sha256": checksum(path)}


def load_generator(path):
    """The generator in a .keras file. Raises InputError. No code in the file is run."""
    found, hint = kind(path), "train a generator first, or name one with --model"
    if path in PRETRAINED.values():
        hint = "it comes with the repository: git checkout saved_models/pretrained"
    if found != "file":
        raise InputError(f"{path}: {found}; {hint}")
    if not str(path).endswith(".keras"):  # by other names, Keras reads other formats, and runs code in them
        raise InputError(f"{path}: its name does not end with .keras; {hint}")
    try:
        saved_by, config = _read_description(path)
        foreign = _foreign(config)
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{path}: is not a .keras file, or is damaged ({str(error)[:200]}); get it again") from None
    if foreign:
        raise InputError(f"{path}: holds {foreign}; it could run code, so it is not loaded; use layers of {__file__}")
    try:
        generator = keras.models.load_model(path, compile=False, safe_mode=True)
        fault = _fault(generator)
    except Exception as error:  # an unusual file can make Keras raise anything
        reason = f"(saved by {saved_by}); if that is newer: pip install -U keras: {str(error)[:200]}"
        raise InputError(f"{path}: Keras {keras.__version__} cannot load it {reason}") from None
    if fault:
        raise InputError(f"{path}: is not a generator from latent vectors to 28x28x1 images; it {fault}")
    return generator


def _read_description(path):
    """The version of Keras that saved a model file, and its configuration. Raises ValueError if the file is a bomb."""
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        packed, unpacked = os.path.getsize(path), sum(sizes.values())
        if unpacked > 10 * 2**20 + 20 * packed:  # compression makes models less than ten times smaller
            raise ValueError(f"its {packed:,} bytes claim to hold {unpacked:,}")
        if sizes.get("config.json", 0) > MOST_CONFIG:
            raise ValueError(f"config.json has {sizes['config.json']:,} bytes, more than {MOST_CONFIG:,}")
        return json.loads(archive.read("metadata.json"))["keras_version"], json.loads(archive.read("config.json"))


def _foreign(config):
    """Words for an object in a model's configuration that is not in ALLOWED; None if all are."""
    # Keras builds every object with a class_name, at any depth, and prefers the class registered as registered_name.
    # It drops the optimizer and the loss when it is asked not to compile.
    waiting = [{key: value for key, value in config.items() if key != "compile_config"}]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict) and "class_name" in part:
            module, name = part.get("module"), part["class_name"]
            if (module, name) not in ALLOWED or part.get("registered_name") not in (None, name):
                return f"{str(name)[:80]!r} of {str(module)[:80]!r}, which is not known to be safe"
        if isinstance(part, (dict, list)):
            waiting += part.values() if isinstance(part, dict) else part
    return None


def _fault(generator):
    """Why a Keras model is not a generator of digits, in words; None if it is one. Draws two images to find out."""
    taken, given = generator.input_shape, generator.output_shape
    if not isinstance(taken, tuple) or len(taken) != 2 or not isinstance(taken[1], int) or given != (None, 28, 28, 1):
        return f"maps {taken} to {given}"
    if any(isinstance(getattr(generator, end, None), dict) for end in ("input", "output")):
        return "has a dictionary as input or output; build it from one tensor to one tensor"
    types = [end.dtype for end in (*generator.inputs, *generator.outputs)]
    if not all("float" in name for name in types):
        return f"maps {' to '.join(types)}, not float to float"
    latent = np.random.default_rng(0).normal(size=(2, taken[1])).astype(np.float32)
    images = np.asarray(generator(latent, training=False), np.float32)
    return None if np.isfinite(images).all() else "draws values that are not finite (NaN): its weights are damaged"
