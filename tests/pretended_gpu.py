"""A CUDA device that is only pretended: tensors on it lie in CPU memory, but may not meet tensors of the CPU.

What happens on a GPU silently and costs time is counted: the host waiting for the device, and copies to it. Tensors say
``cuda`` in Python; for PyTorch's own code they are on its device ``lazy``, as one called cuda needs a driver there
(fake tensors have one without, but not in a backward pass, and no values, which evaluations branch on).
"""

import collections
import contextlib
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only

GPU, INSIDE = torch.device("cuda", 0), torch.device("lazy", 0)
aten = torch.ops.aten
# The host has to know a result, or the size of one.
WAITING = {
    aten._local_scalar_dense.default, aten.is_nonzero.default, aten.equal.default, aten.nonzero.default,
    aten.masked_select.default, aten._unique2.default, aten.unique_dim.default, aten.repeat_interleave.Tensor,
    aten.bincount.default, aten._linalg_check_errors.default, aten._linalg_solve_ex.default,
    aten._linalg_svd.default, aten.cholesky_inverse.default,
}  # fmt: skip


class OnGpu(Tensor):
    """A tensor of the pretended device; ``held`` lies on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=INSIDE
        )
        made.held = held
        return made

    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, given: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} outside of pretended_gpu")

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            copied = self.detach().clone().requires_grad_(self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                copied = torch.nn.Parameter(copied, self.requires_grad)
            memo[id(self)] = copied
        return memo[id(self)]

    def __repr__(self, **options: Any) -> str:
        return f"OnGpu({self.held!r})"


class _Devices(TorchFunctionMode):
    """Passes ``lazy`` on for ``cuda``, before PyTorch asks for a driver."""

    def __torch_function__(self, func: Any, given: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map_only(torch.device, _inside, (args, kwargs or {}))
        if func is Tensor.to and args[1] == "cuda":
            args = (args[0], INSIDE, *args[2:])
        if str(kwargs.get("device", "")).startswith("cuda"):
            kwargs["device"] = INSIDE
        if func in (Tensor.tolist, Tensor.__format__) and isinstance(args[0], OnGpu):
            args = (args[0].cpu(), *args[1:])
        return func(*args, **kwargs)


def _seen(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with _Devices():
            return function(*args, **kwargs)

    return run


def _inside(device: torch.device) -> torch.device:
    return INSIDE if device.type == "cuda" else device


class PretendedGpu(TorchDispatchMode):
    """Computes on the CPU what is asked of the device, and counts.

    ``waits`` counts, by operation, what lets the host wait for the device; a copy from memory that is not pinned, or
    that is not asked to be asynchronous, is one. ``copies`` counts copies from host to device, ``operations`` the rest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: collections.Counter[str] = collections.Counter()
        self.copies = self.operations = 0
        self._pinned: set[int] = set()

    def reset(self) -> None:
        """Counts from 0."""
        self.waits.clear()
        self.copies = self.operations = 0

    def pin(self, tensor: Tensor) -> Tensor:
        """What ``Tensor.pin_memory`` does: a copy in pinned memory."""
        assert not isinstance(tensor, OnGpu), "only memory of the host can be pinned"
        pinned = tensor.clone()
        self._pinned.add(pinned.untyped_storage().data_ptr())
        return pinned

    def wait(self, *given: Any) -> None:
        """Counts a synchronisation that was asked for."""
        self.waits["synchronize"] += 1

    def __torch_dispatch__(self, func: Any, given: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        is_for_gpu = "device" in kwargs and kwargs["device"] is not None and kwargs["device"].type == "lazy"
        tensors = [value for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)]
        if not is_for_gpu and not any(isinstance(value, OnGpu) for value in tensors):
            return func(*args, **kwargs)
        self._note(func, args, kwargs, tensors, is_for_gpu)
        if func is aten._to_copy.default and "device" in kwargs and not is_for_gpu:
            return func(args[0].held, **kwargs)
        if func is aten.copy_.default and not isinstance(args[0], OnGpu):
            return func(args[0], args[1].held, *args[2:])
        if func not in (aten._to_copy.default, aten.copy_.default):
            require_one_device(func, args, tensors)
        if "device" in kwargs:
            kwargs = kwargs | {"device": torch.device("cpu")}
        held_args, held_kwargs = tree_map_only(OnGpu, lambda tensor: tensor.held, (args, kwargs))
        found = func(*held_args, **held_kwargs)
        if func.overloadpacket.__name__.endswith("_"):
            return args[0] if isinstance(found, Tensor) else found
        return tree_map_only(Tensor, OnGpu, found)

    def _note(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor], is_for_gpu: bool) -> None:
        if func in (aten._to_copy.default, aten.copy_.default):
            source = args[1] if func is aten.copy_.default else args[0]
            goes_there = isinstance(args[0], OnGpu) if func is aten.copy_.default else is_for_gpu
            if not isinstance(source, OnGpu) and goes_there:
                self.copies += 1
                is_asynchronous = kwargs.get("non_blocking", args[2:] == (True,))
                if not is_asynchronous or source.untyped_storage().data_ptr() not in self._pinned:
                    self.waits["copy to the device"] += 1
                return
            if isinstance(source, OnGpu) and not goes_there and (func is aten.copy_.default or "device" in kwargs):
                self.waits["copy from the device"] += 1
                return
        self.operations += 1
        name = func.overloadpacket.__name__
        if func in WAITING:
            self.waits[name] += 1
        if "index" in name and isinstance(args[0], OnGpu) and len(args) > 1 and isinstance(args[1], Sequence):
            for index in args[1]:
                if isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8):
                    self.waits[f"{name} by a mask"] += 1
                elif isinstance(index, Tensor) and not isinstance(index, OnGpu):
                    self.waits[f"{name} by an index of the host"] += 1


