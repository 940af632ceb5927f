"""A row's whole forward and backward pass as one CUDA graph: a launch in place of thousands.

A model of 1.5 billion parameters keeps a GPU busy for a fifth of the time that Python takes to launch its kernels. Here
a graph is captured for each shape of rows when the shape is first met, the largest before all others, so that the
memory it took serves them too. Gradients stay in their place, and every row of a step adds to them. Dropout draws from
the GPU's generator, which replays advance as kernels one by one would: both ways train the same weights, bit for bit.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch

from trainer.training.row_shapes import RowShape
from trainer.training.static_rows import StaticRow


class RowGraphs:
    """Computes rows of the given shapes through ``compute``, captured if ``capture``; one that fails is not.

    ``compute`` takes a ``StaticRow`` and the step's number of labels as a tensor, adds the gradients of
    ``parameters`` and returns the loss.
    """

    def __init__(
        self,
        compute: Callable[[StaticRow, torch.Tensor], torch.Tensor],
        parameters: list[torch.nn.Parameter],
        shapes: list[RowShape],
        *,
        capture: bool,
    ):
        self.capturing = capture
        self.failure: str | None = None  # why nothing is captured
        self._compute, self._parameters, self._shapes = compute, parameters, shapes
        device = parameters[0].device
        self._rows = {shape: StaticRow(shape, device) for shape in shapes}
        self._items = torch.ones((), dtype=torch.int64, device=device)
        self._gradients = [torch.zeros_like(weights) for weights in parameters]
        self._graphs: dict[RowShape, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}
        self._pool = None

    @property
    def captured(self) -> int:
        """How many shapes are."""
        return len(self._graphs)

    def step(self, packed: torch.Tensor, shape: RowShape, items: torch.Tensor) -> torch.Tensor:
        """The loss of a row, whose gradients are added. The tensor is written anew by the next row of its shape."""
        self._hold_gradients()
        self._items.copy_(items)
        row = self._rows[shape]
        row.fill(packed)
        if self.capturing and shape not in self._graphs:
            self._capture_or_give_up(shape)
        if not self.capturing:
            return self._compute(row, self._items)
        graph, loss = self._graphs[shape]
        graph.replay()
        return loss

    def _hold_gradients(self) -> None:
        """Zero them where a step begins; transformers takes them away after each."""
        if self._parameters[0].grad is None:
            torch._foreach_zero_(self._gradients)
            for weights, own in zip(self._parameters, self._gradients, strict=True):
                weights.grad = own

    def _capture_or_give_up(self, shape: RowShape) -> None:
        try:
            if not self._graphs:
                self._warm_up(shape)
                self._capture(self._shapes[-1])
            if shape not in self._graphs:
                self._capture(shape)
        except RuntimeError as error:
            # Graphs of before are given up too: a row is computed in one way or another, not in both.
            self.capturing, self.failure = False, str(error).partition("\n")[0]
            self._graphs.clear()

    def _warm_up(self, shape: RowShape) -> None:
        """Compile and load all kernels: none can be while a graph is captured. Nothing that trains comes of it.

        Raises:
            RuntimeError: the model waits for the GPU, which cannot be captured.
        """
        mode = torch.cuda.get_sync_debug_mode()
        try:
            with torch.random.fork_rng(devices=[self._items.device]):
                self._compute(self._rows[shape], self._items)
                torch.cuda.set_sync_debug_mode("error")
                self._compute(self._rows[shape], self._items)
        finally:
            torch.cuda.set_sync_debug_mode(mode)
            torch._foreach_zero_(self._gradients)

    def _capture(self, shape: RowShape) -> None:
        graph = torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        # The backward pass is launched from a thread of its own, whose allocations are no error.
        with _stream_kept(), torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            loss = self._compute(self._rows[shape], self._items)
        self._graphs[shape] = graph, loss


@contextlib.contextmanager
def _stream_kept() -> Iterator[None]:
    """The current stream and the generator as they were, also after a capture that failed."""
    stream, generator = torch.cuda.current_stream(), torch.cuda.default_generators[torch.cuda.current_device()]
    state = generator.get_state()
    try:
        yield
    except RuntimeError:
        torch.cuda.set_stream(stream)
        # The one that was captured believes that it still is.
        generator.graphsafe_set_state(torch.Generator(generator.device).graphsafe_get_state())
        generator.set_state(state)
        raise
