"""The prompts: what the models are trained on and what they are asked, from one place.

Training and evaluation both call this module, so the two cannot drift apart. Nothing here knows a
tokenizer: a prompt is messages (or plain text), and the engine or the trainer applies the template.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from trainer.spider.cells import is_showable
from trainer.spider.folder import SpiderFolder, SpiderQuestion
from trainer.spider.schema import Schema, Table, quoted
from trainer.spider.shown import PLAIN, Shown
from trainer.spider.values import ColumnValues

INSTRUCTION = "Write one SQLite query that answers the question. Reply with the query only."
VALUES = "Values that the question may mean:"
LETTERS = ("A", "B", "C", "D")

# Spider's tables.json knows five types; these are the SQLite names people write. "others" is left without one. BIRD's
# has such names already.
_SQL_TYPES = {"text": "TEXT", "number": "NUMBER", "time": "TIME", "boolean": "BOOLEAN", "others": ""}


class Message(NamedTuple):
    """One chat turn; ``role`` is ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """What a model is asked: chat ``messages`` ending in a user turn, or plain ``text`` that no template touches."""

    messages: tuple[Message, ...] = ()
    text: str = ""

    @property
    def length(self) -> int:
        """Characters in all, a stand-in for tokens where prompts are sorted before a tokenizer is loaded."""
        return len(self.text) + sum(len(message.content) for message in self.messages)


@lru_cache(maxsize=512)  # every question on a database shows it, and those with exemplars three more
def render_schema(schema: Schema, keys: bool = True, samples: tuple[ColumnValues, ...] = ()) -> str:
    """The database as ``CREATE TABLE`` statements, one column a line, in tables.json order.

    Without ``keys`` primary and foreign keys are left out. ``samples`` stand behind their columns, as comments.
    """
    known = {(one.table, one.column): _literals(one.values) for one in samples}
    return "\n".join(_render_table(table, keys, known) for table in schema.tables)


def _render_table(table: Table, keys: bool, samples: Mapping[tuple[str, str], str]) -> str:
    lines = [f"{quote_name(column.name)} {_sql_type(column.type)}".rstrip() for column in table.columns]
    if keys and table.primary_key:
        lines.append(f"PRIMARY KEY ({', '.join(quote_name(name) for name in table.primary_key)})")
    lines += [
        f"FOREIGN KEY ({quote_name(key.column)}) "
        f"REFERENCES {quote_name(key.other_table)}({quote_name(key.other_column)})"
        for key in (table.foreign_keys if keys else ())
    ]
    lines = [*(f"{line}," for line in lines[:-1]), *lines[-1:]]
    for place, column in enumerate(table.columns):
        if shown := samples.get((table.name, column.name)):
            lines[place] += f" -- {shown}"
    return f"CREATE TABLE {quote_name(table.name)} (\n" + "\n".join(lines) + "\n)"


