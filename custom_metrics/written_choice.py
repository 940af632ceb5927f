"""What a model writes to a multiple-choice question -> the one option that it answers with, or why there is none.

The rule: a letter counts where it is said to be the answer, else where it stands as a label before all else, else where
a word such as "option" leads to it; then an option's text does. The first of these that names any option decides;
where it names two, the reply chooses none. A last word ("so the answer is C") comes before earlier ones, and what
follows a new question that the model asks itself is not read.

lm-evaluation-harness (``MultiChoiceRegexFilter``, lm_eval/filters/extraction.py) goes from a pattern of letters to the
options' texts, too, and simple-evals (common.py) reads "Answer: B" in some forty languages. Both give a letter to
replies that name several; both read letters in SQL.
"""

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from custom_metrics.multiple_choice import LETTERS
from custom_metrics.sql.extraction import extract_sql, holds_sql
from custom_metrics.sql.reading.turns import answering_turn

# So many options, each said to be the answer, are no correction of one by another.
_RAMBLING = 3
# A reply of 64 tokens has some 300 characters; of a longer one the beginning and the end answer.
MOST_READ_CHARACTERS = 4_000


class Kind(StrEnum):
    """What a reply to a multiple-choice question is."""

    ANSWER = "answer"
    SEVERAL = "several answers"
    SQL = "SQL"
    NONE = "no answer"


class WrittenChoice(NamedTuple):
    """``letter`` is None where ``kind`` is not an answer."""

    kind: Kind
    letter: str | None = None


