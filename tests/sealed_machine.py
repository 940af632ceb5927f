"""A machine without what computes models: ``-p tests.sealed_machine``. Its shipped studies lie in $STUDIES."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ABSENT = ("torch", "transformers", "tokenizers", "peft", "huggingface_hub", "safetensors")


class Absent:
    """Finds nothing, and says so before anybody else looks."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in ABSENT:
            raise ImportError(f"{name} is not installed here")


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Iterator[None]:
    from fixtures.report import study_replay

    assert not sys.modules.keys() & set(ABSENT)
    sys.meta_path.insert(0, Absent())
    study_replay.STUDIES = Path(os.environ["STUDIES"])
    return (yield)
