"""A small model of the tests' own, and pictures for it."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE, DIMENSION = 16, 16


def weights(channels: int = 3) -> NDArray[np.float32]:
    """Return the model: what each number of its input adds to each of its output."""
    random = np.random.default_rng(5)
    size = (channels * SIDE * SIDE, DIMENSION)
    return random.standard_normal(size).astype(np.float32)


def write_model(
    folder: Path,
    *,
    layout: str = "channels-first",
    colours: str = "rgb",
    more: str = "",
    dimension: int = DIMENSION,
) -> Path:
    """Write an ONNX file of one matrix, and the TOML file beside it."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - slow to load

    channels = 1 if colours == "grey" else 3
    first = layout == "channels-first"
    shape = (1, channels, SIDE, SIDE) if first else (1, SIDE, SIDE, channels)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "matrix"], ["vector"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, (1, DIMENSION))],
        [numpy_helper.from_array(weights(channels), "matrix")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    data = model.SerializeToString()
    (folder / "tiny.onnx").write_bytes(data)
    path = folder / "tiny.toml"
    path.write_text(
        'version = 1\nextractor = "test"\nextractor_version = "1"\n'
        f'file = "tiny.onnx"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'
        f"dimension = {dimension}\n"
        f"[input]\nwidth = {SIDE}\nheight = {SIDE}\n"
        f'colours = "{colours}"\nlayout = "{layout}"\n'
        f"mean = [127.5]\nscale = [0.0078125]\n{more}"
    )
    return path


def noise(seed: int, side: int = 32) -> NDArray[np.uint8]:
    """Return the pixels of a picture that shows nothing."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (side, side, 3), np.uint8)


def encoded(pixels: NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
    """Return a picture's file."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()