def require_one_device(func: Any, args: Any, tensors: list[Tensor]) -> None:
    """Raises as PyTorch does where tensors of different devices meet; it lets single numbers and indices through."""
    has_indices = "index" in func.overloadpacket.__name__ and len(args) > 1 and isinstance(args[1], Sequence)
    indices = {id(index) for index in args[1]} if has_indices else set()
    here = [t for t in tensors if not isinstance(t, OnGpu) and t.ndim > 0 and id(t) not in indices]
    if here and any(isinstance(tensor, OnGpu) for tensor in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device: {func}, {[t.device for t in tensors]}")


class _Generator(torch.Generator):
    """A generator of the device that is asked for; its numbers are the CPU's."""

    def __new__(cls, device: Any = "cpu") -> "_Generator":
        made = super().__new__(cls)
        made.asked_for = torch.device(device)  # type: ignore[attr-defined]
        return made

    device = property(lambda self: GPU if self.asked_for.type == "cuda" else self.asked_for)  # type: ignore[assignment]


class _Event:
    """Time on the pretended device passes with the operations that it is given."""

    def __init__(self, gpu: PretendedGpu) -> None:
        self._gpu, self._at = gpu, 0

    def record(self) -> None:
        self._at = self._gpu.operations

    def elapsed_time(self, later: "_Event") -> float:
        return float(later._at - self._at)


@contextlib.contextmanager
def pretended_gpu() -> Iterator[PretendedGpu]:
    """While the context is open, ``torch.device('cuda')`` can be computed on."""
    gpu = PretendedGpu()
    properties = types.SimpleNamespace(total_memory=2**33, name="pretended")
    doing: dict[str, Callable[..., Any]] = {
        "synchronize": gpu.wait,
        "is_available": lambda: False,  # else Adam asks the driver for a stream
        "device_count": lambda: 8,
        "get_device_capability": lambda device=None: (8, 0),
        "get_device_name": lambda device=None: properties.name,
        "get_device_properties": lambda device=None: properties,
        "get_per_process_memory_fraction": lambda device=None: 1.0,
        "get_rng_state": lambda device=None: torch.zeros(1),
        "set_rng_state": lambda state, device=None: None,
        "Event": lambda enable_timing=False: _Event(gpu),
    }
    with contextlib.ExitStack() as patches:
        for name, done in doing.items():
            patches.enter_context(mock.patch.object(torch.cuda, name, done))
        patches.enter_context(mock.patch.object(torch.Tensor, "pin_memory", lambda tensor: gpu.pin(tensor)))
        patches.enter_context(mock.patch.object(torch, "Generator", _Generator))
        # What PyTorch runs for a function is out of the mode's sight; a backward pass runs code of ours.
        run_backward = torch.autograd._engine_run_backward
        patches.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", _seen(run_backward)))
        patches.enter_context(_Devices())
        patches.enter_context(gpu)
        yield gpu
