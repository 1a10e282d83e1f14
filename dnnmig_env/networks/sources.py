"""Finds the network that a command line names (a library's model, an ONNX file, the user's code) and traces it."""

from __future__ import annotations

import importlib
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.measured_profile import Profile
from dnnmig_env.networks.onnx.inputs import Given
from dnnmig_env.networks.onnx.reader import import_onnx
from dnnmig_env.networks.profiling.measure import Effort, measure
from dnnmig_env.networks.tracing import InputSpec, parse_inputs, trace
from dnnmig_env.networks.tracing.constants import ValuesNeededError
from dnnmig_env.networks.tracing.libraries import LIBRARIES, Make, Recipe, with_weights, without_memory


def trace_source(
    source: str, inputs: Sequence[InputSpec] = (), name: str | None = None, given: Given | None = None
) -> LayerGraph:
    """Trace the network that a command line names.

    Args:
        source: `torchvision:NAME`, `timm:NAME`, `transformers:NAME`, `FILE.onnx`, or `package.module:callable`, where
            the callable (or class) makes a torch module when called without arguments, or is itself such a module.
        inputs: The network's inputs; needed for the user's own code.
        name: Name of the network; by default it follows from the source.
        given: What is known of the inputs of an ONNX file besides.

    Raises:
        ValueError: If the source cannot be found or traced.
    """
    if source.endswith(".onnx"):
        return import_onnx(source, *(entry.shape for entry in inputs), name=name, given=given)
    if given not in (None, Given()):
        raise ValueError(f"{source} is no ONNX file; only such files have dimensions by name, input values and state.")
    recipe = find(source, inputs)
    name, origin = name or name_of(source), origin_of("trace", source, recipe)
    try:
        return trace(recipe.module, *recipe.inputs, name=name, origin=origin)
    except ValueError as error:
        if not isinstance(error.__cause__, ValuesNeededError):
            raise
    recipe = find(source, inputs, with_weights)  # its buffers may have the values that it asks for
    return trace(recipe.module, *recipe.inputs, name=name, origin=origin)


def measure_source(
    source: str,
    inputs: Sequence[InputSpec] = (),
    name: str | None = None,
    max_layers: int | None = None,
    effort: Effort | None = None,
    machine: str | None = None,
    on_round: Callable[[int], None] = lambda number: None,
) -> Profile:
    """Measure seconds per layer of the network that a command line names, with random weights.

    Args:
        source: As for `trace_source`, but no ONNX file.
        inputs: As for `trace_source`.
        name: As for `trace_source`.
        max_layers: As for `measure`, like the arguments that follow.
        effort: How to measure.
        machine: The machine in words.
        on_round: Function that is called with the number of a round when the round begins.

    Raises:
        ValueError: If the source cannot be found, traced, or executed.
    """
    if source.endswith(".onnx"):
        raise ValueError(f"{source} cannot be executed here, only traced; give the torch module that it came from.")
    effort = effort or Effort()
    recipe = find(source, inputs, with_weights)
    options = "".join(
        f" --{key.replace('_', '-')} {shlex.quote(str(value))}"
        for key, value in {"name": name, "max_layers": max_layers, **effort.unusual()}.items()
        if value is not None
    )
    origin = origin_of("profile", source, recipe, options)
    return measure(
        recipe.module,
        *recipe.inputs,
        name=name or name_of(source),
        max_layers=max_layers,
        effort=effort,
        machine=machine,
        origin=origin,
        on_round=on_round,
    )


