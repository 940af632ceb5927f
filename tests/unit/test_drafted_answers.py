"""Answers with drafts: whose they are, what becomes of them, and that an answer is the one without."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.adapters.scale import Scale, parse_scale
from fixtures.answers.obtaining import Answers
from fixtures.questions.spider.suite import SPIDER
from fixtures.store.answer_store import AnswerStore
from fixtures.store.claims import Claims
from fixtures.study.study import Asking, Places, Study
from tests.tiny_architectures import save_tiny
from trainer.prompts import Prompt
from trainer.study.experiment import load_experiment
from trainer.study.settings import BaseModelSettings

BASE = Adapter("base", "base", "base")
MORE = 20
TEXTS = [f"SELECT name FROM singer WHERE age > {'1' * (place % 7)}{place}" for place in range(12)]
PROMPTS = [Prompt(text=text) for text in TEXTS]


class Recording:
    """An engine that says which adapter replies, and remembers what it was given as drafts, by adapter."""

    name = "recording"

    def __init__(self, takes_drafts=True):
        self.drafts, self.takes_drafts = [], takes_drafts

    def generate(self, prompts, adapter, *, max_new_tokens, alone, drafts=None):
        self.drafts.append((adapter.slug, drafts))
        for place in range(len(prompts)):
            yield place, {"reply": f"{adapter.slug} {place}", "cut": False}

    def checked(self, adapter):
        return None


@pytest.fixture
def asked(tmp_path):
    """``asked(*scales)``: three questions to each adapter at a scale, in this order; what drafts there were."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_text(f'"{folder}"')
    experiment, places = load_experiment("miniature"), Places(tmp_path, tmp_path, tmp_path)

    def ask(*scales, few=(), takes_drafts=True):
        adapters = (BASE, *(point(tmp_path, scale) for scale in scales))
        asking = Asking(max_samples=3, check_batches=0)
        study = Study(
            experiment,
            (SPIDER,),
            {"spider": SPIDER.open(experiment, dict.fromkeys(SPIDER.options))},
            adapters,
            places,
            asking,
        )
        store, engine, tasks = AnswerStore(places.answers), Recording(takes_drafts), study.tasks(SPIDER)
        answers = Answers(
            study, store, Claims(places.claims), remaining=tasks, shown=nullcontext, filed=lambda *_: None
        )
        for adapter in adapters:
            own = [task for task in tasks if task.adapter == adapter]
            own = own[:1] if adapter.slug in few else own
            for task in own:
                answers.obtain(task, own, lambda: engine)
        store.close()
        return dict(engine.drafts)

    return ask


def point(folder, spec):
    name, _, scale = spec.partition("*")
    unscaled = name if scale else ""
    return Adapter(
        spec, spec.replace("*", "-x"), "folder", folder / name, scale=parse_scale(scale or "1"), unscaled=unscaled
    )


def said_by(slug):
    return {place: f"{slug} {place}" for place in range(3)}


def test_a_draft_is_what_the_same_weights_say_at_the_nearest_scale(asked):
    assert asked("one*0", "one*0.25", "one", "one*0.75", "two*0.75", "two") == {
        "base": {},
        "one-x0": {},
        "one-x0.25": said_by("one-x0"),
        "one": said_by("one-x0.25"),
        "one-x0.75": said_by("one"),
        "two-x0.75": {},
        "two": said_by("two-x0.75"),
    }


def test_what_was_answered_before_is_a_draft_and_what_was_not_has_none(asked):
    asked("one*0.5", "one", few={"one"})
    assert asked("one*0.5", "one", "one*0.9") == {
        "one": {0: "one-x0.5 1", 1: "one-x0.5 2"},
        "one-x0.9": {0: "one 0", 1: "one 0", 2: "one 1"},
    }


def test_scales_of_other_parts_and_depths_lie_further_away(asked):
    found = asked("one*0.5..1", "one*0.5", "one*0.5-mlp", "one*0.5-attention", "one*0.75..1")
    assert found["one-x0.5-mlp"] == said_by("one-x0.5")
    assert found["one-x0.75..1"] == said_by("one-x0.5..1")
    assert Scale(0.5, 1).apart(Scale(0.5, 0.5)) == 0.5 and Scale(1, 1, "mlp").apart(Scale()) == 1


