"""Files that are no whole base model in GGUF: one line, of trainer and evaluation alike, before they load anything."""

import importlib.util
import struct

import numpy as np
import pytest

from fixtures.adapters.adapter import AdapterError
from fixtures.adapters.checks import check_base_model
from tests.tiny_gguf import save_gguf
from tests.tiny_training import EXPERIMENT, SPIDER
from trainer.study.experiment import Experiment, ExperimentError, load_experiment


@pytest.fixture(scope="module")
def whole(published, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    save_gguf(published, path)
    return path.read_bytes()


def refused(tmp_path, path) -> str:
    """What both commands say of the file; the same."""
    from trainer.study.base_model import check_folder

    toml = tmp_path / "tiny.toml"
    toml.write_text(EXPERIMENT.format(model=path, spider=SPIDER))
    experiment: Experiment = load_experiment(str(toml))
    with pytest.raises(ExperimentError) as trained:
        check_folder(experiment.base_model)
    with pytest.raises(AdapterError) as asked:
        check_base_model(experiment)
    assert str(trained.value) in str(asked.value)
    assert "\n" not in str(trained.value)
    return str(trained.value)


def saying(name: str, kind: int, value: bytes) -> bytes:
    """A file of no tensors that says one thing of itself."""
    text = name.encode()
    return b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(text)) + text + struct.pack("<I", kind) + value


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        pytest.param(lambda whole: b"", "it is no GGUF file: it begins with b''", id="empty"),
        pytest.param(lambda whole: b"PK\x03\x04" + whole[4:], r"GGUF file: it begins with b'PK\x03\x04'", id="other"),
        pytest.param(lambda whole: whole[:20], "ends after 20 bytes, within its header. Download", id="first bytes"),
        pytest.param(lambda whole: whole[:3000], "ends after 3,000 bytes, within its header. Download", id="header"),
        pytest.param(lambda whole: whole[:-100], "bytes. Download it again", id="weights"),
        pytest.param(lambda whole: whole[:4] + whole[7:3:-1] + whole[8:], "GGUF version 50331648", id="byte order"),
        pytest.param(lambda whole: whole[:16] + b"\xff" * 8 + whole[24:], "within its header", id="damaged count"),
        pytest.param(lambda whole: saying("general.alignment", 4, b"\0" * 4), "header is damaged", id="no alignment"),
        pytest.param(
            lambda whole: saying("general.alignment", 8, struct.pack("<Q", 2) + b"32"),
            "header is damaged",
            id="alignment in words",
        ),
        pytest.param(
            lambda whole: saying("split.count", 8, struct.pack("<Q", 1) + b"2"),
            "split.count is '2'",
            id="parts in words",
        ),
        pytest.param(
            lambda whole: saying("deep", 9, struct.pack("<IQ", 9, 1) * 5000), "header is damaged", id="lists of lists"
        ),
    ],
)
def test_damage(tmp_path, whole, contents, message):
    path = tmp_path / "model.gguf"
    path.write_bytes(contents(whole))
    assert message in refused(tmp_path, path)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        pytest.param("m-00001-of-00003.gguf", {}, "one of 3 parts of a model. Join them: llama-gguf-split", id="named"),
        pytest.param("m.gguf", {"split__count": 2}, "one of 2 parts of a model", id="split by its header"),
        pytest.param("m.gguf", {"general__type": "adapter"}, "it holds a LoRA adapter and no model", id="LoRA"),
        pytest.param("m.gguf", {"general__type": "mmproj"}, "no language model but 'mmproj'", id="projector"),
        pytest.param(
            "m.gguf",
            {"general__architecture": "rwkv7"},
            "its architecture is 'rwkv7', and of GGUF files Transformers reads",
            id="architecture",
        ),
        pytest.param("m.gguf", {"tokenizer__ggml__pre": "tekken"}, "of the kind 'tekken', which is not", id="cut"),
        pytest.param("m.gguf", {"tokenizer__ggml__model": "bert"}, "of the kind 'bert', which is not", id="tokenizer"),
        pytest.param(
            "m.gguf", {"tensors": {"rope_freqs.weight": np.ones(8, np.float32)}}, "positions are scaled", id="rope"
        ),
        pytest.param("m.gguf", {"llama__rope__scaling__type": "yarn"}, "positions are scaled", id="yarn"),
    ],
)
def test_what_it_holds(tmp_path, published, name, values, message):
    save_gguf(published, tmp_path / name, **values)
    assert message in refused(tmp_path, tmp_path / name)


def test_no_such_file(tmp_path):
    assert "base model not found: no file" in refused(tmp_path, tmp_path / "none.gguf")


def test_without_the_package(tmp_path, whole, monkeypatch):
    path = tmp_path / "model.gguf"
    path.write_bytes(whole)
    found = importlib.util.find_spec
    monkeypatch.setattr("trainer.study.dequantised.find_spec", lambda name: None if name == "gguf" else found(name))
    assert "needs the package gguf: pip install -r requirements.txt" in refused(tmp_path, path)
