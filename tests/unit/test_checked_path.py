"""The fast path steps aside where it would be wrong; what is no number is no answer; options do not tie by rounding."""

import pytest

from fixtures.adapters.adapter import Adapter
from tests.tiny_architectures import changed_config, save_tiny
from tests.unit import test_architectures
from tests.unit.test_architectures import LETTER_OPTIONS, NEW_TOKENS, plainly
from trainer.prompts import Prompt
from trainer.study.settings import BaseModelSettings

BASE = Adapter("base", "base", "base")
# A beginning in common and ends of several lengths, so that padding stands between the two.
TEXTS = [f"SELECT name FROM singer WHERE country = 'France' AND age > {'1' * count}" for count in range(1, 9)]


@pytest.fixture
def saved(tmp_path):
    """``saved(name, **changes)``: the folder of a tiny model whose configuration was changed."""

    def save(name, **changes):
        save_tiny(name, tmp_path, TEXTS)
        changed_config(tmp_path, **changes)
        return tmp_path

    return save


def engine_on(folder, **settings):
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(BaseModelSettings(id=str(folder), **{"dtype": "float32", **settings}))


def answers(engine, texts=TEXTS, size=len(TEXTS)):
    replies, scores = [], []
    for start in range(0, len(texts), size):
        prompts = [Prompt(text=text) for text in texts[start : start + size]]
        found = dict(engine.generate(prompts, BASE, max_new_tokens=NEW_TOKENS))
        replies += [found[place]["reply"] for place in range(len(prompts))]
        found = dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * len(prompts), BASE))
        scores += [found[place]["log_likelihoods"] for place in range(len(prompts))]
    return replies, scores


