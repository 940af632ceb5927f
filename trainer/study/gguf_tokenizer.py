"""The tokenizer in a GGUF file, as the model was published with it.

Transformers converts the vocabulary. But it cuts text before the merges by one pattern for all models of an
architecture, takes no token but three for one that is never cut, begins no text with the token that the header asks
for, and names the beginning token as the end (5.17): all that stands in the header and is settled here from it.
"""

from typing import TYPE_CHECKING

from trainer.study.gguf_header import GgufHeader

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

_CONTROL, _OWN = 3, 4  # kinds of tokens that are never cut: special ones, and others that were added
_BY_BYTES, _SENTENCEPIECE = "gpt2", "llama"  # what the header calls the two kinds of vocabulary
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN, _LLAMA = rf"{_WORDS}\p{{N}}{_SIGNS}", rf"{_WORDS}\p{{N}}{{1,3}}{_SIGNS}"
_DIGITS, _GPT = "digits", "gpt"  # GPT-2's own pattern, with every digit alone and without
# How text is cut, by llama.cpp's names of the tokenizers that do so (its llama-vocab.cpp).
_CUTS = {
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), _QWEN),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3"), _LLAMA),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "exaone", "minerva-7b"), _DIGITS),
    **dict.fromkeys(("gpt-2", "phi-2", "jina-es", "jina-de", "gigachat"), _GPT),
}


def tokenizer_problem(header: GgufHeader) -> str:
    """Why text cannot be cut as the model was trained to have it; empty where it can."""
    kind, cut = header.values.get("tokenizer.ggml.model"), header.values.get("tokenizer.ggml.pre")
    if kind == _SENTENCEPIECE or kind == _BY_BYTES and cut in _CUTS:
        return ""
    named = f"{kind!r}" if kind != _BY_BYTES else f"{cut!r}"
    return f"its tokenizer is of the kind {named}, which is not read here; known: {', '.join(sorted(_CUTS))}"


def read_tokenizer(header: GgufHeader, model_type: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of the model that Transformers calls ``model_type``, with the file's chat template."""
    from transformers import PreTrainedTokenizerFast
    from transformers.integrations.ggml import convert_gguf_tokenizer

    values = {name.removeprefix("tokenizer.ggml."): value for name, value in header.values.items()}
    tokens = values["tokens"]
    numbers = {name: values.get(f"{long}_token_id") for name, long in _SPECIAL.items()}
    given = {name: values[name] for name in ("tokens", "scores", "token_type", "merges") if name in values}
    given |= {"tokenizer_type": values["model"], "add_prefix_space": values.get("add_space_prefix", True)}
    given |= {f"{name}_token_id": number for name, number in numbers.items() if number is not None}
    backend, _ = convert_gguf_tokenizer(model_type, given)
    if values["model"] == _BY_BYTES:
        _cut_as(backend, _CUTS[values["pre"]])
    _keep_whole(backend, list(zip(tokens, values.get("token_type", []), strict=False)))
    special = {f"{name}_token": tokens[number] for name, number in numbers.items() if _is_token(number, tokens)}
    begins = values["model"] == _SENTENCEPIECE or _CUTS[values["pre"]] == _LLAMA
    if values.get("add_bos_token", begins) and "bos_token" in special:
        _begin_with(backend, special["bos_token"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **{"eos_token": None, "bos_token": None, **special})
    tokenizer.chat_template = header.template
    return tokenizer


_SPECIAL = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


def _is_token(number: object, tokens: list[str]) -> bool:
    return isinstance(number, int) and 0 <= number < len(tokens)


def _cut_as(backend: "Tokenizer", cut: str) -> None:
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers, processors

    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut in (_DIGITS, _GPT))
    before = {_DIGITS: [pre_tokenizers.Digits(individual_digits=True)], _GPT: []}
    pattern = before[cut] if cut in before else [pre_tokenizers.Split(Regex(cut), behavior="isolated")]
    backend.pre_tokenizer = pre_tokenizers.Sequence([*pattern, by_bytes])
    backend.normalizer = normalizers.NFC() if cut == _QWEN else normalizers.Sequence([])
    backend.decoder, backend.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
    if cut == _LLAMA:
        backend.model.ignore_merges = True


def _keep_whole(backend: "Tokenizer", tokens: list[tuple[str, int]]) -> None:
    from tokenizers import AddedToken

    for wanted, add in ((_CONTROL, backend.add_special_tokens), (_OWN, backend.add_tokens)):
        kept = [token for token, kind in tokens if kind == wanted]
        add([AddedToken(token, normalized=False, special=wanted == _CONTROL) for token in kept])


def _begin_with(backend: "Tokenizer", token: str) -> None:
    from tokenizers import processors

    backend.post_processor = processors.TemplateProcessing(
        single=f"{token}:0 $A:0",
        pair=f"{token}:0 $A:0 {token}:1 $B:1",
        special_tokens=[(token, backend.token_to_id(token))],
    )
