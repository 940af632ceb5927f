"""Renders conversations in a stranger's chat template, in a process of its own with little time and memory.

In: JSON on standard input, ``{"templates": [...], "conversations": [[messages, add_generation_prompt], ...],
"special_tokens": {...}}``. Out: for every template ``{"names": [...], "texts": [...]}`` or ``{"error": "..."}``; names
are the variables that it reads. Needs Jinja alone: transformers would take seconds to import.
"""

import json
import sys

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES, SECONDS, MOST_CHARACTERS = 1 << 29, 5, 1 << 20


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


def _rendered(template: str, conversations: list, special_tokens: dict) -> dict:
    environment = _environment()
    names = sorted(meta.find_undeclared_variables(environment.parse(template)))
    compiled = environment.from_string(template)
    texts = []
    for messages, prompted in conversations:
        given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": prompted}
        written = ""
        for part in compiled.generate(**special_tokens, **given):
            written += part
            if len(written) > MOST_CHARACTERS:
                return {"error": f"it writes more than {MOST_CHARACTERS:,} characters for a short conversation"}
        texts.append(written)
    return {"names": names, "texts": texts}


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows, where the caller's time limit is the only one
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def main() -> None:
    asked = json.load(sys.stdin)
    _limit()
    answers = []
    for template in asked["templates"]:
        try:
            answers.append(_rendered(template, asked["conversations"], asked["special_tokens"]))
        except MemoryError:
            answers.append({"error": f"it takes more than {MEMORY_BYTES >> 20} MiB"})
        except Exception as error:  # whatever a stranger's template raises is the answer
            answers.append({"error": str(error)[:500] or type(error).__name__})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
