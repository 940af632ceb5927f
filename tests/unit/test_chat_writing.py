"""Real conversations in a template: written apart and bounded, as Transformers writes them, found whole."""

import copy
import string
import time
from datetime import datetime

import pytest

from fixtures.engines import EngineError
from fixtures.engines.encoding import PromptEncoder
from trainer.prompts import Message, Prompt
from trainer.rows.batches import tokenise
from trainer.rows.texts import TrainingText
from trainer.study.base_model import load_tokenizer
from trainer.study.chat_template import settle_template
from trainer.study.chat_writing import Chat, write_chats
from trainer.study.experiment import ExperimentError
from trainer.study.settings import BaseModelSettings

MINIATURE = BaseModelSettings(id="fixtures/miniature/model")
ORDINARY = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TWO_QUESTIONS = [("user", "How many?"), ("assistant", "SELECT 1"), ("user", 'Who <b>\'s</b> & "that"?\n  é')]
FIVE_TURNS = [*TWO_QUESTIONS, ("assistant", "SELECT 2"), ("user", "When?")]

# Constructs of published templates, in small.
REAL = {
    "no system turn, roles renamed, strict order": """{{ bos_token }}
        {%- if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
        {%- for message in messages %}
        {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}
        {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
        {{- '<|' + role + '|>' + message['content'] | trim + '<|end|>' }}{% endfor %}
        {%- if add_generation_prompt %}{{ '<|model|>' }}{% endif %}""",
    "a system prompt of its own, tools by macro": """
        {%- macro listed(tools) %}{% for tool in tools %}{{ tool | tojson(indent=2) }}{% endfor %}{% endmacro %}
        {%- if tools %}{{ listed(tools) }}{% endif %}
        {%- if messages[0].role != 'system' %}{{ '<|system|>You are helpful.<|end|>' }}{% endif %}
        {%- for message in messages %}{{ '<|' ~ message.role ~ '|>' ~ message.content ~ '<|end|>' }}{% endfor %}
        {%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}""",
    "the last question found backwards, thoughts split off": """
        {%- set ns = namespace(multi=true, last=messages | length - 1) %}
        {%- for message in messages[::-1] %}{% set index = (messages | length - 1) - loop.index0 %}
        {%- if ns.multi and message.role == 'user' and message.content is string %}
        {%- set ns.multi = false %}{% set ns.last = index %}{% endif %}{% endfor %}
        {%- for message in messages %}
        {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {{- '<|' + message.role + '|>' + content + '<|end|>' }}{% endfor %}
        {%- if add_generation_prompt %}{{ '<|assistant|>' }}
        {%- if enable_thinking is defined and enable_thinking is false %}{{ '<think></think>' }}{% endif %}
        {%- endif %}""",
    "a date of its own, a system turn split off": """
        {%- if not date_string is defined %}{% set date_string = '26 Jul 2024' %}{% endif %}
        {%- if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}
        {%- set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}
        {{- bos_token + '<|system|>Today: ' + date_string + system + '<|end|>' }}
        {%- for i in range(messages | length) %}{% set message = messages[i] %}
        {{- '<|' + message['role'] + '|>' + message['content'] | trim + '<|end|>' }}{% endfor %}
        {%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}""",
    "marks of what was generated, loop controls": """
        {%- for message in messages %}{% if message.role == 'tool' %}{% continue %}{% endif %}
        {%- if message.role == 'assistant' %}<|assistant|>
        {%- generation %}{{ message.content }}<|end|>{% endgeneration %}
        {%- else %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endif %}{% endfor %}
        {%- if add_generation_prompt %}<|assistant|>{% endif %}""",
}  # fmt: skip


@pytest.fixture(scope="module")
def miniature():
    return load_tokenizer(MINIATURE)


@pytest.fixture
def with_template(miniature):
    """``with_template(text, **settings)``: the miniature's tokenizer, settled on that template."""

    def made(template: str, **settings):
        tokenizer = copy.deepcopy(miniature)
        tokenizer.chat_template = template
        settle_template(MINIATURE.model_copy(update=settings), tokenizer)
        return tokenizer

    return made


