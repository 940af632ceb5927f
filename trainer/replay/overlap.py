"""Whether a text holds a question of MMLU: what was trained on can no longer be measured.

By n-grams of words, as GPT-3's authors looked for test questions in their training data (arXiv 2005.14165, appendix C:
lower case, 8 to 13 words by the length of the questions) and as EleutherAI's harness does (13).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from trainer.mmlu.selection import choose_questions
from trainer.mmlu.sources import MmluError, MmluQuestion, open_mmlu
from trainer.replay.sources import ReplayText
from trainer.study.experiment import ExperimentError
from trainer.study.settings import MmluSettings

_LONGEST, _SHORTEST = 13, 8  # words that tell one question from all others
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Measured:
    """The questions that replay must not hold: those of ``source``, or why they could not be read (``unread``)."""

    source: str
    questions: tuple[MmluQuestion, ...] = ()
    unread: str = ""


def refuse_measured(texts: Sequence[ReplayText], settings: MmluSettings, seed: int) -> None:
    """Refuse texts that hold a question of MMLU, as far as its questions are here. Raises ExperimentError."""
    finder = _finder(settings, seed)
    found = [(text, question) for text in texts if (question := finder.found_in(text.words))]
    if found:
        (text, question), more = found[0], len(found) - 1
        others = f", and {more} more: {_listed([other.id for other, _ in found[1:]])}" if more else ""
        raise ExperimentError(
            f"replay {text.id} holds MMLU's question {question.id} ({_beginning(question.question)!r}){others}. MMLU "
            "would measure what was trained on: take these lines out of the replay."
        )


def _listed(names: list[str]) -> str:
    return ", ".join([*names[:5], *(["..."] if len(names) > 5 else [])])


def _beginning(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


@cache
def _finder(settings: MmluSettings, seed: int) -> "OverlapFinder":
    return OverlapFinder(measured_questions(settings, seed).questions)


@cache
def measured_questions(settings: MmluSettings, seed: int) -> Measured:
    """The questions that an experiment chooses and their exemplars, and all others of a copy that lies here whole.

    Other numbers of questions can then be asked of the same adapter later.
    """
    try:
        source = open_mmlu(settings.source)
        chosen = choose_questions(source, settings, seed)
        subjects = dict.fromkeys(question.subject for question in chosen)
        exemplars = [one for subject in subjects for one in source.exemplars(subject, settings.num_shots)]
        every = [one for subject in source.subjects for one in source.test(subject)]
    except MmluError as error:
        return Measured(settings.source, unread=str(error))
    return Measured(settings.source, (*exemplars, *every))


@dataclass
class OverlapFinder:
    """Finds the first of ``questions`` that a text holds.

    It does where ``_LONGEST`` words of a question follow one another in it, or all words of a shorter question; where
    those are fewer than ``_SHORTEST``, all of its options must stand there too.
    """

    questions: Sequence[MmluQuestion]
    _long: dict[int, dict[int, MmluQuestion]] = field(init=False, default_factory=dict)
    _short: dict[int, dict[tuple[str, ...], list[MmluQuestion]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for question in self.questions:
            said = words(question.question)
            if len(said) < _SHORTEST:
                self._short.setdefault(len(said), {}).setdefault(tuple(said), []).append(question)
                continue
            length = min(len(said), _LONGEST)
            # Hashes: as words, the 14,042 questions of MMLU would take some 200 MB.
            known = self._long.setdefault(length, {})
            for gram in word_grams(said, length):
                known.setdefault(hash(gram), question)

    def found_in(self, text: str) -> MmluQuestion | None:
        said = words(text)
        for length, known in self._long.items():
            for gram in word_grams(said, length):
                if hash(gram) in known:
                    return known[hash(gram)]
        for length, few in self._short.items():
            for question in (one for gram in word_grams(said, length) for one in few.get(gram, ())):
                if all(_holds(said, words(choice)) for choice in question.choices):
                    return question
        return None


def words(text: str) -> list[str]:
    """``text`` in lower case as words, without what stands between them."""
    return _WORD.findall(text.lower())


def word_grams(said: list[str], length: int) -> Iterable[tuple[str, ...]]:
    """Every ``length`` words that follow one another; none where that is 0."""
    return zip(*(said[start:] for start in range(length)), strict=False)


def _holds(said: list[str], part: list[str]) -> bool:
    return not part or tuple(part) in word_grams(said, len(part))