def reference(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def same(found, expected):
    assert found[0] == expected[0]
    for own, other in zip(found[1], expected[1], strict=True):
        assert own == pytest.approx(other, abs=1e-4, rel=0)


@pytest.mark.parametrize("beyond", [0, 3, NEW_TOKENS - 2, 100])
@pytest.mark.parametrize("name", ["Mistral with a window", "Gemma 3"])
def test_a_window_that_only_new_tokens_cross(name, beyond, saved):
    folder = saved(name)
    longest = max(map(len, engine_on(folder).encoder.prompts([Prompt(text=text) for text in TEXTS])))
    changed_config(folder, sliding_window=longest + beyond)
    engine = engine_on(folder)
    same(answers(engine), plainly(engine, reference(folder), TEXTS))


def test_a_short_question_beside_a_long_one_after_many_sound_batches(saved):
    """LongRoPE turns all positions of a batch where one of its prompts is long."""
    folder = saved("Phi-3 with LongRoPE")
    texts = [*TEXTS[:6], TEXTS[0], f"{TEXTS[0]} {'AND age > 2 ' * 12}"]
    engine = engine_on(folder)
    same(answers(engine, texts, size=2), plainly(engine, reference(folder), texts))
    assert "differs from plain Transformers" in engine.path.records["base"].problem


@pytest.mark.parametrize(
    ("name", "sound"), [("Llama", True), ("Qwen3", True), ("MPT", False), ("Phi-3 with LongRoPE", False)]
)
def test_in_low_precision_paths_are_compared_without_rounding(name, sound, saved):
    engine = engine_on(saved(name), dtype="bfloat16")
    before = {key: value.clone() for key, value in engine.models.base.state_dict().items()}
    answers(engine, test_architectures.TEXTS, size=len(test_architectures.TEXTS))
    record = engine.path.records["base"]
    assert bool(record.problem) is not sound
    assert record.largest < 1e-3 or not sound
    after = engine.models.base.state_dict()
    assert all(after[key].dtype == value.dtype and after[key].equal(value) for key, value in before.items())


@pytest.mark.parametrize("attention", ["auto", "sdpa"])
def test_a_soft_cap_is_not_left_out_whatever_attention_is_asked_for(attention, saved):
    folder = saved("Gemma 2")
    engine = engine_on(folder, attention=attention)
    same(answers(engine), plainly(engine, reference(folder), TEXTS))


def test_a_fast_path_that_fails_steps_aside_and_says_why(saved, monkeypatch):
    from fixtures.engines import answer_kinds

    def unknown(*_, **__):
        raise KeyError("grouped_sdpa")

    folder = saved("Llama")
    engine = engine_on(folder)
    monkeypatch.setattr(answer_kinds, "GreedyReplies", unknown)
    same(answers(engine), plainly(engine, reference(folder), TEXTS))
    assert "KeyError: 'grouped_sdpa'" in engine.path.records["base"].problem


def test_a_sound_model_stays_on_the_fast_path_and_little_is_computed_twice(saved, monkeypatch):
    from fixtures.engines import answer_kinds

    engine, passes = engine_on(saved("Llama")), []
    plain = answer_kinds.plain_log_probs
    monkeypatch.setattr(answer_kinds, "plain_log_probs", lambda *given: passes.append(1) or plain(*given))
    prompts = [Prompt(text=text) for text in TEXTS]
    for _ in range(20):
        list(engine.generate(prompts, BASE, max_new_tokens=NEW_TOKENS))
    assert engine.path.records["base"].problem == ""
    checked = engine.path.records["base"].checked
    assert len(passes) == checked == 4 < len(TEXTS), "some of the first batch, and no more"


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_is_no_number_is_errored(value, saved):
    import torch

    engine = engine_on(saved("Llama"))
    with torch.no_grad():
        engine.models.base.model.norm.weight[0] = float(value)
    prompts = [Prompt(text=text) for text in TEXTS]
    found = dict(engine.generate(prompts, BASE, max_new_tokens=4))
    found |= {f"option {place}": one for place, one in engine.log_likelihoods(prompts, [LETTER_OPTIONS] * 8, BASE)}
    assert len(found) == 16
    assert all("no numbers" in answer["error"] for answer in found.values())


@pytest.mark.parametrize("name", ["Llama", "Gemma 2", "Granite", "Cohere"])
def test_options_that_round_to_one_number_are_told_apart(name, saved):
    """In bfloat16 logits near 64 are multiples of 0.5: the two nearest of four options are often one number."""
    import torch

    engine = engine_on(saved(name), dtype="bfloat16")
    prompts = [Prompt(text=text) for text in TEXTS * 4]
    with torch.no_grad():
        engine.models.base.get_output_embeddings().weight.mul_(40)
    found = dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * len(prompts), BASE))
    for answer in found.values():
        assert len(set(answer["log_likelihoods"])) == 4


def test_a_reply_that_was_cut_says_so(saved):
    engine = engine_on(saved("Llama"))
    prompts = [Prompt(text=text) for text in TEXTS]
    long = dict(engine.generate(prompts, BASE, max_new_tokens=64))
    short = dict(engine.generate(prompts, BASE, max_new_tokens=2))
    assert all(one["cut"] for one in short.values())
    assert {place for place, one in long.items() if one["cut"]} <= short.keys()


def test_a_prompt_whose_reply_would_pass_the_context_is_errored_alone(saved):
    engine = engine_on(saved("Llama", max_position_embeddings=60))
    prompts = [Prompt(text=text) for text in (TEXTS[0][:20], TEXTS[0] * 12)]
    found = dict(engine.generate(prompts, BASE, max_new_tokens=8))
    assert "reply" in found[0]
    assert "tokens and up to 8 follow, the model reads 60" in found[1]["error"]


