"""PyTorch modules as ONNX graphs for the page: small files, the same bytes every time, no trace of this machine."""

import logging
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

OPSET = 20
SMALL = 1024  # weights of fewer numbers stay float32: they are scales and offsets, and no size is won


def to_onnx(
    module: nn.Module, example: Mapping[str, torch.Tensor], outputs: list[str], shapes: Mapping[str, dict]
) -> onnx.ModelProto:
    """The graph of a module; `example` has its inputs by name, `shapes` the dimensions of each that may vary."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            tuple(example.values()),
            input_names=list(example),
            output_names=outputs,
            dynamic_shapes=tuple(shapes[name] for name in example),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        path = Path(folder) / "graph.onnx"
        program.save(str(path), external_data=False)
        graph = onnx.load(path)
    del graph.metadata_props[:]
    for node in graph.graph.node:  # the exporter's traces of source lines: paths of this machine
        del node.metadata_props[:]
        node.ClearField("doc_string")
    return graph


def halve(graph: onnx.ModelProto, prefix: str) -> None:
    """Store the large weights whose names begin with `prefix` in float16; a runtime casts them when it loads them."""
    small = {}
    for weights in graph.graph.initializer:
        values = numpy_helper.to_array(weights)
        if weights.name.startswith(prefix) and values.dtype == np.float32 and values.size >= SMALL:
            small[weights.name] = (values.astype(np.float16), None)
    store(graph, small)


def store(graph: onnx.ModelProto, small: Mapping[str, tuple[np.ndarray, np.ndarray | None]]) -> None:
    """Store weights in another type, times a float32 scale that may be None; a runtime folds both when it loads."""
    made = []
    for weights in list(graph.graph.initializer):
        if weights.name not in small:
            continue
        name = weights.name
        values, scale = small[name]
        if list(weights.dims) != list(values.shape):
            raise ValueError(f"{name}: {values.shape} for {list(weights.dims)}")
        weights.CopyFrom(numpy_helper.from_array(values, f"{name}.small"))
        cast = name if scale is None else f"{name}.cast"
        made.append(helper.make_node("Cast", [f"{name}.small"], [cast], to=TensorProto.FLOAT))
        if scale is not None:
            graph.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
            made.append(helper.make_node("Mul", [cast, f"{name}.scale"], [name]))
    nodes = [*made, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    onnx.checker.check_model(graph)
