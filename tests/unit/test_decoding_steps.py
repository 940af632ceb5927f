"""Steps that are launched at once: which are captured, and what is refused.

There is no GPU here: a stand-in for a graph runs the step again that it was captured from, on the same tensors.
"""

import random

import pytest

from tests.tiny_models import replying_llama

ENDS, MORE = [39], 40


@pytest.fixture(scope="module")
def model():
    return replying_llama()


@pytest.fixture(scope="module")
def sequences():
    rng = random.Random(1)
    return [[rng.randint(0, 39) for _ in range(rng.randint(1, 300))] for _ in range(40)]


def replies(model, sequences, rows=16):
    import torch

    from fixtures.engines.greedy_decoding import greedy_replies
    from fixtures.engines.memory import Bounds

    with torch.inference_mode():
        return greedy_replies(model, sequences, torch.tensor(ENDS), MORE, bounds=Bounds(rows=rows))


class Graph:
    def __init__(self, steps, rows, width):
        self._step = lambda: steps._state.step(steps._model, rows, width)
        self.replays = 0

    def replay(self):
        self.replays += 1
        self._step()


@pytest.fixture
def captured(monkeypatch):
    """Graphs by rows and columns, of steps that a stand-in captures."""
    from fixtures.engines import decoding_steps

    init, graphs = decoding_steps.DecodingSteps.__init__, {}

    def on_gpu(self, *given, **named):
        init(self, *given, **named)
        self.graphs, self._together = True, 4

    def step(self, rows, width):
        self._state.step(self._model, rows, width)
        return True

    def capture(self, rows, width):
        assert (rows, width) not in graphs, "captured twice"
        graphs[rows, width] = Graph(self, rows, width)
        return graphs[rows, width]

    monkeypatch.setattr(decoding_steps.DecodingSteps, "__init__", on_gpu)
    monkeypatch.setattr(decoding_steps.DecodingSteps, "_stepped_without_waiting", step)
    monkeypatch.setattr(decoding_steps.DecodingSteps, "_capture", capture)
    return graphs


def test_replies_are_the_same_and_few_graphs_are_captured(model, sequences, monkeypatch, request):
    expected = replies(model, sequences)
    graphs = request.getfixturevalue("captured")
    assert replies(model, sequences) == expected
    assert {rows for rows, _ in graphs} <= {16, 2}
    assert all(width % 256 == 0 or width == max(map(len, sequences)) + MORE for _, width in graphs)
    assert sum(graph.replays for graph in graphs.values()) > 5 * len(graphs)


def test_a_graph_that_says_otherwise_is_not_used(model, sequences, captured, monkeypatch):
    from fixtures.engines.reply_rows import ReplyRows

    states, step = [], ReplyRows.step

    def replay(self):
        self.replays += 1
        self._step()
        states[-1].next_tokens.add_(1)

    def noted(self, *given):
        states.append(self)
        step(self, *given)

    monkeypatch.setattr(ReplyRows, "step", noted)
    monkeypatch.setattr(Graph, "replay", replay)
    found = replies(model, sequences)
    (graph,) = captured.values()
    assert graph.replays == 1, "only to try it"
    monkeypatch.undo()
    assert found == replies(model, sequences)


def test_where_nothing_can_be_captured_steps_go_on_as_they_are(model, sequences, captured, monkeypatch):
    from fixtures.engines import decoding_steps

    tried = []
    monkeypatch.setattr(decoding_steps.DecodingSteps, "_capture", lambda *given: tried.append(given))
    found = replies(model, sequences)
    assert len(tried) == 1
    monkeypatch.undo()
    assert found == replies(model, sequences)


def test_a_step_in_which_the_host_waits_is_made_again_and_none_is_captured(model, sequences, captured, monkeypatch):
    from fixtures.engines import decoding_steps

    def halfway(self, rows, width):
        self._state.step(self._model, rows, width)
        return False

    monkeypatch.setattr(decoding_steps.DecodingSteps, "_stepped_without_waiting", halfway)
    found = replies(model, sequences)
    assert not captured
    monkeypatch.undo()
    assert found == replies(model, sequences)


def test_what_is_looked_at_in_float32_is_not_captured():
    """Its weights are others while it is."""
    from fixtures.engines.answer_kinds import _BRIEF
    from fixtures.engines.decoding_steps import _FEW

    assert _BRIEF <= _FEW


def test_on_a_gpu_graphs_say_what_steps_say(sequences, monkeypatch):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    from transformers import LlamaConfig, LlamaForCausalLM

    from fixtures.engines import decoding_steps
    from fixtures.engines.greedy_decoding import GreedyReplies
    from fixtures.engines.grouped_attention import register_grouped_attention
    from fixtures.engines.memory import Bounds

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.3}
    model = LlamaForCausalLM(LlamaConfig(**heads, **sizes)).eval().to("cuda", torch.bfloat16)
    model.set_attn_implementation(register_grouped_attention())

    def answered():
        batch = GreedyReplies(model, sequences, torch.tensor(ENDS, device="cuda"), MORE, bounds=Bounds(rows=16))
        found = dict(batch)
        return [found[place] for place in range(len(sequences))], batch._steps

    with torch.inference_mode():
        found, steps = answered()
        assert steps.graphs and steps._captured
        monkeypatch.setattr(decoding_steps, "_FEW", MORE)
        plain, steps = answered()
    assert not steps._captured
    assert sum(one == other for one, other in zip(found, plain, strict=True)) >= 36, "but for rounding, of forty"
