"""Whether words are English: words that follow one another as SQL's never do, one of them of no use in SQL."""

import re

# Words that a sentence can hardly do without, and that hardly anybody calls a table, column or alias. English words
# that are SQL as well (is, in, on, as, and, from, for, if, each, to, any ...) say nothing.
_ENGLISH = frozenset(
    """
    the this that these those which who whose it its it's we you your you're they them their there here what how
    would will should could can can't cannot must won't don't doesn't be been are was were has have had does did
    because since so but also than such let let's me my our an about please i i'll i'm
    """.split()
)
_KEYWORDS = frozenset(
    """
    select distinct all from where group by having order limit offset union intersect except join left right full inner
    outer cross natural on using as and or not in is like glob regexp match between null isnull notnull exists case when
    then else end cast collate escape asc desc values with recursive over partition window filter set into
    """.split()
)
_WORD = re.compile(r"[^\W\d_][\w'’]*")
_NEXT_WORD = re.compile(r" [\"'(*`]*([^\W\d_][\w'’]*)")
_LABEL = re.compile(r"(?:[^\W_][\w()/'’-]*+ (?!:)){0,4}+[^\W_][\w()/'’-]*+ ?[*_]*(?::(?![:=\w])|：)")
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`|\b\w*\.\w+|--.*")
_LOOK_AHEAD = 300


def is_english(word: str) -> bool:
    return word.lower().replace("’", "'") in _ENGLISH


def is_keyword(word: str) -> bool:
    return word.lower() in _KEYWORDS


def prose_at(text: str, start: int) -> bool:
    """Whether the word at ``start`` and those right behind it, up to the next keyword of SQL, make English.

    An English word alone does not: a column may be called ``this``.
    """
    found, words = _WORD.match(text, start, start + _LOOK_AHEAD), []
    while found and len(words) < 4:
        word = found.group(found.lastindex or 0)
        if is_keyword(word) and word != "is" and words:
            break
        words.append(word)
        found = _NEXT_WORD.match(text, found.end(), start + _LOOK_AHEAD)
    return len(words) > 1 and any(map(is_english, words))


def prose_line(text: str, start: int) -> bool:
    """Whether the line at ``start`` holds three words in a row, no keyword in capitals among them, and one English."""
    line = _QUOTED.sub("''", text[start : start + _LOOK_AHEAD].partition("\n")[0])
    words: list[str] = []
    end = -1
    for found in _WORD.finditer(line):
        adjacent = line[end : found.start()] in (" ", ", ")
        words = [*words, found.group()] if adjacent else [found.group()]
        words = [] if is_keyword(found.group()) and found.group().isupper() else words
        end = found.end()
        if len(words) >= 3 and any(map(is_english, words)):
            return True
    return False


def label_at(text: str, start: int) -> bool:
    """Whether a label such as ``Final answer:`` begins at ``start``."""
    return _LABEL.match(text, start, start + _LOOK_AHEAD) is not None
