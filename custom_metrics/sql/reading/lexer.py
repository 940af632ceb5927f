"""Cuts text into SQLite's tokens, from a place where SQL begins. Any text has tokens.

Replies pass through Markdown, HTML, JSON and typography, which leave traces that SQLite does not know: ``singer\\_id``,
``&lt;``, smart quotes, full-width brackets, non-breaking spaces. Outside strings they are tokens here, and ``text`` is
what they stand for. What a string holds stays as it is.
"""

import html
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# A string of SQL in text that is not known to be SQL yet: what looks like a mark in it is none.
SQL_STRING = r"(?P<string>(?:[=<>(,]|\b(?i:like|glob|in)\b)\s{0,3}'[^'\n]{0,200}')"

# Quotes that typography, HTML and JSON make of ' and ". Their length is bounded: an opening one that never closes must
# not be looked for at every place. SQLite's own quotes need no bound, as the next one of a kind always closes.
_FOREIGN_STRING = r"""´[^´\n]{0,500}´ | [‘’](?:[^‘’\n]|(?<=\w)’(?=\w)){0,500}’ | ＇[^＇\n]{0,500}＇
    | \\'(?:[^'\\\n]|\\[^'\n]){0,500}\\'
    | &(?:\#0*39|\#x27|apos|lsquo|rsquo);.{0,500}?&(?:\#0*39|\#x27|apos|rsquo);"""
_FOREIGN_NAME = r"""[“”„][^“”\n]{0,500}[”“] | ＂[^＂\n]{0,500}＂ | \\"(?:[^"\\\n]|\\[^"\n]){0,500}\\"
    | &(?:quot|\#0*34|ldquo);.{0,500}?&(?:quot|\#0*34|rdquo);"""
_TOKEN = re.compile(
    rf"""
    (?P<space> (?: [\s\ufeff\u200b-\u200d\u2060\u00ad] | \\[nrt] | &nbsp; | <br\s?/?> )+ )
  | (?P<comment> --(?: (?!\\n)[^\n] )*+ | /\*[\s\S]*?(?:\*/|\Z) )
  | (?P<string> '[^']*+(?:''[^']*+)*+' )
  | (?P<name> "[^"]*+(?:""[^"]*+)*+" | `[^`]*+(?:``[^`]*+)*+` | \[(?!/)[^\]\[]{{1,200}}\] )
  | (?P<foreign_string> {_FOREIGN_STRING} )
  | (?P<foreign_name> {_FOREIGN_NAME} )
  | (?P<open> ['"`] )
  | (?P<number> (?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?\w* )
  | (?P<word> [^\W\d](?:[\w$]|\\_)*+ )
  | (?P<parameter> [:@$]\w+ | \?\d* )
  | (?P<mark> \*\*+ | </ | <[a-z][\w-]*> | \[/ )
  | (?P<foreign_operator> [（），；．＋－＊／％＆｜～＜＞＝≤≥≠−–]
    | &(?:lt|gt|amp|le|ge|ne|\#0*6[02]|\#x3[ce]); | \\[-+*/%&|~<>=(),.;!] )
  | (?P<operator> ->>? | \|\| | << | >> | <= | >= | <> | == | !\s*= | !~ | :: | [-+*/%&|~^<>=(),.;] )
  | (?P<other> [\s\S] )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Full-width letters, digits and signs, and where such text has them, its spaces.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_SIGNS = str.maketrans({"≤": "<=", "≥": ">=", "≠": "<>", "−": "-", "–": "-"})
_ZERO_WIDTH = dict.fromkeys([0xFEFF, 0x200B, 0x200C, 0x200D, 0x2060, 0xAD])
_SPACES = {r"\n": "\n", r"\t": "\t", r"\r": ""}


class Token(NamedTuple):
    """``kind``: space, comment, string, name (quoted), open (a quote without end), number, word, parameter, operator,
    mark (what SQL never has: ``**``, tags) or other. ``text``: as SQLite would have it; ``raw``: as it stood.
    """

    kind: str
    text: str
    start: int
    end: int
    raw: str

    @property
    def lower(self) -> str:
        return self.text.lower()


def tokens(text: str, start: int, end: int) -> Iterator[Token]:
    """The tokens of ``text`` from ``start`` to ``end``, spaces and comments among them, without a gap."""
    for found in _TOKEN.finditer(text, start, end):
        yield _token(found)


def written(read: Sequence[Token]) -> str:
    """The tokens as SQL. Where Markdown or HTML has escaped what stands outside strings, it has inside, too."""
    foreign = [token for token in read if token.raw != token.text]
    html_escaped = any(token.raw[0] == "&" for token in foreign)
    markdown = any("\\_" in token.raw or token.raw == "\\*" for token in foreign)
    markdown = markdown and not any(token.lower == "escape" for token in read)
    return "".join(_unescaped(token, markdown, html_escaped) for token in read)


def _unescaped(token: Token, markdown: bool, html_escaped: bool) -> str:
    if token.kind not in ("string", "name") or token.raw != token.text:
        return token.text
    text = token.text.replace("\\_", "_").replace("\\*", "*") if markdown else token.text
    return html.unescape(text) if html_escaped else text


def _token(found: re.Match) -> Token:
    kind, raw = found.lastgroup, found.group()
    text = raw
    if kind.startswith("foreign_"):
        kind = kind.removeprefix("foreign_")
        text = _straight_operator(raw) if kind == "operator" else _straight_quotes(kind, raw)
    elif kind == "space" and not raw.isspace():
        text = re.sub(r"\\[nrt]", lambda escape: _SPACES[escape.group()], raw.translate(_ZERO_WIDTH))
        text = re.sub(r"<br\s?/?>", "\n", html.unescape(text), flags=re.IGNORECASE)
    elif kind in ("word", "number"):
        text = raw.replace("\\_", "_").translate(_WIDE) if not raw.isascii() or "\\" in raw else raw
    if kind == "space" and not text.isascii():
        text = re.sub(r"[^\x00-\x7f]", " ", text)
    return Token(kind, text, found.start(), found.end(), raw)


def _straight_operator(raw: str) -> str:
    return html.unescape(raw).removeprefix("\\").translate(_SIGNS).translate(_WIDE)


def _straight_quotes(kind: str, raw: str) -> str:
    quote = "'" if kind == "string" else '"'
    if raw[0] == "&":
        content = html.unescape(raw[raw.index(";") + 1 : raw.rindex("&")])
    elif raw[0] == "\\":
        content = raw[2:-2]
    else:
        content = raw[1:-1]
    return quote + content.replace(quote, quote * 2) + quote
