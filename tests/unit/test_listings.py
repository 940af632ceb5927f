"""What lists tests, or anything else, needs nothing that answers them: no server, no Hub, no model, no adapter."""

import os
import socket

import pytest

from tests.processes import run_pytest
from trainer.study.settings import REPOSITORY

LISTINGS = (
    "--collect-only",
    "--help",
    "--markers",
    "--fixtures",
    "--fixtures-per-test",
    "--setup-plan",
    "--cache-show",
)


@pytest.fixture
def nobody():
    """A port that takes connections and answers none; ``nobody()`` says whether anything has connected."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)

        def connected():
            try:
                listening.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        connected.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield connected


@pytest.fixture
def listed(tmp_path, nobody):
    """``listed(*arguments)`` runs pytest where the Hub is ``nobody``, with an experiment whose base is nowhere."""
    miniature = (REPOSITORY / "trainer/experiments/miniature.toml").read_text(encoding="utf-8")
    experiment = tmp_path / "nowhere.toml"
    nowhere = miniature.replace('id = "fixtures/miniature/model"', 'id = "fixtures/no/model"')
    experiment.write_text(f"{nowhere}\n[endpoint]\nready_timeout_s = 0\ntimeout_s = 1\n")
    (tmp_path / "empty").mkdir()
    environment = {**os.environ, "HF_ENDPOINT": nobody.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
    common = [f"--experiment={experiment}", f"--results={tmp_path / 'results'}", "-m", "spider", "--max-samples=2"]

    adapters = f"--adapter=base,cfg1,{tmp_path / 'empty'},somebody/adapter"

    def run(*arguments, returns=0):
        ended = run_pytest([*common, adapters, *arguments], cwd=REPOSITORY, environment=environment)
        assert ended.returncode == returns, ended.stdout + ended.stderr
        assert not list(tmp_path.glob("results/*/[!.]*")), "nothing is trained, and nothing kept"
        return ended.stdout + ended.stderr

    return run


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_asks_no_server(listing, listed, nobody):
    listed("--train", f"--engine={nobody.address}/v1", listing)
    assert not nobody()


def test_what_cannot_be_merged_is_not_listed(listed):
    assert "--merge: one adapter without the base can be merged" in listed("--collect-only", "--merge", returns=4)


def test_tests_are_listed_of_every_adapter_that_is_named(listed, nobody):
    """Of one on the Hub too, which does not answer, and of a folder without weights."""
    lines = [line.partition("[")[2] for line in listed("--collect-only", "-q").splitlines() if "::test_spider[" in line]
    assert not nobody()
    assert len(lines) == 8
    for slug in ("base", "cfg1", "empty", "somebody_adapter"):
        assert sum(line.startswith(f"{slug}-") for line in lines) == 2
