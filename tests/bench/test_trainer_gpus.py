"""Two GPUs against one, by the commands that people run: DDP, and FSDP for a model that one GPU does not hold."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.llama_3_8b import save_llama

pytestmark = pytest.mark.bench

QUESTIONS, STEPS = 1280, 16
# One GPU takes the first in two passes, the last in one: two GPUs halve the number of passes, not what one costs.
BATCH_SIZES = (256, 128, 16)
EXPERIMENT = """
[base_model]
id = "{model}"
dtype = "bfloat16"
[spider]
source = "{spider}"
[mmlu]
source = "unused"
"""
ADAPTER = """
[adapters.batch{batch_size}]
rank = 16
alpha = 32
dropout = 0.05
target_modules = "all-linear"
learning_rate = 2e-4
epochs = {epochs}
batch_size = {batch_size}
"""
LAUNCH = {
    "one GPU": [],
    "two GPUs, DDP": ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"],
    "two GPUs, FSDP": [
        *("-m", "accelerate.commands.launch", "--num_processes", "2", "--use_fsdp", "--fsdp_version", "2"),
        *("--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP", "--fsdp_state_dict_type", "FULL_STATE_DICT"),
    ],
}


def save_spider(folder: Path) -> None:
    """Made-up questions on schemas of many sizes, 50 a database, in Spider's files."""
    rng = random.Random(0)
    databases = [f"db{number}" for number in range(QUESTIONS // 50 + 1)]
    tables = []
    for name in databases:
        columns = [[-1, "*"]] + [[table, f"column_{table}_{n}"] for table in range(rng.randint(2, 6)) for n in range(6)]
        count = columns[-1][0] + 1
        tables.append(
            {
                "db_id": name,
                "table_names_original": [f"{name}_{table}" for table in range(count)],
                "column_names_original": columns,
                "column_types": ["text"] * len(columns),
                "primary_keys": [],
                "foreign_keys": [],
            }
        )
    questions = [
        {
            "db_id": databases[n // 50],
            "question": f"How many rows of {databases[n // 50]} have {rng.randint(0, 999)} in their first column?",
            "query": f"SELECT count(*) FROM {databases[n // 50]}_0 WHERE column_0_{n % 6} = {n}",
        }
        for n in range(QUESTIONS)
    ]
    folder.mkdir()
    (folder / "tables.json").write_text(
        json.dumps([*tables, tables[0] | {"db_id": "dev", "table_names_original": ["d"] * 9}])
    )
    (folder / "train_spider.json").write_text(json.dumps(questions))
    (folder / "dev.json").write_text(json.dumps([questions[0] | {"db_id": "dev"}]))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    folder = tmp_path_factory.mktemp("study")
    save_llama(folder / "model")
    save_spider(folder / "spider")
    path = folder / "gpus.toml"
    adapters = [ADAPTER.format(batch_size=size, epochs=size * STEPS / QUESTIONS) for size in BATCH_SIZES]
    path.write_text(EXPERIMENT.format(model=folder / "model", spider=folder / "spider") + "".join(adapters))
    return path


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_two_gpus_against_one(experiment, tmp_path, capsys, batch_size):
    rates = {}
    for name, launch in LAUNCH.items():
        results = tmp_path / name.replace(" ", "-")
        command = [sys.executable, *launch, "-m", "trainer", f"batch{batch_size}"]
        run = subprocess.run(
            [*command, "--experiment", str(experiment), "--results", str(results), "--checkpoint-steps", str(STEPS)],
            env={**os.environ, **({"CUDA_VISIBLE_DEVICES": "0"} if name == "one GPU" else {})},
            capture_output=True,
            text=True,
            check=False,
        )
        with capsys.disabled():
            if run.returncode:
                print(f"\n{name}: exit status {run.returncode}\n{run.stdout[-2000:]}\n{run.stderr[-6000:]}")
                continue
            record = json.loads(next(results.rglob("run.json")).read_text())
            measured = record["training"]
            seconds = measured["wall_s"] - measured["first_step_s"]
            rates[name] = record["data"]["tokens"] * (STEPS - 1) / STEPS / seconds
            ratio = rates[name] / rates["one GPU"]
            print(f"\nbatch_size {batch_size}, {name}: {rates[name]:,.0f} real tokens/s ({ratio:.2f} times one GPU)")
            print(f"  first step after {measured['first_step_s']:.0f} s, peak {measured['peak_gb']:.1f} GB,", end=" ")
            print(f"{measured['micro_batch_size']} questions a pass, loss {measured['loss'][-1]:.4f}")
