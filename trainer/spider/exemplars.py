"""Exemplars, the solved training questions in the base model's prompt: listed by the experiment, or drawn."""

import contextlib
import sqlite3
import statistics
from collections.abc import Container, Iterable, Iterator
from itertools import chain, islice
from random import Random

from trainer.spider.entries import SpiderDataError
from trainer.spider.folder import SpiderFolder, SpiderQuestion
from trainer.spider.held_out import held_out_of
from trainer.spider.question_files import TRAINING
from trainer.spider.schema import Schema, quoted
from trainer.study.experiment import Experiment


def exemplars(spider: SpiderFolder, experiment: Experiment, num_shots: int | None = None) -> list[SpiderQuestion]:
    """The solved questions of the base model's prompt: the experiment's own list, or drawn with its seed.

    Drawn ones come from training databases with short schemas (up to the median), one a database. The first
    ``k`` of them are the same whatever ``num_shots`` (default: the experiment's). Where there are fewer databases, a
    database gives several. None is a question that is asked, or on a database that is held out of training.

    Raises:
        SpiderDataError: no training questions, an id that is none of them or on a database that is held out, or fewer
            exemplars than asked for.
    """
    wanted = experiment.spider.num_shots if num_shots is None else num_shots
    if not wanted:
        return []
    if not spider.has_training_questions:
        raise SpiderDataError(
            f"{wanted} exemplars wanted, and {str(spider.root)!r} has no training questions to take them from. Pass "
            f"--shots=0, or bring a {' or '.join(TRAINING)}."
        )
    left_out = held_out_of(experiment).among(spider)
    listed = _listed(spider, experiment.spider.exemplars, left_out)
    found = listed or _drawn(spider, experiment.seed, wanted, left_out)
    if len(found) < wanted:
        raise SpiderDataError(
            f"{wanted} exemplars wanted, {len(found)} found that are not asked. Pass --shots={len(found)}, or bring "
            "more training questions or exemplars."
        )
    return found[:wanted]


def _listed(spider: SpiderFolder, ids: tuple[str, ...], left_out: Container[str]) -> list[SpiderQuestion]:
    questions = {question.id: question for question in spider.train()} if ids else {}
    unknown = [name for name in ids if name not in questions]
    if unknown:
        raise SpiderDataError(
            f"spider.exemplars: {unknown[0]!r} is no training question. "
            f"Ids are database and place, e.g. {next(iter(questions))!r}."
        )
    found = [questions[name] for name in ids]
    for question in found:
        if question.db_id in left_out:
            raise SpiderDataError(
                f"spider.exemplars: {question.id!r} is on database {question.db_id!r}, which is held out of training "
                "(choosing.databases). List another."
            )
    return found


def _drawn(spider: SpiderFolder, seed: int, wanted: int, left_out: Container[str]) -> list[SpiderQuestion]:
    asked = {(question.db_id, text) for question in spider.dev() for text in (question.question, question.gold_sql)}
    questions = [
        question
        for question in spider.train()
        if question.db_id not in left_out
        and not asked & {(question.db_id, question.question), (question.db_id, question.gold_sql)}
    ]
    databases = sorted({question.db_id for question in questions})
    median = statistics.median([_length(spider.schemas[name]) for name in databases] or [0])
    rng, drawn, others = Random(f"exemplars {seed}"), [], []
    rng.shuffle(databases)
    for name in databases:
        if len(drawn) < wanted and _length(spider.schemas[name]) <= median:
            own = [question for question in questions if question.db_id == name]
            rng.shuffle(own)
            fit = _compiling(spider.schemas[name], own)
            drawn += islice(fit, 1)
            others.append(fit)
    return [*drawn, *islice(chain(*others), wanted - len(drawn))]


def _compiling(schema: Schema, questions: Iterable[SpiderQuestion]) -> Iterator[SpiderQuestion]:
    return (question for question in questions if _compiles(schema, question.gold_sql))


def _length(schema: Schema) -> int:
    """Characters in all names, which a schema's prompt grows with."""
    return sum(len(table.name) + sum(len(column.name) for column in table.columns) for table in schema.tables)


def _compiles(schema: Schema, sql: str) -> bool:
    """Whether SQLite accepts the query on empty tables of this schema; nothing is run."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        try:
            for table in schema.tables:
                columns = ", ".join(quoted(column.name) for column in table.columns)
                connection.execute(f"CREATE TABLE {quoted(table.name)} ({columns})")
            connection.execute(f"EXPLAIN {sql}")
        except sqlite3.Error:
            return False
    return True