# "answer" in the languages that models fall into; most of them are simple-evals' (MULTILINGUAL_ANSWER_REGEXES).
_ANSWER = (
    "answer|antwort|lösung|réponse|reponse|respuesta|resposta|risposta|antwoord|svar|vastaus|odpowiedź|odpověď|cevap|"
    "ответ|відповідь|απάντηση|jawaban|đáp án|答案|答え|回答|解答|答|정답|답변|답|الإجابة|الجواب|إجابة|उत्तर|উত্তর|คำตอบ"
)
_IS = (
    r"(?:is|are|be|ist|lautet|est|es|è|é|är|er|jest|would be|should be|must be|will be|是|は|هي)"
    r"(?:\s+(?:clearly|therefore|definitely|thus|likely|probably))?"
)
# Capitals count, "b" to "d" too; "A" may open a sentence that is quoted, and "a" be the article, but for "(a)" and at
# the end of a line.
_NO_ARTICLE = r"(?!\s+(?!(?:because|since|as|and|or|is|which|but|not)\b)[a-z])"
_LETTER = rf"[(\[\"']{{0,2}}(?-i:[B-D]|A{_NO_ARTICLE}|[b-d]|a(?=[)\].,;:\"']*\s*$|[)\]]))(?![\w'-])[)\]\"']{{0,2}}"
_AND = r"\s*(?:,|/|&|\b(?:or|and|oder|und|ou|et)\b|,\s*(?:or|and)\b)\s*"
_OPTION = r"(?:option|choice|letter|statement|alternative|buchstabe|lettre|opción)s?"
_LETTERS = rf"(?:(?:the |die |la |l')?{_OPTION}\s+)?({_LETTER}(?:{_AND}(?:option\s+)?{_LETTER})*)"
_RIGHT = r"(?:correct|right|best|most (?:accurate|appropriate|likely)|richtig|korrekt|correcte|correcta)e?"
# "The correct answer to this question is: (B)", "Answer: B", "correct option is B", "my choice is B"
_LEADING = (
    rf"(?:\b|(?<=[^\x00-\x7f]))(?:{_ANSWER}|{_RIGHT}\s+(?:{_OPTION}|one)|my choice|solution)[\"']?(?:\s+{_RIGHT})?"
    rf"(?:\s+(?:to|for|of)\s+(?:this|the)(?:\s+\w+)?\s+question)?\s*(?:{_IS}\s*:?|[:=]|-+>?|→)?\s*"
)
_SAID = re.compile(
    rf"{_LEADING}{_LETTERS}"
    rf"|\\boxed\s*\{{\s*(?:\\\w+\s*\{{\s*)?({_LETTER})"
    # "I would go with B", "it is B", "therefore, C", and nothing that the letter could belong to
    rf"|\b(?:I(?:'d| would| will|'ll)?\s+(?:choose|pick|select|say|go (?:with|for)|think|believe)"
    rf"|it(?:'s| is| must be| should be)|(?:therefore|thus|hence|so)[,:]?)\s+(?:it(?:'s| is)\s+)?"
    rf"{_LETTERS}(?=[.,;!)\"']*\s*$|[.,;!]\s|\s+because\b)"
    # "B is correct", but not "Hepatitis B is the best known"
    rf"|(?:^|(?<=[.,;:!?]\s)|\b(?:that|so|think|and|but|both|{_OPTION})\s+){_LETTERS}\s+{_IS}\s+(?:the\s+|la\s+|die\s+)?"
    rf"{_RIGHT}\b",
    re.IGNORECASE | re.MULTILINE,
)
_SAID_IN_WORDS = re.compile(rf"{_LEADING}(\S.*)$", re.IGNORECASE | re.MULTILINE)
_LABEL = re.compile(
    rf"(?:(?i:option|choice)\s+)?([(\[\"']?(?:[A-D]|[a-d](?=[)\].:\"']|\s*$))(?![\w'])[)\]\"']?"
    rf"(?:{_AND}[(\[]?[A-Da-d](?!\w)[)\]]?)*)(?=\s*$|\s*[.](?!\w)|\s*[:,;)\]]|\s+[=–—-]\s|\s+(?:because|since)\b)"
)
_REPEATED = re.compile(r"(?P<letter>[A-D])(?:[\s.,;)]+(?P=letter))+\W*")
_LED_TO = re.compile(rf"\b{_OPTION}\s+({_LETTER})|(\([A-D]\))", re.IGNORECASE)
_NEXT_QUESTION = re.compile(r"\n\s*(?:question|q|user|human|frage)\s*\d*\s*:|\n#+\s*question\b", re.IGNORECASE)
_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
# Of a statement that nothing would run, as of a model that has lost its way in one.
_SQL_LIKE = re.compile(r"\W*SELECT\b.*\bFROM\b", re.DOTALL)
_SQL_START = re.compile(r"\b(?:select|with|insert|update|delete|create|values)\b", re.IGNORECASE)


def read_choice(reply: str, options: Sequence[str]) -> WrittenChoice:
    """The option that ``reply`` answers with, of the four texts in ``options``, and what kind of reply it is.

    A reply that holds a SQL statement is SQL, unless what stands outside the statement says an option's letter. Of more
    than ``MOST_READ_CHARACTERS`` the first and last half of so many are read.

    >>> read_choice("The answer is B.", ["one", "two", "three", "four"])
    WrittenChoice(kind=<Kind.ANSWER: 'answer'>, letter='B')
    >>> read_choice("SELECT count(*) FROM singer", ["one", "two", "three", "four"]).kind
    <Kind.SQL: 'SQL'>
    """
    text = _plain(reply)
    if whole := _worded(text, options):
        return _choice(whole)
    outside = _without_sql(text)
    found = _said(outside) or _labels(outside)
    if not found and (outside != text or holds_sql(text) or _SQL_LIKE.match(_bare(text))):
        return WrittenChoice(Kind.SQL)
    return _choice(found or _led_to(text) or _said_in_words(text, options) or _option_texts(text, options))


def _choice(found: set[str]) -> WrittenChoice:
    if len(found) == 1:
        return WrittenChoice(Kind.ANSWER, *found)
    return WrittenChoice(Kind.SEVERAL if found else Kind.NONE)


