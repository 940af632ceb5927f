"""How fast questions are answered, beside lm-evaluation-harness, plain ``generate`` and the counted floor.

The GPU's part asks a model of Llama 3 8B's shape with random weights in bfloat16: speed does not depend on what weights
say. Its prompts have the lengths of real ones, in a small tokenizer's tokens.
"""

import random
import time
from collections.abc import Callable

import pytest

from fixtures.adapters.adapter import Adapter
from tests.bench.llama_3_8b import ENDING, LLAMA_3_8B, MOST, PARAMETERS_A_TOKEN, QUESTIONS, like_spider
from trainer.mmlu.selection import choose_questions
from trainer.mmlu.sources import open_mmlu
from trainer.prompts import LETTERS, Prompt, mmlu_text
from trainer.study.experiment import load_experiment

pytestmark = pytest.mark.bench

BASE = Adapter("base", "base", "base")
OPTIONS = [f" {letter}" for letter in LETTERS]


def seconds(work: Callable, repeats: int = 3) -> float:
    """The shortest of several runs."""
    import torch

    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def changed_letters(engine, prompts: list[Prompt], adapter: Adapter = BASE) -> int:
    """How many questions get another letter when they are asked one by one instead of 64 together."""
    chosen = []
    for size in (1, 64):
        answers = []
        for start in range(0, len(prompts), size):
            some = prompts[start : start + size]
            found = dict(engine.log_likelihoods(some, [OPTIONS] * len(some), adapter))
            answers += [found[place]["log_likelihoods"] for place in range(len(some))]
        chosen.append([max(range(4), key=values.__getitem__) for values in answers])
    return sum(one != other for one, other in zip(*chosen, strict=True))


def test_mmlu_on_a_cpu(parity_data, capsys):
    """The miniature's model on the default 150 questions of real MMLU; the harness at its best batch size."""
    from fixtures.engines.transformers_engine import TransformersEngine
    from tests.lm_evaluation_harness import NUM_SHOTS, load_harness, mmlu_tasks, run_harness

    experiment = load_experiment("miniature")
    source = open_mmlu(str(parity_data.folder / "mmlu"))
    subjects = ("college_computer_science", "philosophy", "high_school_macroeconomics")
    settings = experiment.mmlu.model_copy(update={"subjects": subjects})
    questions = choose_questions(source, settings, experiment.seed)
    solved = {s: [(e.question, e.choices, e.answer) for e in source.exemplars(s, NUM_SHOTS)] for s in subjects}
    prompts = [Prompt(text=mmlu_text(q.subject, q.question, q.choices, solved[q.subject])) for q in questions]
    engine = TransformersEngine(experiment.base_model)

    def ours() -> None:
        engine.encoder._encoded.clear()
        list(engine.log_likelihoods(prompts, [OPTIONS] * len(prompts), BASE))

    own = seconds(ours)
    tasks = mmlu_tasks(source, questions)
    theirs = {}
    for size in (1, 4, 16, 64):
        harness = load_harness(experiment.base_model.folder, size)
        theirs[size] = seconds(lambda harness=harness: run_harness(harness, tasks, NUM_SHOTS), repeats=1)
    best = min(theirs, key=theirs.get)
    with capsys.disabled():
        print(
            f"\nours {150 / own:.1f} questions/s; lm-evaluation-harness {150 / theirs[best]:.1f} at batch size {best}"
        )
        print(f"ratio {theirs[best] / own:.1f}; letters changed from batch 1 to 64: {changed_letters(engine, prompts)}")


