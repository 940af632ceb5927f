"""Replay among the steps: by its share of the tokens, evenly, in a seeded order, and beside questions as they were."""

import copy
import itertools
from dataclasses import replace

import pytest

from tests.unit.test_trainer_batches import text, tokenizer  # noqa: F401  a fixture
from trainer.prompts import Message
from trainer.replay.mixing import draw_replay, mix_replay, tokenise_replay
from trainer.replay.sources import replay_text
from trainer.rows.batches import IGNORED, build_row, cut_rows, plan_steps, row_size
from trainer.study.experiment import ExperimentError

STEPS = plan_steps([text(group, n, schema=90, own=10) for group in "abcd" for n in range(20)],
                   batch_size=8, epochs=2, seed=1)  # fmt: skip


def general(number: int, prompt: int = 20, reply: int = 15):
    return replace(text(f"r{number}"[:1], number, prompt, reply), id=f"r-{number}", group=f"replay {number}",
                   prompt_length=prompt, replay=True)  # fmt: skip


def endless(*lengths: int):
    return (general(n, reply=length) for n, length in enumerate(itertools.cycle(lengths or (15,))))


def tokens(texts) -> int:
    return sum(len(one.tokens) for one in texts)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_replay_has_its_share_of_the_tokens_after_every_step(share):
    mixed = mix_replay(STEPS, endless(15, 80, 5), share)
    told = [one for step in mixed for one in step if one.replay]
    assert tokens(told) / tokens(itertools.chain(*mixed)) == pytest.approx(share, rel=0.03)
    for done in range(1, len(mixed) + 1):
        so_far = list(itertools.chain(*mixed[:done]))
        replayed = tokens(one for one in so_far if one.replay)
        wanted = share / (1 - share) * (tokens(so_far) - replayed)
        assert abs(replayed - wanted) <= 50  # half of the longest


def test_the_questions_of_a_step_stay_as_they_are():
    mixed = mix_replay(STEPS, endless(), 0.2)
    assert [[one for one in step if not one.replay] for step in mixed] == STEPS


def test_a_step_has_as_many_passes_with_replay_as_without():
    mixed = mix_replay(STEPS, endless(200, 5), 0.2)
    rows = cut_rows(mixed, 2)
    assert len(rows) == len(cut_rows(STEPS, 2))
    assert sorted(one.id for row in rows for one in row) == sorted(one.id for step in mixed for one in step)
    assert [one for row in rows for one in row if not one.replay] == [one for step in STEPS for one in step]
    # A long text does not come on top of another where a shorter row is there.
    assert max(sum(one.replay and len(one.tokens) > 200 for one in row) for row in rows) == 1


def test_a_replay_text_is_a_tree_of_its_own_in_a_row():
    row = build_row([text("a", 0), general(7, 4, 3), text("a", 1)])
    assert row["layout"] == [[6, 5, 5], [3, 4]]
    labels = [label for label in row["labels"] if label != IGNORED]
    assert [(label, of) for label, of in zip(labels, row["of_replay"], strict=True) if of] == [(1007, True)] * 3
    assert row_size([text("a", 0), general(7, 4, 3)]) == (18, 5)
    assert "of_replay" not in build_row([text("a", 0)])


def conversations(count: int):
    turns = [(Message("user", f"how many {n}?"), Message("assistant", f"A {n}")) for n in range(count)]
    return [replay_text(f"f:{n}", own) for n, own in enumerate(turns)]


def drawn(tokenizer, texts, count: int, seed: int = 1, max_length: int = 100):  # noqa: F811
    found = draw_replay(texts, tokenizer, max_length=max_length, seed=seed)
    return [one.id for one in itertools.islice(found, count)]


def test_the_order_follows_the_seed_and_every_text_comes_before_any_comes_again(tokenizer):  # noqa: F811
    texts = conversations(30)
    first, again, other = (drawn(tokenizer, texts, 60, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert set(first[:30]) == set(first[30:]) == {one.id for one in texts}
    assert first[:30] != first[30:]


def test_long_texts_are_left_out(tokenizer):  # noqa: F811
    long = replay_text("long", (Message("user", "how many " * 99), Message("assistant", "A")))
    assert set(drawn(tokenizer, [long, *conversations(3)], 12)) == {"f:0", "f:1", "f:2"}
    with pytest.raises(ExperimentError, match="max_length = 100: no replay text fits"):
        drawn(tokenizer, [long], 1)


def test_only_the_last_reply_carries_loss_and_one_that_was_cut_teaches_no_end(tokenizer):  # noqa: F811
    turns = (
        Message("user", "how"),
        Message("assistant", "many"),
        Message("user", "singers"),
        Message("assistant", "A"),
    )
    whole, cut = tokenise_replay([replay_text("1", turns), replay_text("2", turns, ended=False)], tokenizer)
    labelled = [tokenizer.decode(one.tokens[one.prompt_length :]) for one in (whole, cut)]
    assert labelled == [f"A{tokenizer.eos_token}", "A"]
    assert whole.replay and whole.group != cut.group


def test_a_template_that_cannot_write_replay_is_named(tokenizer):  # noqa: F811
    strict = copy.deepcopy(tokenizer)
    strict.chat_template = (
        "{% if messages|length > 2 %}{{ raise_exception('two turns at most') }}{% endif %}"
        "{% for message in messages %}{{ message.content }}{% endfor %}"
    )
    turns = (Message("user", "a"), Message("assistant", "b")) * 2
    with pytest.raises(ExperimentError, match="cannot write 'f:9': two turns at most"):
        tokenise_replay([replay_text("f:9", turns)], strict)
