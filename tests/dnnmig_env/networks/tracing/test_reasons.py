"""Each cause for which a network cannot be traced has a sentence of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import library as operators

from dnnmig_env.networks.tracing import InputSpec, trace

LINEAR = nn.Linear(3, 3)
LINEAR_OF_HALVES = nn.Linear(3, 3).half()


class Computing(nn.Module):
    """A linear layer, and a function of what it returns."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(3, 3), function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.linear(x))


class Batch(nn.Module):
    def forward(self, batch: Any) -> Tensor:
        result: Tensor = batch["image"] * 2
        return result


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.eye(3).to_sparse())


class Wrapper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(3, 3)


Wrapper.__module__ = "ultralytics.engine.model"


class Pair(nn.Module):
    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return ids * mask


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (LINEAR.forward, "a method is no torch.nn.Module; write a module that has all weights as attributes"),
        (lambda x: LINEAR(x), "a function is no torch.nn.Module; write a module"),
        (nn.Linear, r"Linear is a class; give a module of it, such as Linear\(\)"),
        (LINEAR.state_dict(), "is no network; load it into the module"),
        ("resnet50", "a str is no torch.nn.Module; give a module"),
        (Wrapper(), r"Wrapper reads pictures and selects boxes around the network; give Wrapper\(...\).model"),
        (nn.LazyLinear(3), "its weight 'weight' has no shape yet; run the module once on a real input first"),
        (Sparse(), r"its weight 'table' is no dense tensor \(torch.sparse_coo\); give a module"),
        (Computing(lambda y: y.to_sparse()), "It computes with sparse tensors, whose work depends on their values"),
        (Computing(lambda y: torch.from_numpy(y.numpy())), r"numpy\(\) takes a tensor out of torch. What NumPy or"),
        (Computing(lambda y: y * y.tolist()[0][0]), r"tolist\(\) takes a tensor out of torch. What NumPy or Python"),
        (Computing(lambda y: y if y.sum() > 0 else -y), "control flow depends on tensor values"),
        (Computing(lambda y: y[y > 0]), "the size of what index returns depends on values. Its control flow depends"),
        (Computing(lambda y: y.nonzero()), "the size of what nonzero returns depends on values"),
        (
            Batch(),
            r"Its forward takes \(batch\); if it wants anything but tensors \(a dictionary, a list, texts\), wrap",
        ),
        (Pair(), r"missing 1 required positional argument: 'mask'. Its forward takes \(ids, mask\): give one input"),
        (
            Computing(lambda y: torch.cond(y.sum() > 0, torch.exp, torch.sin, (y,))),
            "It uses an operator that runs other",
        ),
        (nn.ModuleList([LINEAR]), "It is a container; give a module that says in `forward` what it computes"),
        (nn.Linear(4, 3), "Check the input shapes and element types"),
        (LINEAR_OF_HALVES, "addmm has operands of the types float16 and float32. Give the inputs the element type of"),
        (Computing(lambda y: torch.autograd.grad(y.sum(), y)), "It computes gradients of what it computes, but a"),
        (nn.Identity(), "no output is computed from its input"),
    ],
)
def test_a_cause_and_its_remedy(network: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        trace(network, (1, 3))
    assert "\n" not in str(caught.value)
    assert ("maximum" in str(caught.value)) == ("control flow" in str(caught.value))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch, about what it replaces
def test_scripted_exported_and_quantised_modules() -> None:
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    costs = [(layer.flops, layer.weight_bytes, layer.output_bytes) for layer in trace(plain, (1, 3)).layers]
    traced = torch.jit.trace(plain, torch.rand(1, 3))
    exported = torch.export.export(plain, (torch.rand(1, 3),))
    for network in (torch.jit.script(plain), traced, exported):
        graph = trace(network, (1, 3))
        assert [(layer.flops, layer.weight_bytes, layer.output_bytes) for layer in graph.layers] == costs
        assert [layer.name for layer in graph.layers] == ["0", "relu", "2"]
    assert all(parameter.device.type == "cpu" for parameter in plain.parameters())
    with pytest.raises(ValueError, match=r"cannot trace 'Recursive.*Check the input"):
        trace(torch.jit.script(plain), (1, 5))
    quantised = torch.ao.quantization.quantize_dynamic(plain, {nn.Linear})
    with pytest.raises(ValueError, match="Quantised modules run on their own kernels only; give the module before"):
        trace(quantised, (1, 3))


def test_an_operator_without_a_rule_for_shapes() -> None:
    with operators._scoped_library("dnnmig_test", "DEF") as library:
        library.define("blind(Tensor x) -> Tensor")
        library.impl("blind", lambda x: x + 1, "CPU")
        with pytest.raises(ValueError, match=r"does not say which shape its result has; .*register_fake"):
            trace(Computing(lambda y: torch.ops.dnnmig_test.blind(y)), (1, 3))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there, which the module may ask for")
def test_a_device_of_its_own_choice() -> None:
    with pytest.raises(ValueError, match="It holds or makes tensors on a device of its own choice; make them where"):
        trace(Computing(lambda y: y + torch.ones(3).cuda()), (1, 3))


def test_element_types_that_autocast_makes_equal_are_not_refused() -> None:
    assert trace(LINEAR_OF_HALVES, InputSpec((1, 3), "float16")).input_bytes == 6
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert trace(LINEAR_OF_HALVES, (1, 3)).weight_bytes.tolist() == [24]


def test_what_needs_no_refusal() -> None:
    moved = trace(Computing(lambda y: y.cpu().to("cpu", torch.float64).relu()), (1, 3))
    assert [layer.name for layer in moved.layers] == ["linear", "to_copy", "relu"]  # to where it is: no operator
    assert moved.layers[1].output_bytes == 24
    complex_numbers = trace(Computing(lambda y: torch.fft.fft(y).abs()), (1, 3))
    assert [layer.name for layer in complex_numbers.layers] == ["linear", "fft_r2c", "abs"]
    graph = trace(nn.Linear(3, 4, dtype=torch.complex64), InputSpec((1, 3), "complex64"))
    assert (graph.weight_bytes.sum(), graph.input_bytes) == (8 * 16, 24)
    in_place = trace(Computing(lambda y: y.unsqueeze_(0).squeeze_(0).t_().exp()), (1, 3))
    assert [layer.name for layer in in_place.layers] == ["linear", "exp"]  # these change no memory