@pytest.mark.parametrize("name", REAL)
def test_constructs_of_real_templates_are_written_as_transformers_writes_them(with_template, name):
    tokenizer = with_template(REAL[name])
    assert tokenizer.chat_template == REAL[name]
    chats = [Chat(FIVE_TURNS[:count], count % 2 == 1) for count in range(1, 6)]
    for chat, text in zip(chats, write_chats(tokenizer, chats), strict=True):
        messages = [{"role": role, "content": content} for role, content in chat.turns]
        assert text == tokenizer.apply_chat_template(messages, add_generation_prompt=chat.prompted, tokenize=False)


BOMBS = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "repeated text": "{{ 'x' * 10**10 }}",
    "a power": "{{ 9 ** (9 ** n) }}",
    "doubled text": "{% set ns = namespace(x='ab') %}{% for c in messages[0].content * 99 %}"
    "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "padding": "{{ 'x' | center(10**10) }}",
    "a recursive macro": "{% macro again() %}{{ again() }}{{ again() }}{% endmacro %}{{ again() }}",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("condition", ["messages | length > 3", "'When?' in messages[-1].content"])
def test_what_explodes_on_another_conversation_only_is_refused(with_template, name, condition):
    bomb = "{% set n = 9 %}{% if " + condition + " %}" + BOMBS[name] + "{% endif %}"
    tokenizer, start = with_template(bomb + ORDINARY), time.monotonic()
    asked = [Prompt(tuple(Message(*turn) for turn in turns)) for turns in (TWO_QUESTIONS, FIVE_TURNS)]
    with pytest.raises(EngineError, match="5 turns, the last of which begins 'When.'.*chat_template = \"plain\""):
        PromptEncoder(tokenizer).prompts(asked)
    assert time.monotonic() - start < 20


def test_training_names_the_question_that_its_template_explodes_on(with_template):
    tokenizer = with_template("{% if 'long' in messages[0].content %}{{ 'x' * 10**10 }}{% endif %}" + ORDINARY)
    texts = [TrainingText(word, "db", Prompt((Message("user", word),)), "SELECT 1") for word in ("short", "long")]
    with pytest.raises(ExperimentError, match="cannot write 'long': it takes more than 512 MiB"):
        tokenise(texts, tokenizer, 100)


@pytest.mark.parametrize("kept", ["messages[-3:]", "messages | rejectattr('content', 'equalto', 'How many?')"])
def test_turns_that_are_dropped_from_some_conversations_only_are_missed(with_template, kept):
    tokenizer = with_template("{% set messages = " + kept + " | list %}" + ORDINARY)
    with pytest.raises(ExperimentError, match="of 5 turns it drops or changes what the user said in one: 'How many"):
        write_chats(tokenizer, [Chat(FIVE_TURNS, True)])


def test_a_prompt_that_is_no_beginning_of_its_solved_form_is_refused_with_the_remedy(with_template):
    tokenizer = with_template(ORDINARY + "{% if add_generation_prompt %}<think>{% endif %}")
    text = TrainingText("7", "db", Prompt((Message("user", "Q"),)), "SELECT 1")
    with pytest.raises(ExperimentError, match="the prompt of '7' differently once .*chat_template = \"plain\""):
        tokenise([text], tokenizer, 100)


@pytest.mark.parametrize("day", ["2024-07-06", "2025-12-31", "2001-01-01"])
def test_every_directive_of_the_studys_date(with_template, day):
    midnight = datetime.fromisoformat(day)
    letters = [letter for letter in string.ascii_letters if letter not in "sEO"]
    forms = [*letters, "%", *(f"-{letter}" for letter in letters), "%d", "%%d"]
    written = "%Y of %A%%, %-d.%-m.; " + ", ".join(f"{form}=%{form}" for form in forms)
    tokenizer = with_template("{{ strftime_now(" + repr(written) + ") }}" + ORDINARY, date=day)
    assert write_chats(tokenizer, [Chat([("user", "Q")], False)]) == [midnight.strftime(written) + "<|user|>Q<|end|>"]