def _plain(reply: str) -> str:
    """The answering turn up to the next question, full-width letters made narrow, without marks of Markdown and TeX."""
    turn = answering_turn(reply.replace("\r\n", "\n"))
    if len(turn) > MOST_READ_CHARACTERS:
        half = MOST_READ_CHARACTERS // 2
        turn = f"{turn[:half]}\n{turn[-half:]}"
    text = unicodedata.normalize("NFKC", turn).replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"')
    following = _NEXT_QUESTION.search(text)
    return (text[: following.start()] if following else text).strip()


def _without_sql(text: str) -> str:
    """``text`` without the SQL that it offers and the fences around; as it is where it offers none."""
    sql = extract_sql(text)
    if sql is None:
        return text
    outside = _FENCE.sub("\n", text)
    place = outside.find(sql)
    if place >= 0:
        return f"{outside[:place]}\n{outside[place + len(sql) :]}"
    start = _SQL_START.search(outside)
    return outside[: start.start()] if start else f"{outside}\n"


def _bare(text: str) -> str:
    """``text`` without tags, emphasis, code marks and headings."""
    return re.sub(r"</?[A-Za-z][\w-]*>|[*`$]|(?<!\w)_+|_+(?!\w)|^[#>]+\s*", "", text, flags=re.MULTILINE)


def _said(text: str) -> set[str]:
    """The options that the last statement of an answer names; all, where three or more are said to be the answer.

    One may be corrected by another; who goes through all of them chooses none.
    """
    found = [_letters(next(filter(None, match.groups()))) for match in _SAID.finditer(_bare(text))]
    every = set().union(*found)
    return found[-1] if found and len(every) < _RAMBLING else every


def _said_in_words(text: str, options: Sequence[str]) -> set[str]:
    """The option whose text is all that stands behind the last "the answer is"."""
    found = [match[1] for match in _SAID_IN_WORDS.finditer(_bare(text))]
    return _worded(found[-1], options) if found else set()


def _labels(text: str) -> set[str]:
    """The options whose letter opens the reply; with those that open further lines where options are listed."""
    lines = [line for line in map(str.strip, _bare(text).splitlines()) if line]
    if not lines:
        return set()
    if repeated := _REPEATED.fullmatch(lines[0]):
        return {repeated["letter"]}
    found = [_LABEL.match(line) for line in lines]
    if found[0]:
        return set().union(*(_letters(match[1]) for match in found if match))
    # Reasoning may end in a line of its own for the letter.
    last = found[-1]
    return _letters(last[1]) if last and last.end() >= len(lines[-1].rstrip(".)")) else set()


def _led_to(text: str) -> set[str]:
    found = [match[1] or match[2] for match in _LED_TO.finditer(_bare(text))]
    return set().union(*map(_letters, found))


def _letters(said: str) -> set[str]:
    """The letters in ``B``, ``(b)``, ``A or B``."""
    return {letter.upper() for letter in re.findall(r"(?<![A-Za-z])[A-Da-d](?![A-Za-z])", said)}


def _worded(said: str, options: Sequence[str]) -> set[str]:
    """The options whose text ``said`` is, and nothing else."""
    words = _words(said)
    return {letter for letter, option in zip(LETTERS, options, strict=True) if words and _words(option) == words}


def _option_texts(text: str, options: Sequence[str]) -> set[str]:
    """The options whose text stands in the reply; one that is part of another that stands there does not count.

    Texts of fewer than four characters, such as numbers, may stand there by chance.
    """
    said, texts = _words(text), [_words(option) for option in options]
    found = [own for own in texts if len(own) >= 4 and f" {own} " in f" {said} "]
    longest = [own for own in found if not any(own != other and own in other for other in found)]
    return {letter for letter, own in zip(LETTERS, texts, strict=True) if own in longest}


def _words(text: str) -> str:
    """``text`` in lower case, a space between its words and nothing else but the signs of numbers."""
    return " ".join(re.findall(r"[^\W_]+(?:[.,][0-9]+)*|[-+%^/=<>]", _bare(text).lower())).strip()
