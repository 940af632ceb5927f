"""An adapter whose replay was searched for other MMLU questions than are asked says so beside its numbers."""

import json

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.adapters.replayed import replay_notes
from trainer.study.settings import MmluSettings


@pytest.mark.parametrize(
    ("replay", "notes"),
    [
        ({"searched_for": {"mmlu": "mine"}, "unsearched": ""}, []),
        (
            {"searched_for": {"mmlu": "other"}, "unsearched": ""},
            ["its replay was searched for the questions of MMLU in 'other', not for those in 'mine'"],
        ),
        (
            {"searched_for": {"mmlu": "mine"}, "unsearched": "MMLU not found in 'mine'"},
            ["its replay was not searched for questions of MMLU: MMLU not found in 'mine'"],
        ),
        ("damaged", []),
        (None, []),
    ],
)
def test_what_replay_was_searched_for_is_noted_where_it_is_not_what_is_asked(tmp_path, replay, notes):
    (tmp_path / "run.json").write_text(json.dumps({"data": {"replay": replay} if replay else {}}))
    adapter = Adapter("mine", "mine", "folder", folder=tmp_path)
    assert replay_notes(adapter, MmluSettings(source="mine")) == notes


def test_a_run_notes_it_beside_the_adapter(tmp_path):
    """What checks an adapter asks for it."""
    from fixtures.adapters.checks import check_adapter
    from tests.unit.test_choosing import write_adapter
    from trainer.study.experiment import load_experiment

    write_adapter(tmp_path)
    record = {"data": {"replay": {"searched_for": {"mmlu": "elsewhere"}, "unsearched": ""}}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    found = check_adapter(Adapter("mine", "mine", "folder", folder=tmp_path), load_experiment("miniature"))
    assert any("in 'elsewhere', not for those in 'fixtures/miniature/mmlu'" in note for note in found.notes)
