"""The template that an adapter was trained under: what makes it another adapter, and what its folder holds of it."""

import json
import shutil
from pathlib import Path

import pytest

from fixtures.adapters.templates import template_notes
from tests.tiny_training import EXPERIMENT, SPIDER, record_of
from trainer.keeping.state import adapter_state, differing_settings
from trainer.run import UNRECORDED, lora_run
from trainer.study.experiment import load_experiment

DATED = (
    "{{ strftime_now('%d %b %Y') if day }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
AT_DEFAULTS, SET = "", 'date = "2025-03-01"\ntemplate_arguments = { day = true }'


@pytest.fixture
def study(base_model, tmp_path):
    """``study(settings)``: the experiment on a model with a dated template, with settings of the base model."""

    def made(settings: str) -> Path:
        folder = shutil.copytree(base_model, tmp_path / "model", dirs_exist_ok=True)
        (folder / "chat_template.jinja").write_text(DATED + "\n")
        path = tmp_path / "tiny.toml"
        text = EXPERIMENT.format(model=folder, spider=SPIDER)
        path.write_text(text.replace('dtype = "float32"', f'dtype = "float32"\n{settings}'))
        return path

    return made


def run_of(experiment: Path, results: Path):
    return lora_run(load_experiment(str(experiment)), "cfg1", results_dir=results, max_train_samples=8)


def recorded(run) -> None:
    run.output_dir.mkdir(parents=True)
    (run.output_dir / "adapter_model.safetensors").touch()
    (run.output_dir / "run.json").write_text(json.dumps({"identity": run.identity}))


def test_an_adapter_without_recorded_template_settings_is_current_at_their_defaults(study, tmp_path):
    run = run_of(study(AT_DEFAULTS), tmp_path)
    recorded(run)
    assert not UNRECORDED.keys() & record_of(run.output_dir)["identity"].keys()
    assert adapter_state(run) == "ready"
    run = run_of(study(SET), tmp_path)
    assert adapter_state(run) == "stale"
    assert differing_settings(run) == [
        'base_model.template_arguments: trained with {}, now {"day": true}',
        'base_model.date: trained with "2024-07-26", now "2025-03-01"',
    ]


def test_an_adapter_of_other_template_settings_is_stale_at_the_defaults(study, tmp_path):
    run = run_of(study(SET), tmp_path)
    recorded(run)
    assert adapter_state(run) == "ready"
    run = run_of(study(AT_DEFAULTS), tmp_path)
    assert adapter_state(run) == "stale"
    assert 'base_model.date: trained with "2025-03-01", now "2024-07-26"' in differing_settings(run)


@pytest.mark.parametrize("settings", [AT_DEFAULTS, SET, 'chat_template = "plain"'])
def test_an_adapter_that_training_wrote_has_no_template_of_its_own(study, settings, tmp_path):
    from trainer.study.base_model import load_tokenizer

    base, folder = load_experiment(str(study(settings))).base_model, tmp_path / "adapter"
    load_tokenizer(base).save_pretrained(folder)
    assert template_notes(folder, base) == []
    other = load_experiment(str(study('date = "1999-12-31"'))).base_model
    assert "differs from the base model's" in template_notes(folder, other)[0]


def test_nor_where_the_base_model_is_a_gguf_file(base_model, tmp_path):
    gguf = pytest.importorskip("gguf")
    from transformers import AutoTokenizer

    from trainer.study.settings import BaseModelSettings

    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_chat_template(DATED)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    tokenizer.chat_template = DATED
    tokenizer.save_pretrained(tmp_path / "adapter")
    base = BaseModelSettings(id=str(path))
    assert template_notes(tmp_path / "adapter", base) == []
    tokenizer.chat_template = "{{ 1 }}"
    tokenizer.save_pretrained(tmp_path / "adapter")
    assert len(template_notes(tmp_path / "adapter", base)) == 1
