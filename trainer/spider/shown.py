"""What a prompt shows of a database beside tables and columns: keys, sample values, values the question may mean."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.spider.cells import ColumnCells, read_cells
from trainer.spider.entries import ELSEWHERE, SpiderDataError
from trainer.spider.folder import SpiderFolder
from trainer.spider.question import SpiderQuestion
from trainer.spider.values import ColumnValues, ValueIndex
from trainer.study.settings import PromptSettings


@dataclass(frozen=True)
class Shown:
    """``samples`` belong to the database, ``values`` to one question."""

    keys: bool = True
    samples: tuple[ColumnValues, ...] = ()
    values: tuple[ColumnValues, ...] = ()


PLAIN = Shown()


def shown_beside(spider: SpiderFolder, questions: Sequence[SpiderQuestion], settings: PromptSettings) -> list[Shown]:
    """What is shown beside each of ``questions``; a database is read once for all of its questions.

    Raises:
        SpiderDataError: values are to be shown of a database that is missing or damaged.
    """
    if not settings.reads_databases:
        return [Shown(settings.keys)] * len(questions)
    check_databases(spider, questions, settings)
    places: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        places.setdefault(question.db_id, []).append(place)
    found = [PLAIN] * len(questions)
    for db_id, own in places.items():
        cells = read_cells(spider.database_path(db_id), spider.schemas[db_id])
        samples = samples_of(cells, settings.samples)
        index = ValueIndex(cells if settings.values else ())
        meant = functools.cache(functools.partial(index.meant_by, most=settings.values))
        for place in own:
            found[place] = Shown(settings.keys, samples, meant(questions[place].question))
    return found


def check_databases(spider: SpiderFolder, questions: Sequence[SpiderQuestion], settings: PromptSettings) -> None:
    """Refuse prompts that show values of databases which are not there. Raises SpiderDataError."""
    names = dict.fromkeys(question.db_id for question in questions)
    missing = missing_databases(spider, questions) if settings.reads_databases else []
    if missing:
        wanted = " and ".join(f"{name} = {n}" for name, n in settings.model_dump().items() if n and name != "keys")
        raise SpiderDataError(
            f"prompts are to show values ({wanted}), and of {len(names)} databases that questions in "
            f"{str(spider.root)!r} are on {len(missing)} are missing: {', '.join(missing[:5])}"
            f"{', ...' if len(missing) > 5 else ''}. {ELSEWHERE} Or set samples = 0 and values = 0 in [...prompt]."
        )


def missing_databases(spider: SpiderFolder, questions: Sequence[SpiderQuestion]) -> list[str]:
    """The databases that ``questions`` are on and that have no file, in their order."""
    names = dict.fromkeys(question.db_id for question in questions)
    return [name for name in names if not spider.databases.get(name) or not spider.databases[name][0].is_file()]


def samples_of(cells: Sequence[ColumnCells], most: int) -> tuple[ColumnValues, ...]:
    """The first ``most`` texts of every column, columns without any left out."""
    return tuple(ColumnValues(one.table, one.column, one.texts[:most]) for one in cells if most and one.texts)
