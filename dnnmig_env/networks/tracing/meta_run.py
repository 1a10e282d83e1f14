"""Runs a copy of a module on the meta device and makes a graph of the operators that PyTorch dispatches."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.tracing.constants import Constants
from dnnmig_env.networks.tracing.examples import Call, example_call
from dnnmig_env.networks.tracing.global_caches import kept_free_of_meta
from dnnmig_env.networks.tracing.module_copy import copy_on_meta, weights_of
from dnnmig_env.networks.tracing.reasons import as_module, explain, first_line
from dnnmig_env.networks.tracing.recorder import REGISTER, Recorder
from dnnmig_env.networks.tracing.whole_calls import whole_calls


def record(
    network: Any,
    inputs: Sequence[Any],
    name: str | None,
    origin: str | None,
    state_outputs: Sequence[str | int] = (),
) -> LayerGraph:
    """Trace a module; `dnnmig_env.networks.tracing.trace`, which calls this, documents the rules."""
    module = as_module(network)
    name = name or type(module).__name__
    call = example_call(module, inputs)
    constants = Constants()
    try:
        weights = weights_of(module, constants)
        twin, others = copy_on_meta(module, constants)
    except ValueError as error:
        raise ValueError(f"cannot trace {name!r}: {error}") from error
    recorder = Recorder(constants, weights, others)
    with kept_free_of_meta(module):
        result = _run(recorder, constants, twin, call, name)
    graph = recorder.to_graph(name, result, origin or f"traced with torch {torch.__version__}", state_outputs)
    for note in recorder.notes():
        graph = replace(graph, origin=f"{graph.origin}; {note}")
    if recorder.operators_without_formula:
        names = ", ".join(recorder.operators_without_formula)
        warnings.warn(f"{name}: FLOPs of {names} count as 0; {REGISTER}.", stacklevel=3)
    return graph


def _run(recorder: Recorder, constants: Constants, module: nn.Module, call: Call, name: str) -> Any:
    """Run a module that is on the meta device; return its result."""
    arguments = call.map(lambda example: example.on_meta())
    recorder.add_inputs(arguments, call)
    recorder.follow(module)
    try:
        with (
            torch.no_grad(),
            same_random_numbers(),
            inference(module),
            whole_calls(recorder.observe, module),
            constants.values_by_request(),
            recorder,
        ):
            return module(*arguments.args, **arguments.kwargs)
    except Exception as error:  # whatever the user's own code raises
        shapes = [tuple(example.spec.shape) for example in call.leaves]
        raise ValueError(
            f"cannot trace {name!r} on inputs {shapes}: {type(error).__name__}: {first_line(error)}. "
            f"{explain(module, error)}"
        ) from error


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Put a module into inference mode, switch fused shortcuts and compilers off; restore all at the end."""
    training = [part for part in module.modules() if part.training]
    shortcut = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with suppress(NotImplementedError):  # an exported program is fixed
        module.eval()
    try:
        with torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext():
            yield  # what torch.compile has wrapped runs as it is written
    finally:
        torch.backends.mha.set_fastpath_enabled(shortcut)
        for part in training:
            part.training = True


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Let the generators of random numbers be at the end as they were before."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
