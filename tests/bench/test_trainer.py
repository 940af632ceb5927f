"""How fast adapters are trained and in how much memory, beside TRL's defaults and the counted floor. Needs a GPU.

The model has Llama 3 8B's shape and random weights in bfloat16: neither speed nor memory depends on what weights say.
Questions have Spider's lengths, 170 to 680 tokens of which most are the schema, and as many neighbours on one database.
"""

import random
import time
from pathlib import Path

import pytest

from tests.bench.llama_3_8b import PARAMETERS_A_TOKEN, save_llama
from tests.bench.test_engine import matrix_rate
from trainer.rows.batches import TokenisedText, cut_rows, plan_steps, row_size
from trainer.run import Conduct, lora_run
from trainer.study.experiment import Experiment, load_experiment
from trainer.study.settings import AdapterSettings
from trainer.training.memory import take_gpu

pytestmark = pytest.mark.bench

STEPS = 24  # that are computed, of a training of two epochs of Spider's length
LORA = dict(load_experiment("llama-3-8b").adapters)["cfg1"]
QLORA = LORA.model_copy(update={"quantisation": "nf4"})


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory) -> Path:
    """The model in a folder, 16 GB of disk, so that every training loads it as users' trainings load theirs."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    from trainer.machine.quiet import quiet_libraries

    quiet_libraries()
    folder = tmp_path_factory.mktemp("model") / "llama-3-8b"
    save_llama(folder)
    return folder


def made_up_texts(databases: int = 60, questions: int = 50, *, shared: bool = True) -> list[TokenisedText]:
    """Questions on databases, or with ``shared`` off each on one of its own: random tokens, SQL of 15 to 60."""
    rng = random.Random(0)

    def tokens(low: int, high: int) -> list[int]:
        return [rng.randrange(1000, 100_000) for _ in range(rng.randint(low, high))]

    texts = []
    for database in range(databases):
        schema = tokens(130, 560)
        for question in range(questions):
            asked, sql = tokens(25, 60), tokens(15, 60)
            schema = schema if shared else tokens(130, 560)
            name = f"{database}" if shared else f"{database}-{question}"
            texts.append(TokenisedText(f"{database}-{question}", name, [*schema, *asked, *sql], len(schema + asked)))
    return texts


def experiment_of(folder: Path, settings: AdapterSettings) -> Experiment:
    experiment = load_experiment("llama-3-8b")
    base = experiment.base_model.model_copy(update={"id": str(folder), "revision": ""})
    spider = experiment.spider.model_copy(update={"source": "fixtures/miniature/spider"})
    return experiment.model_copy(update={"base_model": base, "spider": spider, "adapters": {"cfg": settings}})


def free_gpu() -> None:
    """All of it."""
    take_gpu(1e6)


@pytest.mark.parametrize(
    ("settings", "gpu_memory_gb", "shared"),
    [
        pytest.param(LORA, None, True, id="LoRA"),
        pytest.param(LORA.model_copy(update={"batch_size": 64}), None, True, id="LoRA, 64 questions a step"),
        pytest.param(LORA.model_copy(update={"batch_size": 16}), None, False, id="LoRA, no database asked twice"),
        pytest.param(LORA, 24, True, id="LoRA on 24 GB"),
        pytest.param(QLORA, None, True, id="QLoRA"),
        pytest.param(QLORA, 16, True, id="QLoRA on 16 GB"),
        pytest.param(QLORA, 12, True, id="QLoRA on 12 GB"),
    ],
)
def test_training_on_a_gpu(llama_folder, tmp_path, capsys, request, settings, gpu_memory_gb, shared):
    import torch
    from transformers import TrainerCallback

    from trainer.keeping.weights import adapter_hash, adapter_weights
    from trainer.study.base_model import load_tokenizer
    from trainer.training.plan import plan_passes
    from trainer.training.progress import StepReport
    from trainer.training.row_trainer import build_trainer

    conduct = Conduct(gpu_memory_gb=gpu_memory_gb)
    run = lora_run(experiment_of(llama_folder, settings), "cfg", results_dir=tmp_path, conduct=conduct)
    free_gpu()
    steps = plan_steps(made_up_texts(shared=shared), batch_size=settings.batch_size, epochs=2.3, seed=1)
    take_gpu(gpu_memory_gb or 1e6)
    passes, expected = plan_passes(run, steps)
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    report = StepReport("", [1] * len(steps), visible=False)
    trainer = build_trainer(run, load_tokenizer(run.base_model), steps, tmp_path, report, passes)
    trainer.args.save_strategy, trainer.args.max_steps = "no", STEPS
    ends, captured, held = [], [], [trainer]

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            torch.cuda.synchronize()
            ends.append(time.perf_counter())
            captured.append(held[0].graphs.captured if held[0].graphs else 0)

    trainer.add_callback(Clock())
    loaded = time.perf_counter()
    trainer.train()
    # Of steps in which nothing was compiled or captured, which a long training does in its first minute.
    timed = [n for n in range(2, STEPS) if captured[n] == captured[n - 1]]
    seconds = sum(ends[n] - ends[n - 1] for n in timed)
    real = sum(len(text.tokens) for n in timed for text in steps[n])
    computed = sum(row_size(texts)[0] for texts in cut_rows([steps[n] for n in timed], passes.micro_batch_size))
    peak, reserved = torch.cuda.max_memory_allocated(), torch.cuda.memory_reserved()
    digest, failure = adapter_hash(adapter_weights(trainer.model)), trainer.graphs and trainer.graphs.failure
    del trainer
    held.clear()
    free_gpu()
    floor = matrix_rate() / (4 * PARAMETERS_A_TOKEN)
    with capsys.disabled():
        print(f"\n{request.node.callspec.id}: {real / seconds:,.0f} real tokens/s", end=" ")
        print(f"({real / len(timed):,.0f} in a step of {seconds / len(timed):.3f} s),", end=" ")
        print(f"{computed / seconds:,.0f} computed, floor {floor:,.0f} ({computed / seconds / floor:.0%})")
        print(f"  {passes}, graphs {captured[-1]}, failure {failure}, peak {peak / 2**30:.1f} GiB", end=", ")
        print(f"reserved {reserved / 2**30:.1f}, expected {expected / 2**30:.1f}; read in {loaded - start:.1f} s,")
        print(f"  first step after {ends[0] - loaded:.1f} s, second {ends[1] - ends[0]:.1f}; adapter {digest[:12]}")


def test_trl_defaults_on_a_gpu(llama_folder, tmp_path, capsys):
    """The peer: SFTTrainer as it comes, batches of 8 padded to the longest, activations computed again."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from trainer.study.base_model import load_model, load_tokenizer

    texts = made_up_texts()
    random.Random(0).shuffle(texts)
    texts = texts[: 8 * STEPS]
    settings = experiment_of(llama_folder, LORA).base_model
    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            torch.cuda.synchronize()
            ends.append(time.perf_counter())

    torch.cuda.reset_peak_memory_stats()
    trainer = SFTTrainer(
        load_model(settings, quantisation="none"),
        SFTConfig(output_dir=str(tmp_path), per_device_train_batch_size=8, report_to="none", disable_tqdm=True),
        train_dataset=Dataset.from_list(
            [
                {
                    "input_ids": text.tokens,
                    "completion_mask": [int(place >= text.prompt_length) for place in range(len(text.tokens))],
                }
                for text in texts
            ]
        ),
        processing_class=load_tokenizer(settings),
        peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules="all-linear"),
        callbacks=[Clock()],
    )
    trainer.args.max_steps, trainer.args.save_strategy = STEPS, "no"
    trainer.train()
    real = sum(len(text.tokens) for text in texts)
    a_second = (STEPS - 2) / STEPS / (ends[-1] - ends[1])
    peak = torch.cuda.max_memory_allocated() / 2**30
    del trainer
    free_gpu()
    with capsys.disabled():
        print(f"\nTRL's defaults: {real * a_second:,.0f} real tokens/s, peak {peak:.1f} GiB")
