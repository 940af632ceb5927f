"""A study, shipped in a small folder: nobody's data are in it, and who has the data finds its very numbers."""

import json
import lzma
import shutil
import sqlite3
from dataclasses import replace

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.replayed_text import replay_caveats
from fixtures.results.studies.data import adapters_of
from fixtures.results.studies.form import ANSWERS, StudyError
from fixtures.results.studies.reading import read_study
from fixtures.results.studies.replaying import measured, replay
from fixtures.results.studies.writing import shippable, write_study
from tests.made_up_study import MINIATURE, NEAR, SPECS, questions_in

# Not in the summary that is shipped: they are half of it, and made anew.
LISTED = {"flips": [], "disagreements": []}


def lines_of(folder):
    return [json.loads(line) for line in lzma.open(folder / ANSWERS, "rt", encoding="utf-8")]


def write_lines(folder, lines):
    (folder / ANSWERS).write_bytes(lzma.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode()))


@pytest.fixture
def damaged(shipped, tmp_path):
    """A copy to be changed."""
    return shutil.copytree(shipped, tmp_path / "made-up")


def test_who_has_the_data_finds_every_number_of_the_study(told, shipped):
    study = read_study(shipped, BUILT_IN)
    summary, rows, _ = replay(study, BUILT_IN, questions_in(), list(SPECS))
    assert summary.replayed.differing == summary.replayed.moved == []
    found = summary.model_copy(update=LISTED | {"replayed": None})
    assert found == study.summary
    assert [(row.question, row.adapter, row.right, row.was_tied, row.why) for row in rows] == [
        (row.question, row.adapter, row.right, row.was_tied, row.why) for row in told.rows
    ]
    assert len(summary.flips) == len(told.summary.flips) > 0


def test_numbers_are_rounded_only_as_far_as_the_answer_is_judged_the_same(told, shipped):
    answers = [line["answers"][0][0] for line in lines_of(shipped)[1:] if line["suite"] == "mmlu"]
    assert answers[0] == [round(one, 5) for one in NEAR]
    assert {len(str(one).partition(".")[2]) for found in answers[1:] for one in found} <= {1, 2, 3, 4}
    first = next(row for row in told.rows if row.suite == "mmlu" and row.log_likelihoods == NEAR)
    assert (first.chosen, first.tied) == ("B", False)


def test_nobodys_data_and_no_place_of_a_machine_are_in_a_study(told, shipped):
    lines = [{name: value for name, value in line.items() if name != "answers"} for line in lines_of(shipped)]
    written = json.dumps(lines) + "".join((shipped / name).read_text() for name in ("manifest.json", "summary.json"))
    texts = {text for row in told.rows if row.suite == "spider" for text in (row.question_text, row.gold_sql)}
    texts |= {text for row in told.rows if row.suite == "mmlu" for text in (row.question_text, *row.choices)}
    assert [text for text in texts if len(text) > 12 and json.dumps(text)[1:-1] in written] == []
    assert "somebody" not in written and "--spider=spider_data.zip --mmlu=data" in written


def test_the_hash_of_a_letter_does_not_tell_the_letter(shipped):
    hashes = {line["hashes"]["gold"] for line in lines_of(shipped)[1:] if line["suite"] == "mmlu"}
    assert len(hashes) == 150


