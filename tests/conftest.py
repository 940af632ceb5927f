"""Real data, not part of the product: Spider dev, published predictions, the official evaluator's verdicts."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from custom_metrics.official_rewrites import recorded_prediction

VARIABLE = "TEXT_TO_SQL_PARITY_DATA"


@dataclass(frozen=True)
class ParityData:
    """The folder, with ``spider/``, ``predictions/`` and ``official_verdicts/`` in it."""

    folder: Path

    def questions(self) -> list[dict]:
        """Spider dev: db_id, question and query among the keys."""
        return json.loads((self.folder / "spider" / "dev.json").read_text(encoding="utf-8"))

    def database(self, db_id: str) -> Path:
        return self.folder / "spider" / "database" / db_id / f"{db_id}.sqlite"

    def systems(self) -> list[str]:
        """The published systems, by name."""
        return sorted(path.stem for path in (self.folder / "predictions").glob("*.sql"))

    def predictions(self, system: str) -> list[str]:
        """One predicted query per question, in dev order."""
        lines = (self.folder / "predictions" / f"{system}.sql").read_text(encoding="utf-8").removesuffix("\n")
        return [recorded_prediction(line) for line in lines.split("\n")]

    def verdicts(self, system: str) -> list[dict]:
        """What the official evaluator said: index, db_id, hardness and verdict of each question."""
        lines = (self.folder / "official_verdicts" / f"{system}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def parity_data() -> ParityData:
    """The data that the environment names. Read only."""
    if VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} is not set: it names the folder with spider/, predictions/ and official_verdicts/")
    return ParityData(Path(os.environ[VARIABLE]))
