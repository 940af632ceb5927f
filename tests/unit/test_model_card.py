"""The card of an adapter's folder, read back by huggingface_hub."""

import pytest

from fixtures.adapters.specs import parse_adapters
from fixtures.report.model_card import model_card
from trainer.study.experiment import load_experiment


@pytest.fixture
def adapter(tmp_path):
    (found,) = parse_adapters(["cfg1"], load_experiment("miniature"), tmp_path)
    return found


def entry(suite, correct, n, *, complete=True):
    accuracy = {"accuracy": correct / n, "low": 0.1, "high": 0.9}
    head = {"suite": suite, "adapter": "cfg1", "group": "all", "complete": complete}
    return head | {"n": n, "correct": correct, "errored": 0} | accuracy


def summary(*entries):
    loss = {"suite": "mmlu", "adapter": "cfg1", "against": "base", "group": "all", "difference": -0.12, "p": 0.001}
    return {
        "note": "It shows the method.",
        "accuracies": list(entries),
        "comparisons": [loss | {"verdict": "loss shown"}],
        "revisions": {"spider": "abc", "mmlu": "def"},
    }


def test_the_hub_reads_what_was_measured(adapter):
    from huggingface_hub import ModelCard

    text = model_card(
        adapter, load_experiment("miniature"), summary(entry("spider", 150, 200), entry("mmlu", 107, 150))
    )
    card = ModelCard(text)
    assert card.data.base_model == "fixtures/miniature/model"
    found = {(r.dataset_name, r.dataset_revision, r.metric_value) for r in card.data.eval_results}
    assert {r.dataset_type for r in card.data.eval_results} == {"miniature-spider", "miniature-mmlu"}
    assert found == {
        ("miniature's own questions in the form of Spider dev", "abc", 75.0),
        ("miniature's own questions in the form of MMLU", "def", 71.33),
    }
    assert "| MMLU, accuracy | 150 | 107 | 71.3 % | 10.0 - 90.0 | -12.0 points | 0.001 |" in card.text
    assert "General knowledge: loss shown." in card.text and "It shows the method." in card.text


def test_no_card_tells_of_half_a_suite(adapter):
    experiment = load_experiment("miniature")
    assert model_card(adapter, experiment, summary(entry("spider", 9, 10, complete=False))) == ""
    half = model_card(adapter, experiment, summary(entry("spider", 9, 10, complete=False), entry("mmlu", 9, 10)))
    assert "MMLU" in half and "Spider dev" not in half
