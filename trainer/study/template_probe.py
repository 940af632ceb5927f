"""Writes conversations in a stranger's chat template, in a process of its own with little time and memory.

In, a line of JSON each: ``{"templates": [...], "special_tokens": {...}}``, then conversations,
``[number of the template, messages, add_generation_prompt]``. Out, a line each: for every template the variables that
it reads, ``{"names": [...]}``, then for every conversation ``{"text": "..."}``, or in place of either
``{"error": "..."}``. A line that takes too much ends the process. Needs Jinja alone: transformers would take seconds to
import.
"""

import json
import signal
import sys
from collections.abc import Callable
from functools import partial

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES, SECONDS, MOST_CHARACTERS = 1 << 29, 2, 1 << 20


class _Generation(Extension):
    """``{% generation %}``, by which templates mark what the assistant said; it writes what stands in it."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(["name:endgeneration"], drop_needle=True)).set_lineno(line)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up for chat templates, without its clock."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _json
    environment.globals["raise_exception"] = _raise
    return environment


def _written(template: jinja2.Template, messages: list[dict], prompted: bool, special_tokens: dict) -> str:
    given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": prompted}
    most = MOST_CHARACTERS + 4 * sum(len(message["content"]) for message in messages)
    parts, length = [], 0
    for part in template.generate(**special_tokens, **given):
        parts.append(part)
        length += len(part)
        if length > most:
            raise jinja2.TemplateError(f"it writes more than {most:,} characters")
    return "".join(parts)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows, where the caller's time limit is the only one
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _answer(work: Callable[[], dict]) -> None:
    """Print what ``work`` comes to; the system ends the process where it takes more than ``SECONDS`` of processor."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        answer = work()
    except MemoryError:
        answer = {"error": f"it takes more than {MEMORY_BYTES >> 20} MiB"}
    except Exception as error:  # whatever a stranger's template raises is the answer
        answer = {"error": str(error)[:500] or type(error).__name__}
    print(json.dumps(answer), flush=True)


def main() -> None:
    _limit_memory()
    asked = json.loads(sys.stdin.readline())
    environment, compiled = _environment(), {}

    def read(number: int) -> dict:
        text = asked["templates"][number]
        names = sorted(meta.find_undeclared_variables(environment.parse(text)))
        compiled[number] = environment.from_string(text)
        return {"names": names}

    def write(number: int, messages: list[dict], prompted: bool) -> dict:
        return {"text": _written(compiled[number], messages, prompted, asked["special_tokens"])}

    for number in range(len(asked["templates"])):
        _answer(partial(read, number))
    for line in sys.stdin:
        _answer(partial(write, *json.loads(line)))


if __name__ == "__main__":
    main()