def test_a_study_that_would_hold_a_text_of_the_data_is_not_written(told, tmp_path):
    text = next(row.question_text for row in told.rows if row.suite == "spider")
    summary = told.summary.model_copy(update={"problems": [f"the engine failed at: {text}"]})
    with pytest.raises(StudyError, match=r"summary.json would hold a text of the data"):
        write_study(replace(told, summary=summary), shippable(told)[0], tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_sets_that_are_not_complete_stay_out_and_are_named(told):
    rows = [
        row for row in told.rows if (row.suite, row.adapter) != ("mmlu", "cfg1") or row.order or row.question[-1] != "7"
    ]
    summary = told.summary.model_copy(update=measured(told.summary, told.manifest, rows, BUILT_IN))
    sets, left_out = shippable(replace(told, rows=rows, summary=summary))
    assert "mmlu/cfg1" not in {one.name for one in sets} and len(sets) == 7
    assert len(left_out) == 1 and "mmlu/cfg1: " in left_out[0] and "questions of 150" in left_out[0]


def test_scores_of_other_data_are_not_exported(told, tmp_path):
    manifest = told.manifest.model_copy(
        update={"score_sets": [one.model_copy(update={"judged": "other"}) for one in told.manifest.score_sets]}
    )
    with pytest.raises(StudyError, match="Name the same data as the run did"):
        write_study(replace(told, manifest=manifest), manifest.score_sets, tmp_path / "study")


def test_questions_that_differ_here_are_named(shipped, tmp_path):
    spider, mmlu = (shutil.copytree(MINIATURE / name, tmp_path / name) for name in ("spider", "mmlu"))
    dev = json.loads((spider / "dev.json").read_text())
    dev[0]["query"], dev[1]["question"] = "SELECT 7", "What else?"
    (spider / "dev.json").write_text(json.dumps(dev))
    last = dev[-1]["db_id"]
    path = next(spider.rglob(f"{last}.sqlite"))
    with sqlite3.connect(path) as connection:
        table = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchone()[0]
        connection.execute(f'DELETE FROM "{table}" WHERE rowid = (SELECT max(rowid) FROM "{table}")')
    connection.close()
    study = read_study(shipped, BUILT_IN)
    summary, rows, _ = replay(study, BUILT_IN, questions_in(spider, mmlu), list(SPECS))
    ids = [question.id for question in questions_in().get("spider").all]
    differing = {entry.field: entry for entry in summary.replayed.differing}
    assert differing["gold_sql"].questions == ids[:1] and differing["gold_sql"].judged
    assert differing["question_text"].questions == ids[1:2] and not differing["question_text"].judged
    assert differing["database"].questions == [name for name in ids if name.startswith(last)]
    errored = [row for row in rows if not row.scored]
    assert {row.question for row in errored} == {ids[1]} and all(row.unmeasurable for row in errored)
    (said, *_) = replay_caveats(summary, BUILT_IN)
    count = 2 + len(differing["database"].questions)
    assert said.startswith(f"Careful: {count} questions differ from those of the study: ")
    assert f"Spider, gold SQL: {ids[0]};" in said and "errored: the answers are to another" in said


def test_a_question_that_is_not_here_is_named_and_leaves_its_set_incomplete(shipped, tmp_path):
    spider = shutil.copytree(MINIATURE / "spider", tmp_path / "spider")
    dev = json.loads((spider / "dev.json").read_text())
    (spider / "dev.json").write_text(json.dumps(dev[:-1]))
    study = read_study(shipped, BUILT_IN)
    summary, _, _ = replay(study, BUILT_IN, {"spider": questions_in(spider)["spider"]}, list(SPECS))
    assert not summary.accuracy("spider", "base").complete and not summary.replayed.whole
    assert replay_caveats(summary, BUILT_IN)[0].endswith(
        f"of Spider {study.manifest.chosen['spider'][-1]} is not here."
    )


def test_a_score_that_comes_out_otherwise_is_named(damaged):
    lines = lines_of(damaged)
    lines[1]["scores"][0] = "".join("01"[digit == "0"] for digit in lines[1]["scores"][0])
    write_lines(damaged, lines)
    summary, _, _ = replay(read_study(damaged, BUILT_IN), BUILT_IN, questions_in(), ["base"])
    assert [(one.adapter, one.questions) for one in summary.replayed.moved] == [("base", [lines[1]["question"]])]
    assert "Careful: 1 answer is judged otherwise than in the study" in replay_caveats(summary, BUILT_IN)[0]


def test_adapters_are_chosen_by_their_specs(shipped):
    manifest = read_study(shipped, BUILT_IN).manifest
    assert adapters_of(manifest, []) == list(SPECS)
    assert adapters_of(manifest, ["base,cfg1"]) == ["base", "cfg1", "cfg1-seed7"]
    assert adapters_of(manifest, ["cfg1:7", "cfg1*0.5"]) == ["cfg1-seed7", "cfg1-x0.5"]
    with pytest.raises(StudyError, match=r"'cfg2' is not in the study. Did you mean 'cfg1'\? It has base, cfg1"):
        adapters_of(manifest, ["cfg2"])
