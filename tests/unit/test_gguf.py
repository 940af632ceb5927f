"""Base models in GGUF files: the same model as its authors publish it, made once; what is said of it."""

import json
from dataclasses import replace

import pytest

from fixtures.adapters.checks import check_base_model
from fixtures.adapters.origin import base_shapes
from fixtures.results.manifest import BaseRecord
from tests.tiny_gguf import END, OWN, PAD, TEXTS, save_gguf, save_published
from tests.tiny_training import EXPERIMENT, SPIDER
from trainer.study import dequantised
from trainer.study.base_model import load_end_tokens, load_model, load_skeleton, load_tokenizer
from trainer.study.experiment import ExperimentError, load_experiment
from trainer.study.gguf_header import read_header, vocabulary_passed_over
from trainer.study.identity import base_identity, model_identity
from trainer.study.settings import BaseModelSettings


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """What is made of a file goes to a folder of this module's own."""
    folder = tmp_path_factory.mktemp("assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model_file(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    save_gguf(published, path)
    return path


def settings_of(path, **more) -> BaseModelSettings:
    return BaseModelSettings(id=str(path), dtype="float32", **more)


def logits(settings: BaseModelSettings, tokens: list[int], quantisation="none"):
    import torch

    with torch.inference_mode():
        return load_model(settings, quantisation=quantisation)(torch.tensor([tokens])).logits


def experiment_of(tmp_path, model, more: str = ""):
    path = tmp_path / "tiny.toml"
    text = EXPERIMENT.format(model=model, spider=SPIDER)
    path.write_text(text.replace("[spider]", f"{more}\n[spider]"))
    return path


def test_it_computes_what_the_published_model_does(published, model_file):
    import torch

    tokens = load_tokenizer(settings_of(published))(TEXTS[1])["input_ids"]
    theirs = logits(settings_of(published), tokens)
    torch.testing.assert_close(logits(settings_of(model_file), tokens), theirs, atol=1e-5, rtol=0)
    half = settings_of(model_file).model_copy(update={"dtype": "bfloat16"})
    assert load_model(half, quantisation="none").dtype == torch.bfloat16


def test_it_is_a_model_like_any_other(model_file, tmp_path):
    """Nothing of its quantisation is left: it can be saved, and held in 4 bits as another one."""
    model = load_model(settings_of(model_file), quantisation="none")
    assert not hasattr(model.config, "quantization_config")
    assert not getattr(model, "is_quantized", False)
    model.save_pretrained(tmp_path)
    pytest.importorskip("bitsandbytes")
    four = load_model(settings_of(model_file), quantisation="nf4")
    assert type(four.model.layers[0].mlp.up_proj).__name__ == "Linear4bit"


@pytest.mark.parametrize("cut", ["smollm", "gpt-2", "qwen2", "llama-bpe"])
def test_text_is_cut_as_the_published_tokenizer_cuts_it(cut, tmp_path):
    """Transformers alone has one way for all Llamas, cuts up ``<think>``, and begins no text with its first token."""
    save_published(tmp_path / "published", cut)
    save_gguf(tmp_path / "published", tmp_path / "model.gguf", tokenizer__ggml__pre=cut)
    own, theirs = (load_tokenizer(settings_of(tmp_path / name)) for name in ("model.gguf", "published"))
    for text in [*TEXTS, f"{OWN}\n\nSELECT 1{END}\n", *(f"{text} {OWN}{text}" for text in TEXTS)]:
        assert own(text)["input_ids"] == theirs(text)["input_ids"], text
        assert own.decode(own(text)["input_ids"]) == theirs.decode(theirs(text)["input_ids"])
    chat = [{"role": "user", "content": TEXTS[0]}]
    assert own.apply_chat_template(chat, tokenize=False) == theirs.apply_chat_template(chat, tokenize=False)


def test_the_end_of_a_reply_is_the_templates(published, model_file, tmp_path):
    """Whatever the header names, and where it names the right one that is not taken for the beginning."""
    save_gguf(published, tmp_path / "model.gguf", tokenizer__ggml__eos_token_id=1)
    for path in (model_file, tmp_path / "model.gguf"):
        tokenizer = load_tokenizer(settings_of(path))
        assert (tokenizer.eos_token, tokenizer.pad_token) == (END, PAD)
        assert tokenizer.convert_tokens_to_ids(END) in load_end_tokens(settings_of(path), tokenizer)
    plain = load_tokenizer(settings_of(model_file, chat_template="plain"))
    assert plain.eos_token == END
    assert load_end_tokens(settings_of(model_file), tokenizer) == [tokenizer.eos_token_id]


def test_it_is_made_once(published, tmp_path, capsys, monkeypatch):
    save_gguf(published, tmp_path / "once.gguf")
    settings = settings_of(tmp_path / "once.gguf")
    assert base_shapes(settings) == {}
    load_skeleton(settings)
    assert "dequantising" not in capsys.readouterr().err, "a dry run needs no weights"
    load_model(settings, quantisation="none")
    told = capsys.readouterr().err
    assert "once.gguf: dequantising Q8_0 weights to 0.0 GB, once; they are kept in" in told
    monkeypatch.setattr(dequantised, "_write_weights", None)
    load_model(settings, quantisation="none")
    assert base_shapes(settings)["model.layers.0.mlp.up_proj.weight"] == (96, 64)


def test_no_object_is_made_for_each_token_where_weights_are_read(published, tmp_path, monkeypatch):
    import gguf

    read = []
    text_at = gguf.GGUFReader._get_str
    monkeypatch.setattr(gguf.GGUFReader, "_get_str", lambda *given: read.append(given) or text_at(*given))
    save_gguf(published, tmp_path / "read.gguf", general__name="read")
    load_model(settings_of(tmp_path / "read.gguf"), quantisation="none")
    assert 0 < len(read) < len(read_header(tmp_path / "read.gguf").values["tokenizer.ggml.tokens"])


@pytest.mark.parametrize("off", [0, 8, -4], ids=["as-it-is", "too-far", "too-near"])
def test_weights_are_the_same_bit_for_bit_without_the_vocabulary(off, model_file):
    """However it is passed over: a reader that loses its way is not taken."""
    import gguf

    header = read_header(model_file)
    moved = replace(header, vocabulary={begin: end + off for begin, end in header.vocabulary.items()})
    whole, plain = gguf.GGUFReader(model_file), gguf.GGUFReader
    with vocabulary_passed_over(moved):
        passed = gguf.GGUFReader(model_file)
    assert gguf.GGUFReader is plain
    for name in ("tokens", "token_type", "merges"):
        many = len(header.values[f"tokenizer.ggml.{name}"])
        assert len(passed.fields[f"tokenizer.ggml.{name}"].data) == (many if off else 0)
    assert list(passed.fields) == list(whole.fields) and passed.data_offset == whole.data_offset == header.data
    for one, other in zip(passed.tensors, whole.tensors, strict=True):
        assert (one.name, one.tensor_type, one.data.tobytes()) == (other.name, other.tensor_type, other.data.tobytes())


def test_what_was_not_used_for_long_goes_first(published, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "assets"
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(folder))
    for number in range(3):
        path = tmp_path / f"model{number}.gguf"
        save_gguf(published, path, general__name=f"number {number}")
        load_model(settings_of(path), quantisation="none")
        if number == 1:
            size = dequantised._size(folder)
            monkeypatch.setattr(dequantised, "MOST_BYTES", size * 1.2)
    assert "which was not used for long" in capsys.readouterr().err
    kept = [bool(base_shapes(settings_of(tmp_path / f"model{number}.gguf"))) for number in range(3)]
    assert kept == [False, True, True]
    monkeypatch.setattr(dequantised, "_weights", lambda header: 1 << 60)
    with pytest.raises(ExperimentError, match=r"GB are free. Set HF_ASSETS_CACHE"):
        load_model(settings_of(tmp_path / "model0.gguf"), quantisation="none")


def test_one_of_several_in_a_folder_and_one_on_the_hub(published, tmp_path, monkeypatch):
    revision = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "hub" / "models--someone--model-GGUF" / "snapshots" / revision
    snapshot.mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    hub = BaseModelSettings(id="someone/model-GGUF", gguf_file="b.gguf", revision=revision, dtype="float32")
    with monkeypatch.context() as patch, pytest.raises(ExperimentError, match="cannot be loaded from the Hub"):
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        load_skeleton(hub)
    for name in "ab":
        save_gguf(published, snapshot / f"{name}.gguf", general__name=name)
    here = settings_of(snapshot, gguf_file="b.gguf")
    assert here.gguf == hub.gguf == snapshot / "b.gguf"
    assert settings_of(snapshot).gguf is None
    assert base_identity(hub) == f"someone/model-GGUF/b.gguf@{revision}"
    assert base_identity(here) != base_identity(settings_of(snapshot, gguf_file="a.gguf"))
    assert model_identity(here) == model_identity(hub)
    assert load_tokenizer(hub).eos_token == END
    assert len(load_skeleton(here).model.layers) == 2
    check_base_model(load_experiment(str(experiment_of(tmp_path, "someone/model-GGUF", 'gguf_file = "b.gguf"'))))


def test_a_model_beside_the_experiments_file(published, tmp_path, monkeypatch):
    save_gguf(published, tmp_path / "model.gguf")
    experiment = load_experiment(str(experiment_of(tmp_path, "model.gguf")))
    assert experiment.base_model.gguf == tmp_path / "model.gguf"
    check_base_model(experiment)
    monkeypatch.chdir(tmp_path)
    assert load_experiment("tiny.toml").base_model.id == "model.gguf", "as it was given, where that is found"


def test_a_training_and_its_dry_run(published, model_file, tmp_path, capsys):
    from trainer.__main__ import main

    arguments = ["cfg1", f"--experiment={experiment_of(tmp_path, model_file)}", f"--results={tmp_path}"]
    arguments.append("--max-train-samples=8")
    assert main([*arguments, "--dry-run"]) == 0
    assert f"base model {model_file}, weights dequantised from GGUF, Q8_0, quantisation none" in capsys.readouterr().out
    assert main(arguments) == 0
    (adapter,) = (tmp_path / "tiny" / "adapters").iterdir()
    named = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(model_file)
    assert json.loads((adapter / "run.json").read_text())["identity"]["base_model.weights"] == base_identity(
        settings_of(model_file)
    )


def test_reports_say_so(made_up_manifest, tmp_path, model_file):
    from fixtures.report.article.reproducibility import reproducibility
    from fixtures.report.settings import manifest_facts

    manifest = made_up_manifest(["base"])
    section = manifest.experiment["base_model"] | {"id": "someone/model-GGUF", "gguf_file": "b.gguf"}
    kind = dequantised.dequantised_from(settings_of(model_file))
    record = BaseRecord(weights="0", tokenizer=None, dequantised_from=kind)
    manifest = manifest.model_copy(
        update={"base_model": record, "experiment": manifest.experiment | {"base_model": section}}
    )
    assert dict(manifest_facts(manifest, []))["Base model"].startswith(
        "someone/model-GGUF/b.gguf, weights dequantised from GGUF, Q8_0"
    )
    assert "weights dequantised from GGUF, Q8_0" in json.dumps(reproducibility(manifest))


def test_weights_that_would_be_passed_over_are_refused(published, tmp_path):
    import numpy as np

    bias = {"blk.0.attn_output.bias": np.zeros(64, dtype=np.float32)}
    save_gguf(published, tmp_path / "bias.gguf", tensors=bias)
    with pytest.raises(ExperimentError, match="of its 115,712 weights Transformers reads 115,648"):
        load_model(settings_of(tmp_path / "bias.gguf"), quantisation="none")
    wide = {"blk.0.ffn_up.weight": np.zeros((128, 64), dtype=np.float32)}
    save_gguf(published, tmp_path / "wide.gguf", tensors=wide)
    with pytest.raises(ExperimentError, match="another shape than its header says"):
        load_model(settings_of(tmp_path / "wide.gguf"), quantisation="nf4")
