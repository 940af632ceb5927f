"""A study that a stranger sent: of known form and bounded size, or refused in one line before anything is judged."""

import json
import lzma
import zipfile

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.results.studies import reading
from fixtures.results.studies.form import ANSWERS, Asked, StudyError, hashes_of
from fixtures.results.studies.reading import read_study, unpacked
from fixtures.results.studies.replaying import Part, _judge_lines
from trainer.study.experiment import load_experiment

SPIDER, MMLU = BUILT_IN
SET = {"suite": "spider", "adapter": "base", "settings": "s", "judged": "j", "base": "b", "weights": ""}
LINE = {"suite": "spider", "question": "a-0000", "hashes": {}, "answers": [["SELECT 1", False]], "scores": ["111"]}
HEAD = {"schema_version": 1}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "sent"
    path.mkdir()
    manifest = {
        "experiment": load_experiment("miniature").model_dump(mode="json"),
        "adapters": {"base": {"spec": "base", "seed": None, "weights": ""}},
        "chosen": {"spider": ["a-0000"]},
        "score_sets": [SET],
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    (path / "summary.json").write_text(json.dumps({"schema_version": 2, "experiment": "miniature"}))
    write_lines(path, [HEAD, LINE])
    return path


def write_lines(folder, lines):
    (folder / ANSWERS).write_bytes(lzma.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode()))


def changed(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_is_whole_is_read_from_a_folder_and_from_a_zip(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"some/where/{path.name}")
    whole = read_study(folder, BUILT_IN)
    zipped = read_study(tmp_path / "sent.zip", BUILT_IN)
    assert whole == zipped and whole.asked == (Asked(**LINE),)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param([HEAD], "1 questions of manifest.json are missing", id="a-question-is-missing"),
        pytest.param([HEAD, LINE, LINE], "line 3: 'a-0000' stands there twice", id="twice"),
        pytest.param([HEAD, LINE | {"question": "b-0000"}], "line 2: 'b-0000'", id="unknown-question"),
        pytest.param([HEAD, LINE | {"suite": "other"}], "line 2: 'a-0000'", id="unknown-suite"),
        pytest.param([HEAD, LINE | {"answers": []}], "line 2: 0 answers of 1 adapters", id="too-few-answers"),
        pytest.param([HEAD, LINE | {"run": "me"}], "run: Extra inputs", id="unknown-field"),
        pytest.param([{"schema_version": 2}, LINE], "schema_version", id="later-version"),
        pytest.param([HEAD, [1]], "Input should be", id="no-object"),
    ],
)
def test_lines_that_are_none_of_a_study_are_refused(folder, lines, said):
    write_lines(folder, lines)
    with pytest.raises(StudyError, match="is damaged: answers.jsonl.xz") as error:
        read_study(folder, BUILT_IN)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        pytest.param("manifest.json", b"\x80\x04K\x01.", id="a-pickle"),
        pytest.param("manifest.json", b"[" * 100_000, id="nested-deeply"),
        pytest.param("summary.json", b"{}", id="no-summary"),
        pytest.param("answers.jsonl.xz", b"PK\x03\x04", id="no-xz"),
        pytest.param("answers.jsonl.xz", lzma.compress(b"{}\n" * 99)[:-20], id="cut"),
    ],
)
def test_files_that_are_no_part_of_a_study_are_refused(folder, name, contents):
    (folder / name).write_bytes(contents)
    with pytest.raises(StudyError, match=f"is damaged: {name}"):
        read_study(folder, BUILT_IN)


def test_a_name_that_leads_out_of_the_results_is_refused(folder):
    experiment = load_experiment("miniature").model_dump(mode="json") | {"name": "../../elsewhere"}
    changed(folder / "manifest.json", experiment=experiment)
    with pytest.raises(StudyError, match=r"is damaged: manifest.json name"):
        read_study(folder, BUILT_IN)


def test_answers_that_unpack_to_more_than_any_study_has_are_refused():
    packed = lzma.compress(bytes(reading.MOST_UNPACKED + 1), preset=0)
    assert len(packed) < reading.MOST_BYTES
    with pytest.raises(StudyError, match="unpacks to more than 256 MiB"):
        unpacked(packed)


def test_unpacking_takes_no_more_memory_than_it_needs(monkeypatch):
    monkeypatch.setattr(reading, "_MOST_MEMORY", 1 << 20)
    with pytest.raises(lzma.LZMAError, match="[Mm]emory"):
        unpacked(lzma.compress(b"{}", preset=6))


def test_a_zip_that_promises_or_holds_too_much_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in reading.FILES:
            archive.writestr(name, bytes(2 << 20))
    with pytest.raises(StudyError, match=r"manifest.json is larger than 1 MiB"):
        read_study(path, BUILT_IN)
    # A zip may say less than it holds: here the size that its directory gives is that of an empty file.
    contents = path.read_bytes()
    path.write_bytes(contents.replace((2 << 20).to_bytes(4, "little"), bytes(4)))
    with pytest.raises(StudyError):
        read_study(path, BUILT_IN)


def test_a_zip_of_very_many_files_is_refused(tmp_path):
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}", b"")
    with pytest.raises(StudyError, match="it holds 1,001 files"):
        read_study(path, BUILT_IN)


@pytest.mark.parametrize(
    ("suite", "answer"),
    [
        pytest.param(SPIDER, [7, False], id="a-reply-that-is-a-number"),
        pytest.param(SPIDER, [None, False], id="no-reply"),
        pytest.param(SPIDER, ["SELECT 1"], id="a-field-too-few"),
        pytest.param(MMLU, [[-1.0, -2.0, -3.0], " A"], id="three-options"),
        pytest.param(MMLU, [["-1", {}, -3.0, -4.0], " A"], id="options-that-are-no-numbers"),
        pytest.param(MMLU, ["SELECT 1", False], id="of-another-suite"),
    ],
)
def test_an_answer_that_its_suite_does_not_have_ends_in_one_line(suite, answer):
    questions = suite.opened(load_experiment("miniature"), dict.fromkeys(suite.options))
    line = Asked(suite=suite.name, question=questions.all[0].id, hashes={}, answers=[answer], scores=["1"])
    database = suite.database(questions, questions.all[0]) if suite.database else ""
    hashes = hashes_of(questions.row(questions.all[0], "base"), database)
    part = Part(suite, questions, ["base"], ["base"])
    with pytest.raises(StudyError, match="the study's answer of base to ") as error:
        _judge_lines([line.model_copy(update={"hashes": hashes})], part)
    assert "\n" not in str(error.value)