def _literals(values: Sequence[str]) -> str:
    """Values as SQL writes them, on one line."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values if is_showable(value))


def _render_values(values: Sequence[ColumnValues]) -> str:
    """A comment line for each column of which values are shown; empty where there are none."""
    named = [(f"{quote_name(one.table)}.{quote_name(one.column)}", _literals(one.values)) for one in values]
    # A name with a line break would end the comment.
    lines = [f"-- {name}: {shown}" for name, shown in named if shown and name.isprintable()]
    return "\n".join([f"-- {VALUES}", *lines, "", ""]) if lines else ""


def _sql_type(told: str) -> str:
    return _SQL_TYPES.get(told, told.upper() if told.isascii() and told.isalpha() else "")


def quote_name(name: str) -> str:
    """``name`` as SQL needs it written: in double quotes unless it is a plain word.

    >>> quote_name("singer_id"), quote_name("Official_ratings_(millions)")
    ('singer_id', '"Official_ratings_(millions)"')
    """
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()
    return name if plain else quoted(name)


def spider_turn(schema: Schema, question: str, evidence: str = "", shown: Shown = PLAIN) -> Message:
    """The user turn for one question: instruction, schema (which neighbours share, so it stands early), question.

    ``evidence``, what the data set tells beside the question, stands before it where there is any, and before that the
    values which the question may mean: in the schema they would end what neighbours share at their first column.
    """
    told = f"Evidence: {evidence.strip()}\n\n" if evidence.strip() else ""
    of_all = render_schema(schema, shown.keys, shown.samples)
    own = f"{_render_values(shown.values)}{told}Question: {question.strip()}"
    return Message("user", f"{INSTRUCTION}\n\n{of_all}\n\n{own}")


def spider_prompt(
    schema: Schema,
    question: str,
    exemplars: Sequence[tuple[Schema, str, *tuple[Any, ...]]] = (),
    evidence: str = "",
    shown: Shown = PLAIN,
) -> Prompt:
    """The prompt for one Spider question; ``exemplars`` are solved ones, as turns: ``(schema, question, gold_sql)``.

    An exemplar may end in evidence of its own and what is shown of its database. Without exemplars this is the format
    adapters are trained on.
    """
    turns = [
        turn
        for exemplar_schema, exemplar_question, gold_sql, *told in exemplars
        for turn in (spider_turn(exemplar_schema, exemplar_question, *told), Message("assistant", gold_sql))
    ]
    return Prompt(messages=(*turns, spider_turn(schema, question, evidence, shown)))


def question_prompts(
    spider: SpiderFolder,
    questions: Sequence[SpiderQuestion],
    shown: Sequence[Shown],
    exemplars: Sequence[SpiderQuestion] = (),
) -> list[Prompt]:
    """The prompts of ``questions``, each behind the same ``exemplars``, in training and evaluation alike.

    ``shown`` is what ``shown_beside`` finds for the exemplars and behind them the questions.
    """
    schemas, examples = spider.schemas, zip(exemplars, shown, strict=False)
    solved = [(schemas[q.db_id], q.question, q.gold_sql, q.evidence, own) for q, own in examples]
    asked = zip(questions, shown[len(exemplars) :], strict=True)
    return [spider_prompt(schemas[q.db_id], q.question, solved, q.evidence, own) for q, own in asked]


def mmlu_block(question: str, choices: Sequence[str], answer: str | None = None) -> str:
    """One multiple-choice question as MMLU writes it, ending in ``Answer:`` or, solved, in ``Answer: B``."""
    lines = [question.strip(), *(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=True))]
    return "\n".join([*lines, "Answer:" if answer is None else f"Answer: {answer}"])


def mmlu_text(
    subject: str, question: str, choices: Sequence[str], exemplars: Sequence[tuple[str, Sequence[str], str]]
) -> str:
    """The canonical MMLU prompt, byte for byte what lm-evaluation-harness's ``mmlu`` task sends.

    ``exemplars`` are ``(question, choices, answer letter)``; see lm_eval/tasks/mmlu/default/_default_template_yaml.
    """
    blocks = [mmlu_block(*exemplar) for exemplar in exemplars]
    return "\n\n".join([_mmlu_header(subject), *blocks, mmlu_block(question, choices)])


def mmlu_prompt(
    subject: str,
    question: str,
    choices: Sequence[str],
    exemplars: Sequence[tuple[str, Sequence[str], str]],
    *,
    chat: Literal["off", "message", "turns"] = "off",
) -> Prompt:
    """``mmlu_text`` as it is, as one user message, or with its exemplars as turns that the assistant has answered.

    The header stands in the first user turn, because not every chat template knows a system turn.
    """
    if chat == "off":
        return Prompt(text=mmlu_text(subject, question, choices, exemplars))
    if chat == "message":
        return Prompt(messages=(Message("user", mmlu_text(subject, question, choices, exemplars)),))
    solved = [(mmlu_block(asked, options), letter) for asked, options, letter in exemplars]
    turns = [turn for block, letter in solved for turn in (Message("user", block), Message("assistant", letter))]
    first, *others = [*turns, Message("user", mmlu_block(question, choices))]
    return Prompt(messages=(first._replace(content=f"{_mmlu_header(subject)}\n\n{first.content}"), *others))


def mmlu_reply_prompt(subject: str, question: str, choices: Sequence[str]) -> Prompt:
    """One multiple-choice question as a user asks it, without exemplars: what is to be written is said in words.

    Without a chat template the same stands there as text, ending in ``Answer:``.
    """
    asked = f"Answer this multiple-choice question about {subject.replace('_', ' ')}."
    wanted = f"Reply with the letter of the right option: {', '.join(LETTERS[:-1])} or {LETTERS[-1]}."
    return Prompt(messages=(Message("user", f"{asked} {wanted}\n\n{mmlu_block(question, choices)}"),))


def _mmlu_header(subject: str) -> str:
    return f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}."