def test_a_reply_that_parts_from_the_plain_way_goes_on_as_that_does(saved):
    from dataclasses import replace

    import torch

    from fixtures.engines.answer_kinds import Replies
    from fixtures.engines.memory import Bounds

    engine = engine_on(saved("Llama"))
    kind = Replies(engine.tokenizer, engine._ends, NEW_TOKENS)
    inputs, model = engine.encoder.prompts([Prompt(text=text) for text in TEXTS]), engine.models.base
    with torch.inference_mode():
        plain = [kind.plain(model, one) for one in inputs]
        # Each said another token in another place, and the last of them none.
        said = [
            replace(one, tokens=[*one.tokens[:place], (one.tokens[place] + 1) % 32, *one.tokens[place + 1 :]])
            for place, one in enumerate(plain[:-1])
        ] + plain[-1:]
        found = [replace(one, log_probs=[0.0] * len(one.tokens)) for one in said]
        held = [kind.held(model, one, other) for one, other in zip(inputs, found, strict=True)]
        own = kind.alone(model, inputs, held, Bounds())
    assert [len(one.parted) for one in held] == [*range(1, len(TEXTS)), 0]
    assert [one.tokens for one in own] == [one.tokens for one in plain]
    assert [one.ended for one in own] == [one.ended for one in plain]


@pytest.mark.parametrize(
    ("apart", "sound"),
    [([0.03] * 400, True), ([4.3] + [0.03] * 25, True), ([1.0] * 400, False), ([float("nan")], False)],
)
def test_rounding_is_told_from_a_fault_by_all_tokens_together(apart, sound):
    """Of narrow numbers as they are: one token far apart is rounding, many are another computation."""
    import torch

    from fixtures.engines.answer_kinds import Held
    from fixtures.engines.path_record import PathRecord

    assert (PathRecord().judged([Held(apart, None)], torch.finfo(torch.bfloat16).eps) == "") == sound


def test_what_was_sound_for_one_adapter_is_tried_with_few_questions_of_the_next(saved):
    engine, other = engine_on(saved("Llama"), dtype="bfloat16"), Adapter("base", "other", "base")
    prompts = [Prompt(text=" AND".join([TEXTS[0]] * count)) for count in range(1, 9)]
    for adapter in (BASE, other):
        for some in (prompts[2:6], prompts, prompts[3:]):
            list(engine.generate(some, adapter, max_new_tokens=4))
    assert engine.path.records["base"].checked == 4 + 2, "the first batch, and one that has shorter and longer ones"
    assert engine.path.records["other"].checked == 2
    list(engine.generate([Prompt(text=prompts[-1].text * 2), prompts[0]], other, max_new_tokens=4))
    assert engine.path.records["other"].checked == 4, "what nobody was asked before"


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_what_really_runs_is_held_against_the_plain_way_and_a_simpler_way_is_tried_first(
    always, dtype, saved, monkeypatch
):
    """A fault that float32 does not show, of a GPU's graphs or its kernels for narrow numbers."""
    from dataclasses import replace

    from fixtures.engines.greedy_decoding import GreedyReplies

    engine, answered = engine_on(saved("Llama"), dtype=dtype), GreedyReplies.__iter__

    def off(self):
        for place, one in answered(self):
            faulty = self._state._more > 8 and (always or not self._bounds.simple)
            yield place, replace(one, log_probs=[value - 3 for value in one.log_probs]) if faulty else one

    prompts = [Prompt(text=text) for text in TEXTS]
    sound = dict(engine.generate(prompts, BASE, max_new_tokens=32))
    engine.path.records.clear()
    monkeypatch.setattr(GreedyReplies, "__iter__", off)
    monkeypatch.setattr(GreedyReplies, "way", property(lambda self: f"simple: {self._bounds.simple}"))
    found = dict(engine.generate(prompts, BASE, max_new_tokens=32))
    record, notes = engine.path.records["base"], engine.checked(BASE)["notes"]
    assert "differs from plain Transformers" in record.simple
    assert bool(record.problem) == always
    assert len(found) == len(prompts) and (dtype != "float32" or found == sound)
    assert [note for note in notes if "simple" in note] == (
        [] if always else [f"replies came with simple: True, since {record.simple}"]
    )