@pytest.fixture(scope="module")
def gpu_engine():
    """The engine around an 8B model with random weights: 16 GB of GPU memory, 5 s."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    from transformers import LlamaConfig, LlamaForCausalLM

    from fixtures.engines import adapted_model, transformers_engine

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patched:
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        with torch.device("cuda"):
            model = LlamaForCausalLM(LlamaConfig(**LLAMA_3_8B, tie_word_embeddings=False))
        torch.set_default_dtype(default)
        model.generation_config.eos_token_id = None

        def random_model(settings, *, quantisation, attention):
            model.set_attn_implementation(attention)
            return model

        patched.setattr(adapted_model, "load_model", random_model)
        engine = transformers_engine.TransformersEngine(load_experiment("miniature").base_model)
    engine._ends = torch.tensor([LLAMA_3_8B["vocab_size"] - 1], device="cuda")
    return engine


def written(engine, tokens: int, rng: random.Random) -> str:
    """A text of just so many tokens."""
    words = ["name", "country", "the", "year", "of", "singer", "total", "age", "which", "how", "many", "find", "all"]
    text = ""
    while len(ids := engine.tokenizer(text, add_special_tokens=False)["input_ids"]) < tokens:
        text += f" {rng.choice(words)} {rng.randint(0, 9)}"
    return engine.tokenizer.decode(ids[:tokens])


def matrix_rate() -> float:
    """Floating-point operations a second of a large bfloat16 product."""
    import torch

    one, other = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 20 * 2 * 8192**3 / seconds(lambda: [one @ other for _ in range(20)])


def prompt_tokens(engine, prompts: list[Prompt], shared: int, groups: int) -> int:
    """Tokens that must be computed when every group's ``shared`` ones are computed once."""
    return sum(len(ids) - shared for ids in engine.encoder.prompts(prompts)) + shared * groups


def test_mmlu_on_a_gpu(gpu_engine, capsys):
    """150 questions, 50 behind each of three sets of exemplars: 420 shared and 40 to 160 own tokens."""
    rng = random.Random(0)
    prompts = []
    for _ in range(3):
        exemplars = written(gpu_engine, 420, rng)
        prompts += [
            Prompt(text=exemplars + written(gpu_engine, rng.randint(38, 158), rng) + "\nAnswer:") for _ in range(50)
        ]

    def ours(*, keep_tokens: bool) -> None:
        if not keep_tokens:
            gpu_engine.encoder._encoded.clear()
        list(gpu_engine.log_likelihoods(prompts, [OPTIONS] * 150, BASE))

    ours(keep_tokens=False)
    first, again = seconds(lambda: ours(keep_tokens=False)), seconds(lambda: ours(keep_tokens=True))
    floor = 2 * PARAMETERS_A_TOKEN * prompt_tokens(gpu_engine, prompts, 420, 3) / matrix_rate()
    average = sum(map(len, gpu_engine.encoder.prompts(prompts))) / 150
    with capsys.disabled():
        print(f"\n150 questions of {average:.0f} tokens: {150 / first:.0f}/s, {150 / again:.0f}/s for a second adapter")
        print(f"counted floor {150 / floor:.0f}/s; changed from batch 1 to 64: {changed_letters(gpu_engine, prompts)}")


PLAINLY = 64


@pytest.fixture
def planted(gpu_engine):
    """Replies as long as prompts' last tokens say: ``ENDING + n`` is followed by ``ENDING + n - 1``, by whomever."""
    import torch

    model, seen = gpu_engine.models.base, {}

    def say(_, __, logits):
        ids, kept = seen["ids"], seen["kept"]
        if ids.shape[1] != logits.shape[1]:
            ids = ids[:, kept if torch.is_tensor(kept) else slice(-logits.shape[1], None)]
        return logits.scatter(-1, (ids - 1).clamp(min=0)[..., None], 1e4)

    hooks = [
        model.register_forward_pre_hook(
            lambda _, __, given: seen.update(kept=given.get("logits_to_keep")), with_kwargs=True
        ),
        model.get_input_embeddings().register_forward_pre_hook(lambda _, given: seen.update(ids=given[0])),
        model.get_output_embeddings().register_forward_hook(say),
    ]
    prompts, lengths = like_spider()
    yield prompts, lengths
    for hook in hooks:
        hook.remove()


