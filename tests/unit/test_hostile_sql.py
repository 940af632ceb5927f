"""A corpus of statements written to do harm (hostile_sql/*.toml), judged one after the other in one process."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

JUDGE_CORPUS = Path(__file__).parent / "hostile_sql" / "judge_corpus.py"
TIMEOUT_S = 0.1

pytestmark = pytest.mark.slow


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def corpus_run(tiny_database, tmp_path):
    """What became of every statement, the memory it took, and the files before and after: about 15 s."""
    before = files_under(tmp_path)
    # The working folder, the home and the folder for temporary files are all watched.
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "SQLITE_TMPDIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    process = subprocess.run(
        [sys.executable, str(JUDGE_CORPUS), str(tiny_database), str(TIMEOUT_S)],
        cwd=tmp_path,
        env=os.environ | places | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, memory = [json.loads(line) for line in process.stdout.splitlines()]
    return lines, memory, before, files_under(tmp_path)


def test_the_corpus_does_no_harm(corpus_run):
    lines, memory, before, after = corpus_run
    families = Counter(line["family"] for line in lines)
    assert len({line["sql"] for line in lines}) >= 200
    assert len(families) == 13
    assert min(families.values()) >= 10

    assert after == before, "a database changed, or a file was made"
    assert not list(Path("/tmp").glob("hostile*"))
    assert memory["grown_mib"] < 256
    assert memory["sandbox_mib"] < 256

    right = [line for line in lines if line["assignment"] or line["official"] or line["bird"]]
    assert not right
    assert all(line["reason"] and line["error_kind"] for line in lines)
    assert not [line for line in lines if line["error_kind"] in ("crash", "damaged database")]
    # A statement is stopped at its limit; the rest is for a machine that does other things meanwhile.
    late = [line for line in lines if line["seconds"] > TIMEOUT_S + 5]
    assert not late