def test_an_engine_that_takes_no_drafts_is_given_none(asked):
    asked("one*0.5")
    assert asked("one*0.5", "one", takes_drafts=False) == {"one": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    save_tiny("Llama", folder, TEXTS)
    return folder


def engine_in(folder, dtype):
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(BaseModelSettings(id=str(folder), dtype=dtype))


@pytest.fixture
def engine(folder):
    return engine_in(folder, "float32")


@pytest.fixture
def expected(engine):
    return dict(engine.generate(PROMPTS, BASE, max_new_tokens=MORE))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(lambda own, place: own, id="the reply"),
        pytest.param(lambda own, place: own[: len(own) // 2], id="half of it"),
        pytest.param(lambda own, place: f"{own[: len(own) // 2]} SELECT 1", id="half of it and something else"),
        pytest.param(lambda own, place: own * 50, id="far too long"),
        pytest.param(lambda own, place: TEXTS[place - 1], id="another's"),
        pytest.param(lambda own, place: "", id="empty"),
        pytest.param(lambda own, place: "\x00 \U0001f600 </s> <s> ☃ <unk>", id="no text of the model's"),
    ],
)
def test_answers_are_those_without_drafts(engine, expected, kind):
    drafts = {place: kind(expected[place]["reply"], place) for place in range(0, len(PROMPTS), 2)}
    assert dict(engine.generate(PROMPTS, BASE, max_new_tokens=MORE, drafts=drafts)) == expected
    assert engine.checked(BASE)["problem"] == ""


def test_a_draft_with_tokens_that_the_model_has_not_is_left(engine, expected, monkeypatch):
    monkeypatch.setattr(engine.encoder, "replies", lambda texts: [[3, engine._known], [engine._known + 7]])
    assert dict(engine.generate(PROMPTS, BASE, max_new_tokens=MORE, drafts={0: "A", 3: "B"})) == expected
    assert engine.checked(BASE)["problem"] == "", "and nothing is the worse for it"


def test_a_prompt_that_the_model_cannot_read_is_errored_with_a_draft_too(engine, expected):
    prompts = [*PROMPTS, Prompt(text=TEXTS[0] * 5000)]
    found = dict(engine.generate(prompts, BASE, max_new_tokens=MORE, drafts=dict.fromkeys(range(13), "SELECT")))
    assert "it is never cut" in found.pop(12)["error"] and found == expected


def test_in_low_precision_drafts_are_left(folder):
    """There the pass that reads them rounds otherwise: an answer would tell whether its neighbour was known."""
    engine = engine_in(folder, "bfloat16")
    expected = dict(engine.generate(PROMPTS, BASE, max_new_tokens=MORE))
    drafts = {place: answer["reply"] for place, answer in expected.items()}
    assert not engine.takes_drafts
    assert dict(engine.generate(PROMPTS, BASE, max_new_tokens=MORE, drafts=drafts)) == expected


def test_what_is_computed_alone_has_no_draft(engine, expected, monkeypatch):
    """Answers that are held against it have theirs, as all others: what they show is told of those."""
    from fixtures.engines import answer_kinds

    drafted, alone = [], []
    replies, together = answer_kinds.greedy_replies, answer_kinds.GreedyReplies
    monkeypatch.setattr(
        answer_kinds, "greedy_replies", lambda *given, **named: alone.append(named) or replies(*given, **named)
    )
    monkeypatch.setattr(
        answer_kinds, "GreedyReplies", lambda *given, **named: drafted.append(named) or together(*given, **named)
    )
    # What is said alone parts from what is said together, and goes on by itself.
    held = answer_kinds.Replies.held
    monkeypatch.setattr(
        answer_kinds.Replies,
        "held",
        lambda self, model, one, found: replace(held(self, model, one, found), alone=None, parted=found.tokens[:2]),
    )
    drafts = {place: expected[place]["reply"] for place in expected}
    found = dict(engine.generate(PROMPTS, BASE, max_new_tokens=MORE, alone={2, 5}, drafts=drafts))
    assert [found[place].pop("alone")["reply"] for place in (2, 5)] == [expected[place]["reply"] for place in (2, 5)]
    assert found == expected
    assert alone and all("drafts" not in named for named in alone)
    assert all(drafted[-1]["drafts"]) and {2, 5} <= set(drafted[-1]["watched"])


def test_a_path_that_takes_drafts_for_granted_is_found_out(engine, expected, monkeypatch):
    """Drafted answers are held against plain Transformers as all are."""
    from fixtures.engines import reply_rows

    honest = reply_rows.said_behind

    def credulous(logits, firsts, drafts, ends, *, noted):
        said = honest(logits, firsts, drafts, ends, noted=noted)
        for row, draft in enumerate(drafts):
            said.tokens[row, : len(draft)] = type(said.tokens)(draft)
            said.counts[row] = len(draft) + 1
        return said

    monkeypatch.setattr(reply_rows, "said_behind", credulous)
    engine.path.records.clear()
    drafts = dict.fromkeys(range(len(PROMPTS)), "1 1 1 1 SELECT FROM FROM FROM")
    found = dict(engine.generate(PROMPTS, BASE, max_new_tokens=MORE, drafts=drafts))
    assert engine.checked(BASE)["problem"].startswith("the fast path differs")
    assert found == expected, "by plain Transformers"
