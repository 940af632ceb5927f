"""An experiment: one TOML file that documents a whole study, read and validated into one frozen object.

Shipped experiments lie in ``trainer/experiments/``. Training and evaluation both start from here.
"""

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from trainer.study.outside import read_text
from trainer.study.settings import (
    AdapterSettings,
    BaseModelSettings,
    ChoosingSettings,
    EndpointSettings,
    MmluSettings,
    PromptSettings,
    ReplaySettings,
    Settings,
    SpiderSettings,
    resolve,
)

EXPERIMENTS = Path(__file__).parents[1] / "experiments"

# What may be part of a folder's name, a test id and a pytest -k expression.
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]

# How strongly an adapter acts: 0.5; growing with depth, 0.25..1; in one part of each layer alone, 0.5-mlp.
SCALE = r"(?P<first>\d*\.?\d+)(?:\.\.(?P<last>\d*\.?\d+))?(?:-(?P<part>attention|mlp))?"
DialPoint = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Annotated[str, Field(pattern=rf"^{SCALE}$")]


class ExperimentError(ValueError):
    """The experiment cannot be used; the message names the value and the remedy."""


class Experiment(Settings):
    """A study: one base model, its questions, and the adapters trained on it."""

    name: Name  # of the results folder
    description: str = ""
    note: str = ""  # printed in every report, e.g. that the miniature shows the method only
    seed: int = Field(42, ge=0)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()  # of adapters named without one; empty: ``seed`` alone
    train_on_demand: bool = False
    base_model: BaseModelSettings
    spider: SpiderSettings
    mmlu: MmluSettings
    adapters: dict[Name, AdapterSettings]
    default_adapters: tuple[Name, ...] = ()  # the configurations of a command that names none; empty: all of them
    dial: tuple[DialPoint, ...] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0), min_length=1
    )  # scales that --dial asks an adapter at
    choosing: ChoosingSettings = ChoosingSettings()
    gates: tuple[str, ...] = ()
    undecided_gates: Literal["fail", "warn"] = "fail"  # on a bound that only more questions could make hold
    endpoint: EndpointSettings = EndpointSettings()
    argument: str = Field("", exclude=True)  # what ``--experiment`` takes to name it again

    @field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands there twice, and would be the same training")
        return seeds

    @field_validator("adapters")
    @classmethod
    def _base_is_taken(cls, adapters: dict) -> dict:
        if "base" in adapters:
            raise ValueError("'base' names the model without an adapter; call this configuration something else")
        return adapters

    @field_validator("default_adapters")
    @classmethod
    def _are_there(cls, names: tuple[str, ...], given: ValidationInfo) -> tuple[str, ...]:
        known = given.data.get("adapters", names)
        for name in names:
            if name not in known:
                raise ValueError(f"there is no configuration {name!r}.{did_you_mean(name, known)}")
        return names

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The configurations that a command is about which names none."""
        return self.default_adapters or tuple(self.adapters)

    def at_seeds(self, count: int, first: int | None = None) -> "Experiment":
        """This experiment at ``count`` seeds in a row, from ``first`` on (its own ``seed``)."""
        first = self.seed if first is None else first
        return self.model_copy(update={"seeds": tuple(range(first, first + count))})


def shipped_experiments() -> list[str]:
    """Names of the experiments that come with the suite."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.toml"))


def load_experiment(name_or_path: str) -> Experiment:
    """The experiment called ``name_or_path``, or the one in that TOML file.

    Raises:
        ExperimentError: no such experiment, not TOML, an unknown key or a value out of range.
    """
    path = EXPERIMENTS / f"{name_or_path}.toml"
    if not path.is_file():
        path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise ExperimentError(_unknown_experiment(name_or_path))
    try:
        values = _beside(path, tomllib.loads(read_text(path)))
        return Experiment(**{"name": path.stem, **values, "argument": name_or_path})
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(problem)}" for problem in error.errors())
        raise ExperimentError(f"experiment file {str(path)!r}:\n{problems}") from error
    except (OSError, ValueError) as error:
        raise ExperimentError(f"experiment file {str(path)!r} is not valid TOML: {error}") from error
    except RecursionError:
        raise ExperimentError(f"experiment file {str(path)!r} is nested too deeply") from None


def _beside(path: Path, values: dict) -> dict:
    """The file's ``values``, where the base model is named by its place beside the file by its whole path."""
    base = values.get("base_model")
    name = base.get("id") if isinstance(base, dict) else None
    if not isinstance(name, str) or not name or resolve(name).exists() or not (path.parent / name).exists():
        return values
    return values | {"base_model": base | {"id": str((path.parent / name).resolve())}}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint, a space before it, at another name in ``known`` that ``name`` may stand for; empty where none is near."""
    others = {one.casefold(): one for one in known if one != name}
    close = difflib.get_close_matches(name.casefold(), others, n=1)
    return f" Did you mean {others[close[0]]!r}?" if close else ""


def _unknown_experiment(name: str) -> str:
    shipped = shipped_experiments()
    hint = did_you_mean(name, shipped)
    return f"unknown experiment {name!r}.{hint} Shipped: {', '.join(shipped)}; or give a path to a TOML file."


def _explain(problem: dict) -> str:
    """One pydantic error as a sentence: the key, the value seen, and the nearest known key for a typo."""
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}.{did_you_mean(location[-1], _known_keys(location[:-1]))}"
    if problem["type"] == "missing":
        return f"key {key!r} is missing."
    # A whole section would bury what is wrong with it.
    seen = "" if isinstance(problem["input"], dict) else f" = {problem['input']!r}"
    return f"{key}{seen}: {problem['msg'].removeprefix('Value error, ')}"


def _known_keys(parents: list[str]) -> list[str]:
    if not parents:
        return list(Experiment.model_fields)
    if parents[-1] == "prompt":
        return list(PromptSettings.model_fields)
    if parents[0] == "adapters":
        return list((ReplaySettings if parents[2:] == ["replay"] else AdapterSettings).model_fields)
    return list(Experiment.model_fields[parents[0]].annotation.model_fields)
