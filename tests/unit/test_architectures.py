"""Whatever the architecture: together, alone and by plain Transformers, the same replies and log-likelihoods."""

import pytest

from fixtures.adapters.adapter import Adapter
from tests.tiny_architectures import ARCHITECTURES, save_tiny
from trainer.prompts import LETTERS, Prompt
from trainer.study.settings import BaseModelSettings

pytestmark = pytest.mark.slow

BASE = Adapter("base", "base", "base")
LETTER_OPTIONS = [f" {letter}" for letter in LETTERS]
NEW_TOKENS = 12
SCHEMA = "CREATE TABLE singer (singer_id NUMBER, name TEXT, country TEXT, age NUMBER)"
# Short and long ones, most with a beginning in common: windows of 24 tokens and 64 positions are crossed on the way.
TEXTS = [
    *(
        f"{SCHEMA}\nQuestion: how many singers are older than {age}?{' Count each once.' * (age % 4)}"
        for age in range(9)
    ),
    "How many?",
    "List the names of all singers, please, from the oldest to the youngest one:",
    f"{SCHEMA}; {SCHEMA}; {SCHEMA}\nQuestion: which table is the third?",
]
# Those whose answers the fast path cannot give. Another that steps aside is found here, as one that no longer must.
PLAIN = {"Phi-3 with LongRoPE", "Gemma 2", "MPT", "GPT-Neo", "Mamba"}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(architecture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_tiny(architecture, folder, TEXTS)
    return folder


@pytest.fixture(scope="module")
def engine(folder):
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(BaseModelSettings(id=str(folder), dtype="float32"))


@pytest.fixture(scope="module")
def reference(architecture, folder):
    """The model as Transformers loads it, with the attention that its authors wrote step by step.

    Falcon's adds its bias by position twice so (transformers 5.17), and Mamba has none.
    """
    from transformers import AutoModelForCausalLM

    attention = {} if architecture.startswith(("Falcon", "Mamba")) else {"attn_implementation": "eager"}
    return AutoModelForCausalLM.from_pretrained(folder, **attention).eval()


def together(engine):
    prompts = [Prompt(text=text) for text in TEXTS]
    replies = dict(engine.generate(prompts, BASE, max_new_tokens=NEW_TOKENS))
    scores = dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * len(prompts), BASE))
    return [replies[place]["reply"] for place in range(len(TEXTS))], [
        scores[place]["log_likelihoods"] for place in range(len(TEXTS))
    ]


def alone(engine):
    replies, scores = [], []
    for text in TEXTS:
        ((_, reply),) = engine.generate([Prompt(text=text)], BASE, max_new_tokens=NEW_TOKENS)
        ((_, score),) = engine.log_likelihoods([Prompt(text=text)], [LETTER_OPTIONS], BASE)
        replies.append(reply["reply"])
        scores.append(score["log_likelihoods"])
    return replies, scores


def plainly(engine, model, texts=TEXTS):
    import torch

    replies, scores = [], []
    for text in texts:
        context = engine.tokenizer(text)["input_ids"]
        ids = torch.tensor([context])
        with torch.inference_mode():
            said = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0
            )[0, len(context) :]
            replies.append(engine.tokenizer.decode(said, skip_special_tokens=True).strip())
            scores.append([])
            for option in LETTER_OPTIONS:
                whole = engine.tokenizer(text + option)["input_ids"]
                logits = model(torch.tensor([whole])).logits[0].log_softmax(-1)
                places = range(len(context), len(whole))
                scores[-1].append(sum(logits[place - 1, whole[place]].item() for place in places))
    return replies, scores


def test_replies_and_log_likelihoods_are_those_of_plain_transformers(architecture, engine, reference):
    expected = plainly(engine, reference)
    for found in (together(engine), alone(engine)):
        assert found[0] == expected[0]
        for own, other in zip(found[1], expected[1], strict=True):
            assert own == pytest.approx(other, abs=1e-4, rel=0)
    assert len(set(expected[0])) > 3, "replies that are all alike would show nothing"
    assert bool(engine.path.records["base"].problem) == (architecture in PLAIN), engine.path.records["base"]
