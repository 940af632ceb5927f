"""Which of the statements in a reply is its answer: the last whole one that it offers as such.

What is said before a statement decides. A final or corrected one, or one that those before lead to, takes their place;
an alternative, a check, a piece shown to explain it does not; and where the model asks itself the next question, its
answer is over.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto

from custom_metrics.sql.reading.offers import Offer
from custom_metrics.sql.reading.starts import Offered

_ALTERNATIVE = re.compile(
    r"\A[\W\d_]*(?:or\b|oder\b|to also\b|if (?:you|we|the|there|this|that|it|ties|your|only|any)\b"
    r"|in case\b|similarly\b)"
    r"|\balternat|\banother (?:way|approach|option|query|version|method|solution|example|possib)"
    r"|\b(?:can|could|may|might) also\b|\balso (?:works?|possible|be )|\bequivalent|\boptional"
    r"|\bvariation|\b(?:option|approach|method|version|variant|solution) #?(?:[2-9b]|two|ii)\b"
    r"|\bfor (?:example|reference|comparison)|\b(?:mysql|mariadb|postgres\w*|sql server|t-sql|oracle)\b|\be\.g\."
    r"|\b(?:better performance|more efficient|second best)\b"
    r"|\btambién (?:se )?pued|\botra (?:forma|manera|opción)|\bk[aö]nn\w*\b.{1,20}\bauch\b|\bpou\w+ aussi\b"
    r"|\bautre (?:façon|option)|或者|另一种",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\bfinal|\banswer|\bcorrect(?:ed|ion)?\b|\bfixed|\brevised|\bshould (?:be|have)\b"
    r"|\b(?:above|previous|that|this|it)\b.{1,40}\b(?:wrong|incorrect|not (?:quite )?(?:right|correct))\b"
    r"|\b(?:wait|oops|sorry|actually|boxed)\b|(?<!common )\bmistake|\bkorr(?:igiert|ektur)|\bcorregid|\bcorrigé"
    r"|最终|修正|更正",
    re.IGNORECASE,
)
_PIECE = re.compile(
    r"\btest (?:it|this|the)\b|\bcommon (?:mistake|error)|\bthan:"
    r"|\bexpla(?:in|nation)|\bverify|\bdouble-check|\b(?:to|let's|can) (?:check|test|see)\b|\bdebug"
    r"|\bbreak(?:ing|down)|\b(?:inner|outer|sub-?) ?query\b|\bthis part\b|\bsame (?:result|as)"
    r"|\b(?:incorrect|wrong|bad)(?: (?:sql|query|version|answer))?:|\bnot correct:"
    r"|\bwould be (?:wrong|incorrect)|\bunlike\b|\brather than\b"
    r"|\A\W*(?:not|don't(?: write| use| do)?|never|instead of)(?: this(?: one)?)?:"
    r"|<(?:expla|analy|plan|note|critique|comment|draft)\w*>",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\bfinal|\bboxed\b|<answer", re.IGNORECASE)
_MAKES_DATA = re.compile(r"create table|insert into", re.IGNORECASE)
_STEP = re.compile(r"\b(?:step|then|now|next|finally|first|second)\b", re.IGNORECASE)
_NEXT_QUESTION = re.compile(
    r"^(?:[^\w\n]|_)*(?:q|(?:next |another )?(?:question|problem|exercise|request|challenge)|task|prompt|utterance|nlq?"
    r"|user|human|instruction|input|schema|database|tables?|example \d+|given the following|问题|问)"
    r"[ \d.]*[*_\]]*(?:[:：>]|[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
# A question, and nothing but a label between it and the statement.
_ASKED = re.compile(r"\?[\s\"'*_)/]*(?:[\w ]{1,20}[:：][\W_]*)?\Z")
_COMMENT = re.compile(r"--[^\n]*|/\*[\s\S]*?(?:\*/|\Z)")
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")
_WORD = re.compile(r"[^\W\d_]{2}")
_NEAR, _NEAREST = 3_000, 100  # characters before a statement that are read for what they say of it
_MOST_COMPARED = 100


class Standing(Enum):
    """What the words before a statement make of it, beside an answer that stands already."""

    FINAL = auto()  # it is the answer, whatever stood before
    NEXT = auto()  # what was said before led to it
    UNSAID = auto()  # nothing is said of it: the model ran on
    ASIDE = auto()  # it is an alternative, a piece, a check
    OVER = auto()  # it answers another question


def choose(offers: Sequence[Offer]) -> str | None:
    """The SQL of the statement that is meant, or None.

    Queries come before other statements, as models repeat the schema they were given; what stands for itself before
    what is mentioned in a sentence; what is whole before what is not, unless the reply was cut short within it. What
    the model marks as wrong is taken where there is nothing else.
    """
    if not offers:
        return None
    ranks = [_rank(offer) for offer in offers]
    best = max(ranks)
    return _last_answer(offers, [rank == best for rank in ranks]).statement.sql


def _rank(offer: Offer) -> int:
    return _rank_unjudged(offer) - 100 * offer.rejected


def _rank_unjudged(offer: Offer) -> int:
    said = offer.offered > Offered.MENTIONED or standing(offer, offer.lead) is Standing.FINAL
    if not offer.statement.query:
        return 2 * said + offer.statement.whole - 10
    if offer.statement.whole:
        return 4 if said else 2
    return 3 if said and offer.last else 1


def _last_answer(offers: Sequence[Offer], eligible: Sequence[bool]) -> Offer:
    """The last eligible offer that takes the place of the one before."""
    answer, named, lead = None, False, ""
    for number, offer in enumerate(offers):
        lead += offer.lead
        if answer and answer.statement.query and _MAKES_DATA.match(offer.statement.sql):
            break  # for the next question, or to try the answer
        if not eligible[number]:
            continue
        found = standing(offer, lead)
        if answer is None:
            answer, named = offer, _is_named(lead)
        elif found is Standing.OVER:
            break
        elif _takes_place(offer, answer, found, named=named, compare=number < _MOST_COMPARED):
            answer, named = offer, named or _is_named(lead)
        lead = ""
    return answer


def _takes_place(offer: Offer, answer: Offer, found: Standing, *, named: bool, compare: bool) -> bool:
    if found is Standing.FINAL:
        return True
    if found is Standing.ASIDE or named:
        return False
    if found is Standing.UNSAID:
        builds_on = compare and f"({_plain(answer)})" in _plain(offer)
        return builds_on or offer.offered > answer.offered
    is_piece = compare and _plain(offer) in _plain(answer)
    return not is_piece and offer.offered >= answer.offered


def _plain(offer: Offer) -> str:
    return " ".join(offer.statement.sql.lower().split())


def _is_named(lead: str) -> bool:
    return _NAMED.search(_SENTENCE.split(lead[-_NEAR:].rstrip())[-1]) is not None


def standing(offer: Offer, lead: str) -> Standing:
    """What ``lead``, the words between the answer so far and ``offer``, says of it; the nearest words first."""
    if not _WORD.search(lead):
        return Standing.UNSAID
    if _NEXT_QUESTION.search(lead) or _ASKED.search(lead[-_NEAREST:]):
        return Standing.OVER
    for sentence in reversed(_SENTENCE.split(lead[-_NEAR:])):
        if _ALTERNATIVE.search(sentence):
            return Standing.ASIDE
        if _FINAL.search(sentence):
            return Standing.FINAL
        if _PIECE.search(sentence):
            return Standing.ASIDE
    # Comments alone, outside a fence, are how few-shot prompts ask.
    asked = not offer.fenced and not _WORD.search(_COMMENT.sub("", lead)) and not _STEP.search(lead)
    return Standing.OVER if asked else Standing.NEXT
