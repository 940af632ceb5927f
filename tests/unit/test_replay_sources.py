"""Where replay comes from: the forms in which people keep conversations, and what is no conversation."""

import json
import re

import pytest

from trainer.prompts import Message
from trainer.replay.forms import read_conversation, read_prompt
from trainer.replay.sources import open_prompts, open_replay, replay_identity
from trainer.study.experiment import ExperimentError
from trainer.study.settings import ReplaySettings

ASKED, TOLD = Message("user", "Why?"), Message("assistant", "So.")


def turn(role: str, content: str) -> dict:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        pytest.param({"messages": [turn("user", "Why?"), turn("assistant", "So.")]}, [ASKED, TOLD], id="messages"),
        pytest.param({"prompt": "Why?", "completion": "So."}, [ASKED, TOLD], id="prompt-completion"),
        pytest.param(
            {"prompt": [turn("user", "Why?")], "completion": [turn("assistant", "So.")]}, [ASKED, TOLD], id="TRL"
        ),
        pytest.param({"instruction": "Why?", "output": "So."}, [ASKED, TOLD], id="alpaca"),
        pytest.param(
            {"instruction": "Add.", "input": "1, 2", "output": "3"},
            [Message("user", "Add.\n\n1, 2"), Message("assistant", "3")],
            id="alpaca-input",
        ),
        pytest.param(
            {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}] * 2},
            [ASKED, TOLD, ASKED, TOLD],
            id="sharegpt",
        ),
        pytest.param(
            {"messages": [turn("system", "Be brief."), turn("user", "Why?"), turn("assistant", "So.")]},
            [Message("user", "Be brief.\n\nWhy?"), TOLD],
            id="system",
        ),
    ],
)
def test_forms_that_people_have(row, turns):
    assert list(read_conversation(row)) == turns


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("{", "Expecting property name", id="JSON"),
        pytest.param("[1]", "it is of type list, not an object", id="list"),
        pytest.param('{"text": "So."}', "its keys are 'text'", id="keys"),
        pytest.param("{}", "its keys are none", id="empty"),
        pytest.param('{"prompt": 1, "completion": "So."}', "prompt is of type int, not a text", id="number"),
        pytest.param('{"prompt": "Why?", "completion": null}', "completion is missing, not a text", id="null"),
        pytest.param('{"prompt": " ", "completion": "So."}', "turn 1 is empty", id="blank"),
        pytest.param('{"messages": "So."}', "messages is of type str, not a list", id="text"),
        pytest.param('{"messages": [{"role": "user"}]}', "turn 1 of messages has no 'role' and 'content'", id="turn"),
        pytest.param(
            '{"conversations": [{"from": "bing", "value": "So."}]}', "is by 'bing', not by one of system", id="role"
        ),
        pytest.param('{"messages": []}', "it does not end in a reply", id="none"),
        pytest.param(
            json.dumps({"messages": [turn("assistant", "So.")]}), "is by 'assistant' where one by 'user'", id="order"
        ),
        pytest.param(json.dumps({"messages": [turn("user", "Why?")]}), "it does not end in a reply", id="unanswered"),
        pytest.param("[" * 100_000, "nested too deeply", id="deep"),
    ],
)
def test_what_is_no_conversation_is_named_by_file_and_line(tmp_path, line, said):
    path = tmp_path / "general.jsonl"
    path.write_text(f'{{"prompt": "Why?", "completion": "So."}}\n\n{line}\n')
    with pytest.raises(ExperimentError, match=rf"general.jsonl: line 3 is no conversation: .*{said}") as error:
        open_replay(ReplaySettings(source=str(path)))
    assert '{"instruction", "input", "output"}' in str(error.value)


