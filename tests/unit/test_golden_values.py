"""What may not change when the code does: keys of stored answers, hashes of score sets, test ids, files, their bytes.

People have results on disk. A key that must change is migrated, and its golden value with it; nothing is orphaned. The
values in ``golden/`` were written by the first version, the answers by the miniature's model.
"""

import json
import os
import sqlite3
import struct
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"
SAMPLES = 12
# By the place of a question, what stands in for its gold SQL.
SPOILT = {1: "SELECT 1", 2: "", 3: "SELEC name", 4: "SELECT nme FROM nowhere", 5: "DROP TABLE guest"}


def write_adapter(results: Path) -> None:
    """``cfg1`` as if it had been trained: weights that are all zero, and the record of its settings."""
    folder = results / "miniature" / "adapters" / "cfg1-seed42"
    folder.mkdir(parents=True)
    name, shapes = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight", {"A": [16, 256], "B": [256, 16]}
    header, end = {}, 0
    for part, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name.format(part)] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "fixtures/miniature/model"}
    config |= {"r": 16, "lora_alpha": 32, "target_modules": ["layers.0.self_attn.q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "run.json").write_bytes((GOLDEN / "run.json").read_bytes())


def write_answers(results: Path) -> None:
    """An answer store that holds the golden answers, and nothing else, under the golden keys."""
    with sqlite3.connect(results / "miniature" / "answers.sqlite") as connection:
        connection.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID")
        lines = map(json.loads, (GOLDEN / "answers.jsonl").read_text(encoding="utf-8").splitlines())
        rows = [(bytes.fromhex(line["key"]), json.dumps(line["answer"])) for line in lines]
        connection.executemany("INSERT INTO answers VALUES (?, ?)", rows)
    connection.close()


@pytest.fixture
def run(tmp_path, pytestconfig):
    """``run(*arguments)`` runs pytest, which must succeed, with results under ``tmp_path``; returns what it printed."""

    def run(*arguments: str) -> str:
        command = [
            sys.executable,
            "-m",
            "pytest",
            f"--results={tmp_path}",
            "-o",
            f"cache_dir={tmp_path}/cache",
            *arguments,
        ]
        own = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=own, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


def manifest(results: Path) -> dict:
    return json.loads((results / "miniature" / "manifest.json").read_text())


def sets(results: Path) -> list[dict]:
    return manifest(results)["score_sets"]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_stored_answers_are_found_and_scored_as_ever(run, tmp_path):
    write_adapter(tmp_path)
    write_answers(tmp_path)
    run("-m", "spider or mmlu", "--replay", f"--max-samples={SAMPLES}", "--adapter=base,cfg1,cfg1*0.5")
    assert (tmp_path / "miniature" / "scores.jsonl").read_bytes() == (GOLDEN / "replayed.jsonl").read_bytes()
    golden = json.loads((GOLDEN / "sets.json").read_text())
    assert sets(tmp_path) == golden["replayed"]
    recorded = json.loads((GOLDEN / "run.json").read_text())["identity"]
    trained = {slug: one["trained"] for slug, one in manifest(tmp_path)["adapters"].items()}
    assert trained["base"] == {} and all(recorded.items() <= trained[slug].items() for slug in ("cfg1", "cfg1-x0.5"))
    assert names(tmp_path / "miniature") == golden["files"]


def test_recorded_predictions_are_scored_as_ever(run, tmp_path):
    dev = json.loads((SPIDER / "dev.json").read_text())
    lines = [SPOILT.get(place % 7, entry["query"]) for place, entry in enumerate(dev)]
    (tmp_path / "recorded.sql").write_text("".join(f"{line}\n" for line in lines))
    run("-m", "spider", f"--max-samples={3 * SAMPLES}", f"--adapter={tmp_path / 'recorded.sql'}")
    assert (tmp_path / "miniature" / "scores.jsonl").read_bytes() == (GOLDEN / "recorded.jsonl").read_bytes()
    assert sets(tmp_path) == json.loads((GOLDEN / "sets.json").read_text())["recorded"]


def test_test_ids_are_those_of_ever(run):
    printed = run("--collect-only", "-q", "-m", "spider or mmlu", "--adapter=base,cfg2:7", "--train")
    ids = [line for line in printed.splitlines() if "::" in line]
    golden = json.loads((GOLDEN / "sets.json").read_text())["test_ids"]
    assert (len(ids), ids[:2], ids[-2:]) == (golden["count"], golden["first"], golden["last"])
    assert sha256("\n".join(sorted(ids)).encode()).hexdigest() == golden["sha256_sorted"]
