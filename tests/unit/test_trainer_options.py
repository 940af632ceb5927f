"""What the trainer's command line refuses, in one line and before anything is read or trained."""

import pytest

from tests.tiny_training import EXPERIMENT, SPIDER


@pytest.mark.parametrize("value", ["0", "-8", "nan", "inf", "much"])
def test_gpu_memory_is_an_amount(train, capsys, value):
    with pytest.raises(SystemExit) as stopped:
        train("cfg1", f"--gpu-memory={value}")
    assert stopped.value.code == 2
    assert f"argument --gpu-memory: {value!r} is not a number above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [[], ["--prepare-only"], ["--dry-run"], ["--find-lr"], ["--push", "someone/adapter"]]
)
def test_an_experiment_without_configurations_trains_nothing(train, base_model, tmp_path, capsys, option):
    path = tmp_path / "tiny.toml"
    head = EXPERIMENT.format(model=base_model, spider=SPIDER).split("[adapters.cfg1]")[0]
    path.write_text(f"{head}[adapters]\n")
    status, adapters = train(*option, experiment=path)
    assert status == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: experiment 'tiny' has no configuration to train. Add [adapters.cfg1] to it."
    ]
    assert not adapters.exists()


def test_an_empty_hub_id_trains_nothing(train, capsys):
    """``--push "$HUB_ID"`` with the variable unset."""
    status, adapters = train("cfg1", "--push", "")
    assert status == 2
    assert capsys.readouterr().err == "error: --push: '' is no Hub id. Write --push=OWNER/NAME.\n"
    assert not adapters.exists()