def test_a_folder_of_files_and_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet

    rows = [{"messages": [turn("user", f"Why {n}?"), turn("assistant", "So.")]} for n in range(3)]
    (tmp_path / "a").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a" / "b.parquet")
    (tmp_path / "c.jsonl").write_text(json.dumps(rows[0]))
    (tmp_path / "notes.txt").write_text("no replay")
    texts = open_replay(ReplaySettings(source=str(tmp_path)))
    assert [text.id for text in texts] == ["a/b.parquet:1", "a/b.parquet:2", "a/b.parquet:3", "c.jsonl:1"]
    assert texts[1].prompt.messages == (Message("user", "Why 1?"),) and texts[1].completion == "So."


def test_a_damaged_parquet_row_is_named(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["Why?"], "completion": [""]}), tmp_path / "b.parquet")
    with pytest.raises(ExperimentError, match="b.parquet: row 1 is no conversation: turn 2 is empty"):
        open_replay(ReplaySettings(source=str(tmp_path / "b.parquet")))
    (tmp_path / "b2.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ExperimentError, match="b2.parquet cannot be read"):
        open_replay(ReplaySettings(source=str(tmp_path / "b2.parquet")))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("nowhere.jsonl", "replay not found: no file or folder 'nowhere.jsonl'", id="file"),
        pytest.param("owner/general", 'For a data set of the Hub add revision = "COMMIT"', id="hub"),
        pytest.param("pytest.ini", "'pytest.ini' is no .jsonl or .parquet file", id="kind"),
    ],
)
def test_what_is_no_source_is_said(source, said):
    with pytest.raises(ExperimentError, match=re.escape(said)):
        open_replay(ReplaySettings(source=source))


def test_a_data_set_of_the_hub_is_read_as_a_folder_at_its_revision(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []
    (tmp_path / "train.jsonl").write_text(json.dumps({"prompt": "Why?", "completion": "So."}))
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *own, **more: asked.append((own, more)) or tmp_path
    )
    (text,) = open_replay(ReplaySettings(source="owner/general", revision="1a2b"))
    assert (text.id, text.completion) == ("train.jsonl:1", "So.")
    assert asked == [
        (("owner/general",), {"repo_type": "dataset", "revision": "1a2b", "allow_patterns": ["*.jsonl", "*.parquet"]})
    ]


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch):
    import huggingface_hub

    def fail(*_, **__):
        raise OSError("no connection\nat all")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ExperimentError, match="'owner/other' at revision '1a2b' cannot be fetched .*: no connection"):
        open_replay(ReplaySettings(source="owner/other", revision="1a2b"))


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(ExperimentError, match=r"none.jsonl' holds no line. Accepted are"):
        open_replay(ReplaySettings(source=str(tmp_path / "none.jsonl")))


@pytest.mark.parametrize("row", [{"prompt": "Why?"}, {"messages": [turn("user", "Why?"), turn("assistant", "So.")]}])
def test_prompts_may_be_conversations(row):
    assert read_prompt(row) == (ASKED,)


def test_the_prompts_that_come_with_it():
    """About two hundred, each its own, of many kinds."""
    prompts = [text.prompt.messages for text in open_prompts(ReplaySettings())]
    asked = {messages[0].content for messages in prompts}
    assert len(prompts) == len(asked) >= 200
    for kind in ("Translate into", "Write a", "Explain", "Python", "What is 17 times 24", "Summarise"):
        assert any(kind in text for text in asked), kind


def test_replay_is_identified_by_what_it_says(tmp_path):
    """Not by where it lies; and told without its texts where it lies elsewhere."""
    line = json.dumps({"prompt": "Why?", "completion": "So."})
    for name, contents in (("a", line), ("b", line), ("c", line.replace("So", "Because"))):
        (tmp_path / f"{name}.jsonl").write_text(contents)
    one, same, other, gone = (
        replay_identity(ReplaySettings(source=str(tmp_path / f"{name}.jsonl"))) for name in "abcd"
    )
    assert one == same != other
    assert gone == {"adapter.replay.share": 0.05}
    hub = replay_identity(ReplaySettings(source="owner/general", revision="1a2b"))
    assert hub["adapter.replay.texts"] == "owner/general@1a2b"