def test_replies_on_a_gpu(gpu_engine, planted, capsys):
    """512 questions: base, an adapter, and plain ``generate``; beside the floor of reading the prompts alone."""
    import torch
    from peft import LoraConfig, get_peft_model

    prompts, lengths = planted
    plain = seconds(lambda: plain_generate(gpu_engine, prompts[:: QUESTIONS // PLAINLY]), repeats=1)
    base, way = replies(gpu_engine, BASE, prompts, lengths)
    settings = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    gpu_engine.models._model = get_peft_model(
        gpu_engine.models.base, settings, "adapter0", autocast_adapter_dtype=False
    ).eval()
    gpu_engine.models._attached = {None: "adapter0"}
    tuned, _ = replies(gpu_engine, Adapter("cfg1", "cfg1", "configuration"), prompts, lengths)
    tokens = sum(map(len, prompts)) - 330 * (QUESTIONS - 20)
    floor = 2 * PARAMETERS_A_TOKEN * tokens / matrix_rate()
    with capsys.disabled():
        print(f"\n{torch.cuda.get_device_name()}: {QUESTIONS / base:.1f} questions/s, {QUESTIONS / tuned:.1f} adapted")
        print(f"plain generate at batch {PLAINLY} {PLAINLY / plain:.1f}; reading the prompts {QUESTIONS / floor:.1f}")
        print(f"{way}; peak memory {torch.cuda.max_memory_allocated() / 2**30:.0f} GiB")


def replies(engine, adapter: Adapter, prompts: list[list[int]], lengths: list[int]) -> tuple[float, str]:
    """Seconds that the first run of all takes, as users have it, and how they were computed."""
    import torch

    from fixtures.engines.greedy_decoding import GreedyReplies

    count, bounds = engine._memory.batch([len(one) + MOST for one in prompts], refilled=True)
    assert count == QUESTIONS, "a smaller GPU answers them in several batches, which this does not measure"
    ends = torch.tensor([ENDING], device="cuda")
    start = time.perf_counter()
    with engine.models.active(adapter) as model, torch.inference_mode():
        asked = GreedyReplies(model, prompts, ends, MOST, bounds=bounds)
        found = dict(asked)
    taken = time.perf_counter() - start
    assert [len(found[place].tokens) for place in range(QUESTIONS)] == lengths
    return taken, asked.way


def plain_generate(engine, prompts: list[list[int]]) -> None:
    """What a simple script does with as many prompts as it asks at once."""
    import torch

    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(one)) + one for one in prompts], device="cuda")
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts], device="cuda")
    given = {"max_new_tokens": MOST, "do_sample": False, "eos_token_id": ENDING, "pad_token_id": 0}
    engine.models.base.generate(input_ids=ids, attention_mask=mask, **given)


def test_replies_on_a_cpu(capsys):
    """What a laptop does: 48 of the miniature's questions, all of one prompt form, beside ``generate`` at its best."""
    import torch

    from fixtures.engines.transformers_engine import TransformersEngine
    from fixtures.questions.spider.suite import SPIDER

    experiment = load_experiment("miniature")
    questions, most = SPIDER.open(experiment, dict.fromkeys(SPIDER.options)), experiment.spider.max_new_tokens
    prompts = questions.prompts(questions.all[::4][:48], False)
    engine = TransformersEngine(experiment.base_model)
    ids = engine.encoder.prompts(prompts)
    ends = engine._ends.tolist()
    own = seconds(lambda: list(engine.generate(prompts, BASE, max_new_tokens=most)), repeats=2)

    def plain(size: int) -> None:
        for start in range(0, len(ids), size):
            some = ids[start : start + size]
            width = max(map(len, some))
            padded = torch.tensor([[0] * (width - len(one)) + one for one in some])
            mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in some])
            given = {"max_new_tokens": most, "do_sample": False, "eos_token_id": ends, "pad_token_id": ends[0]}
            engine.models.base.generate(input_ids=padded, attention_mask=mask, **given)

    theirs = {size: seconds(lambda size=size: plain(size), repeats=1) for size in (1, 8, 48)}
    best = min(theirs, key=theirs.get)
    with capsys.disabled():
        print(
            f"\nours {len(ids) / own:.1f} replies/s; generate {len(ids) / theirs[best]:.1f} at batch {best}", end=", "
        )
        print(f"{len(ids) / theirs[1]:.1f} one by one; ratio {theirs[best] / own:.1f}")
