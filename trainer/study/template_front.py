"""Jinja in front of a model's template: the study's date, the template's arguments, content as parts.

Whoever holds the tokenizer then writes the same text, and no clock is read.
"""

import calendar
import datetime
import json
import string

from trainer.study.settings import BaseModelSettings

_AS_PARTS = (
    "{% set in_parts = namespace(messages=[]) %}{% for message in messages %}"
    "{% set in_parts.messages = in_parts.messages + [{'role': message['role'], "
    "'content': [{'type': 'text', 'text': message['content']}]}] %}"
    "{% endfor %}{% set messages = in_parts.messages %}"
)


def in_front(settings: BaseModelSettings, own: str) -> tuple[str, str]:
    """The model's own template behind what stands in front of it, and again with content as parts."""
    lines = [_dated(settings.date)] if "strftime_now" in own else []
    lines += [f"{{% set {name} = {json.dumps(value)} %}}" for name, value in settings.template_arguments.items()]
    # The line break behind the last block is Jinja's to drop.
    end = "{% if false %}{% endif %}\n"
    return "".join([*lines, end]) + own if lines else own, "".join([*lines, end]) + _AS_PARTS + own


def _dated(day: str) -> str:
    """``strftime_now`` for midnight of ``day``, all directives of this machine's ``strftime`` and their ``-`` forms."""
    midnight = datetime.datetime.fromisoformat(day)
    parts = {form: midnight.strftime(f"%{form}") for letter in string.ascii_letters + "%" for form in _forms(letter)}
    parts = {form: text for form, text in parts.items() if text != f"%{form}"}
    parts["s"] = parts["-s"] = str(calendar.timegm(midnight.timetuple()))  # of UTC, wherever this is
    return (
        "{% macro strftime_now(format) %}{% set parts = " + json.dumps(parts) + " %}"
        "{% set at = namespace(form='') %}{% for sign in format %}"
        "{% if at.form == '%' and sign == '-' %}{% set at.form = '%-' %}"
        "{% elif at.form %}{{ parts.get(at.form[1:] + sign, at.form + sign) }}{% set at.form = '' %}"
        "{% elif sign == '%' %}{% set at.form = '%' %}{% else %}{{ sign }}{% endif %}"
        "{% endfor %}{{ at.form }}{% endmacro %}"
    )


def _forms(letter: str) -> tuple[str, ...]:
    return (letter,) if letter in "%EO" else (letter, f"-{letter}")