def find(source: str, inputs: Sequence[InputSpec] = (), make: Make = without_memory) -> Recipe:
    """Build the module that a command line names.

    Args:
        source: As for `trace_source`, but no ONNX file.
        inputs: As for `trace_source`.
        make: How the module is built, `without_memory` or `with_weights`.

    Raises:
        ValueError: If the source cannot be found, or its inputs are not known.
    """
    place, separator, attribute = source.partition(":")
    if not (place and separator and attribute):
        raise ValueError(
            f"source is {source!r}; give torchvision:NAME, timm:NAME, transformers:NAME, FILE.onnx or "
            "package.module:callable."
        )
    if place not in LIBRARIES:
        recipe = Recipe(_own_module(place, attribute, make), (), "")
    else:
        recipe = LIBRARIES[place](attribute) if make is without_memory else LIBRARIES[place](attribute, make)
    recipe = replace(recipe, inputs=tuple(inputs) or recipe.inputs)
    if not recipe.inputs:
        raise ValueError(f"{source} does not say what its inputs are; give --input-shape, e.g. 1 3 224 224.")
    return recipe


def read_inputs(
    source: str, shapes: Sequence[str], values: Sequence[str] = (), state: Sequence[str] = ()
) -> tuple[tuple[InputSpec, ...], Given | None]:
    """Read what a command line says of a network's inputs.

    Args:
        source: As for `trace_source`.
        shapes: As for `parse_inputs`; the names are those of an ONNX file's inputs and dynamic dimensions
            (`image=1x3x224x224 sequence=128`).
        values: For an ONNX file the values of inputs that decide its course (`rate=16000 use_cache=true`).
        state: For an ONNX file the names of further inputs, and of outputs, that are state, or `none`.

    Raises:
        ValueError: If a word cannot be read.
    """
    specs = parse_inputs(shapes)
    if not source.endswith(".onnx"):
        if values or state:
            raise ValueError(f"{source} is no ONNX file; give example values from Python, and mark state by :state.")
        return specs, None
    named = [entry for entry in specs if entry.name]
    inputs = tuple(entry for entry in specs if not entry.name)
    if any(entry.state for entry in inputs):
        raise ValueError("an input with :state has no name; give NAME=SHAPE:state, or --state NAME.")
    return inputs, Given(
        element_types=[entry.dtype if entry.dtype != "float32" else "" for entry in inputs],
        sizes={entry.name: entry.shape[0] if len(entry.shape) == 1 else entry.shape for entry in named},
        values=dict(_input_value(word) for word in values),
        state=None if not state else () if list(state) == ["none"] else tuple(state),
        marked=[entry.name for entry in named if entry.state],
    )


def name_of(source: str) -> str:
    """Return the name that a network takes from its source if it is given none.

    It is the name within a library (`resnet50.a1_in1k`), and the last part of the user's own code.
    """
    place, _, name = source.partition(":")
    return name if place in LIBRARIES else source.rpartition(":")[2].rpartition(".")[2]


def _input_value(word: str) -> tuple[str, float]:
    name, separator, value = word.rpartition("=")
    numbers = {"true": 1.0, "false": 0.0}
    try:
        number = numbers.get(value.lower())
        if name and separator:
            return name, float(value) if number is None else number
    except ValueError:
        pass
    raise ValueError(f"input value is {word!r}; give NAME=VALUE with a number, true or false, e.g. rate=16000.")


def origin_of(command: str, source: str, recipe: Recipe, options: str = "") -> str:
    """Return how a result was made from a source: the command, a semicolon, and the versions of the libraries."""
    versions = f"{recipe.version}, torch {torch.__version__}".removeprefix(", ")
    shapes = " ".join(map(str, recipe.inputs))
    return f"python -m dnnmig_env {command} {source} --input-shape {shapes}{options}; {versions}"


def _own_module(place: str, attribute: str, make: Make) -> nn.Module:
    if "" not in sys.path:  # `python -m` has it there, other ways to start may not
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(place)
        for part in attribute.split("."):
            found = getattr(found, part)
        module = found if isinstance(found, nn.Module) else make(found)
    except Exception as error:  # whatever the user's own code raises
        reason = (str(error) or "no message").splitlines()[0].rstrip(".")
        raise ValueError(
            f"cannot build {place}:{attribute}: {type(error).__name__}: {reason}; give an importable module and a "
            "callable without arguments."
        ) from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"{place}:{attribute} makes a {type(module).__name__}; give one that makes a torch.nn.Module.")
    return module
