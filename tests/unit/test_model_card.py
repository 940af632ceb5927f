"""The card of an adapter's folder, read back by huggingface_hub."""

import pytest

from custom_metrics.statistics import Design, Finding
from fixtures.adapters.specs import parse_adapters
from fixtures.questions.plugin import BUILT_IN
from fixtures.report.model_card import eval_results, model_card
from fixtures.results.conditions import Conditions
from fixtures.results.types import Accuracy, Change, Summary
from trainer.study.experiment import load_experiment


@pytest.fixture
def card(tmp_path):
    """``card(*accuracies)``: the text of cfg1's card."""
    experiment = load_experiment("miniature")
    (adapter,) = parse_adapters(["cfg1"], experiment, tmp_path)
    return lambda *accuracies: model_card(adapter, experiment, summary(*accuracies), BUILT_IN)


def entry(suite, correct, n, *, complete=True):
    head = {"suite": suite, "adapter": "cfg1", "group": "all", "complete": complete, "errored": 0}
    ends = {"low": 0.1, "high": 0.9, "standard_error": None, "clusters": 3, "design": Design.STRATIFIED}
    return Accuracy(**head, n=n, correct=correct, accuracy=correct / n, **ends)


def summary(*entries):
    head = {"suite": "mmlu", "adapter": "cfg1", "against": "base", "group": "all"}
    head |= {"n": 150, "clusters": 3, "seeds": 1, "family": 1, "design": Design.STRATIFIED, "verdict": Finding.WORSE}
    counts = {"gained": 0, "lost": 18, "base_correct": 125, "tuned_correct": 107, "percentage_change": -14.4}
    sizes = {"difference": -0.12, "low": -0.2, "high": -0.05, "lower": -0.19, "upper": -0.06, "p": 0.001}
    sizes |= {"standard_error": 0.03, "degrees_of_freedom": 147.0, "questions_enough": 900, "clusters_enough": None}
    rest = {"very_low": -0.18, "very_high": -0.07, "very_p": 0.001}
    return Summary(
        experiment="miniature",
        note="It shows the method.",
        accuracies=list(entries),
        comparisons=[Change(**head, **counts, **sizes, **rest)],
        margin=0.05,
        revisions={"spider": "abc", "mmlu": "def"},
    )


def test_the_hub_reads_what_was_measured(card):
    from huggingface_hub import ModelCard

    found = ModelCard(card(entry("spider", 150, 200), entry("mmlu", 107, 150)))
    assert found.data.base_model == "fixtures/miniature/model"
    assert {r.dataset_type for r in found.data.eval_results} == {"miniature-spider", "miniature-mmlu"}
    assert {(r.dataset_name, r.dataset_revision, r.metric_value) for r in found.data.eval_results} == {
        ("miniature's own questions in the form of Spider dev", "abc", 75.0),
        ("miniature's own questions in the form of MMLU test", "def", 71.33),
    }
    change = "-12.0 points (95 % interval -20.0 to -5.0) | 0.001"
    row = f"| MMLU test, accuracy | 150 | 107 | 71.3% | 10.0 to 90.0 | {change} |"
    assert row in found.text
    said = "MMLU: worse at a margin of 5 points: a loss of up to 19.0 points is not excluded."
    assert said in found.text and "It shows the method." in found.text


def test_no_card_tells_of_half_a_suite(card):
    assert card(entry("spider", 9, 10, complete=False)) == ""
    half = card(entry("spider", 9, 10, complete=False), entry("mmlu", 9, 10))
    assert "MMLU" in half and "Spider dev" not in half


def test_what_others_wrote_is_text_on_the_hubs_page(tmp_path):
    """An experiment may come from anybody."""
    experiment = load_experiment("miniature")
    (adapter,) = parse_adapters(["cfg1"], experiment, tmp_path)
    hostile = "x`\n\n<img src=x onerror=alert(1)> [see](http://evil.example) | **b**"
    base = experiment.base_model.model_copy(update={"id": hostile})
    experiment = experiment.model_copy(update={"base_model": base})
    found = summary(entry("mmlu", 9, 10)).model_copy(update={"note": hostile})
    text = model_card(adapter, experiment, found, BUILT_IN).split("---", 2)[2]
    shown = "x' <img src=x onerror=alert(1)> [see](http://evil.example) | **b**"
    assert f"`{shown}`" in text and "x&#96; &#60;img src=x onerror" in text
    rest = text.replace(f"`{shown}`", "")
    assert "<img" not in rest and "](http" not in rest and "**b" not in rest


def test_a_benchmark_asked_whole_is_what_the_hub_puts_on_its_leaderboard(tmp_path):
    """Read back by huggingface_hub; a part of it, or questions of one's own, never stand among whole ones."""
    from huggingface_hub import parse_eval_result_entries

    experiment = load_experiment("llama-3-8b")
    (adapter,) = parse_adapters(["cfg1"], experiment, tmp_path)
    known = Conditions(suite="mmlu", adapter="cfg1", engine="transformers", shots=4, measured="2026-11-27")
    found = summary(entry("spider", 700, 1034), entry("mmlu", 9000, 14042))
    found = found.model_copy(update={"conditions": [known], "note": ""})
    whole = experiment.mmlu.model_copy(update={"subjects": ("all",), "per_category": "all"})
    asked = experiment.model_copy(update={"mmlu": whole})
    results = eval_results(adapter, asked, found, BUILT_IN)
    (one,) = parse_eval_result_entries(results["mmlu"])
    assert results.keys() == {"mmlu"}
    assert (one.dataset_id, one.task_id, one.value, one.date) == ("cais/mmlu", "default", 64.09, "2026-11-27")
    assert one.notes == "14,042 questions; engine transformers; shots 4; measured on 2026-11-27"
    assert eval_results(adapter, experiment, found, BUILT_IN) == {}
    assert eval_results(adapter, asked, found.model_copy(update={"note": "It shows the method."}), BUILT_IN) == {}
