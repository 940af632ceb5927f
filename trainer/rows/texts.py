"""What an adapter is trained on: which questions, as which texts. Nothing here knows a tokenizer."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from trainer.prompts import VALUES, Prompt, question_prompts, render_schema
from trainer.spider.folder import SpiderFolder, SpiderQuestion
from trainer.spider.held_out import HeldOut
from trainer.spider.shown import shown_beside
from trainer.study.experiment import ExperimentError
from trainer.study.settings import PromptSettings

# A literal in quotes stays as it is; the first group is then set.
_LITERAL_OR_SPACE = re.compile(r"""('[^']*'|"[^"]*"|`[^`]*`)|\s+""")


@dataclass(frozen=True)
class TrainingText:
    """One training question as prompt and reply; questions with the same ``group`` begin with the same schema."""

    id: str
    group: str
    prompt: Prompt
    completion: str


def training_texts(
    spider: SpiderFolder,
    seed: int | None,
    max_samples: int | None = None,
    held_out: HeldOut = HeldOut(),
    prompt: PromptSettings = PromptSettings(),
) -> list[TrainingText]:
    """``training_questions`` as texts, with what ``prompt`` says shown beside them.

    Raises:
        ExperimentError: as ``training_questions``, or values are to be shown of a database that is not there.
    """
    return as_texts(spider, training_questions(spider, seed, max_samples, held_out), prompt)


def training_questions(
    spider: SpiderFolder, seed: int | None, max_samples: int | None = None, held_out: HeldOut = HeldOut()
) -> list[SpiderQuestion]:
    """Every training question but those on databases that are held out, or ``max_samples`` of them drawn with ``seed``.

    Raises:
        ExperimentError: a training question's database is a dev database, so that dev would no longer measure anything;
            or every database is held out.
    """
    questions = spider.train()
    _refuse_dev_databases(spider, questions)
    left_out = held_out.among(spider)
    questions = [question for question in questions if question.db_id not in left_out]
    if max_samples is not None:
        questions = Random(f"training sample {seed}").sample(questions, min(max_samples, len(questions)))
    return questions


def as_texts(
    spider: SpiderFolder, questions: Sequence[SpiderQuestion], prompt: PromptSettings = PromptSettings()
) -> list[TrainingText]:
    """The questions in the format that adapters are trained on and asked in."""
    prompts = question_prompts(spider, questions, shown_beside(spider, questions, prompt))
    return [
        TrainingText(id=question.id, group=question.db_id, prompt=asked, completion=tidy_sql(question.gold_sql))
        for question, asked in zip(questions, prompts, strict=True)
    ]


def with_values(texts: list[TrainingText]) -> int:
    """How many of the texts show values that their question may mean."""
    return sum(f"-- {VALUES}" in text.prompt.messages[-1].content for text in texts)


def _refuse_dev_databases(spider: SpiderFolder, questions: list[SpiderQuestion]) -> None:
    """A dev database is one by its name, by its schema, or by two questions and their SQL that it shares with one.

    One shared question proves nothing: two of Spider's own training databases have one that dev has too
    ("Count the number of documents.").
    """
    dev = spider.dev()
    names = {question.db_id for question in dev}
    schemas = {render_schema(spider.schemas[db_id]): db_id for db_id in names}
    copied = _sharing_questions(questions, dev)
    same = {
        db_id: db_id if db_id in names else schemas.get(render_schema(spider.schemas[db_id])) or copied.get(db_id)
        for db_id in {question.db_id for question in questions}
    }
    leaked = [question for question in questions if same[question.db_id]]
    if leaked:
        raise ExperimentError(
            f"{len(leaked)} training questions are on dev databases, the first is {leaked[0].id!r} "
            f"({same[leaked[0].db_id]!r}): the evaluation would measure what was trained on. "
            f"Take them out of the training files in {str(spider.root)!r}."
        )


def _sharing_questions(questions: list[SpiderQuestion], dev: list[SpiderQuestion]) -> dict[str, str]:
    """The dev database with which a training database shares two questions and their SQL, by training database."""

    def solved(question: SpiderQuestion) -> tuple[str, str]:
        return " ".join(question.question.lower().split()), tidy_sql(question.gold_sql).lower()

    of_dev = {(question.db_id, solved(question)) for question in dev}
    by_content: dict[tuple[str, str], set[str]] = {}
    for db_id, content in of_dev:
        by_content.setdefault(content, set()).add(db_id)
    contents = {(question.db_id, solved(question)) for question in questions}
    pairs = Counter((db_id, there) for db_id, content in contents for there in by_content.get(content, ()))
    return {db_id: there for (db_id, there), count in pairs.items() if count > 1}


def tidy_sql(sql: str) -> str:
    """``sql`` on one line with single spaces and no semicolon at the end; literals stay as they are.

    >>> tidy_sql("SELECT  name FROM t\\n WHERE a = 'x  y' ;")
    "SELECT name FROM t WHERE a = 'x  y'"
    """
    return _LITERAL_OR_SPACE.sub(lambda match: match[1] or " ", sql).strip(" ;")


def data_hash(texts: list[TrainingText]) -> str:
    """sha256 over every prompt and reply, in order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(json.dumps([text.id, text.prompt.messages, text.completion]).encode())
    return digest.hexdigest()
