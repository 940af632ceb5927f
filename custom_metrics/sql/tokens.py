"""Cuts SQL into tokens without judging it: any text has tokens, and white space between them has none."""

import re

# lastgroup says what a token is. The groups follow sqlparse, on which the official evaluator stands: \' does not end a
# string, "# " starts a comment, [name] is quoted unless it could be an index. A comment without an end runs to the end
# of the text, as in SQLite, so that no text takes more than linear time.
SQL_TOKEN = re.compile(
    r"""
    (?P<comment> (?:--|\#\ ).*?(?:\r\n|\r|\n|\Z) | /\*[\s\S]*?(?:\*/|\Z) )
  | (?P<string> '(?:''|\\'|[^'])*' | "(?:""|\\"|[^"])*" )
  | (?P<quoted> `(?:``|[^`])*` | ´(?:´´|[^´])*´ | (?<![\w\])])\[[^\]\[]+\] )
  | (?P<parameter> (?<!\w)[$:]\w+ | \\\w+ | [@\#][^\W\d]\w+ )
  | (?P<number> -?(?:\d+\.\d*|\.\d+|\d+)(?![^\W\d]|\.\d) )
  | (?P<word> \w[$\#\w]* )
  | (?P<operator> ->>? | [<>=~!]+ | [+/@\#%^&|][+/@\#%^&|-]* | \S )
    """,
    re.VERBOSE,
)
