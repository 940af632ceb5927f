"""The header of a GGUF file: what is in it, and whether it can be a base model. No library is needed to read it.

The layout is that of docs/gguf.md in ggml-org/ggml. The package gguf, which Transformers reads weights with, takes
seconds for the 100,000 strings of a vocabulary.
"""

import mmap
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_MOST = 1 << 32  # of anything that is counted: more is damage


@dataclass(frozen=True)
class GgufHeader:
    """``values`` by their names in the file; ``tensors`` with sizes (fastest first), type's number, place of the data.

    ``size`` is that of the file in bytes, ``data`` where its tensors begin. ``vocabulary``: where lists of the
    tokenizer begin and end.
    """

    values: dict
    tensors: dict[str, tuple[tuple[int, ...], int, int]]
    data: int
    size: int
    vocabulary: dict[int, int]

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))

    @property
    def template(self) -> str | None:
        """The chat template."""
        found = self.values.get("tokenizer.chat_template")
        return found if isinstance(found, str) else None

    @property
    def quantisation(self) -> str:
        """How its weights are quantised, by llama.cpp's name for the file's mix or else its most frequent type."""
        from gguf.constants import GGMLQuantizationType, LlamaFileType

        number = self.values.get("general.file_type")
        if isinstance(number, int) and number in {one.value for one in LlamaFileType}:
            return LlamaFileType(number).name.removeprefix("MOSTLY_").removeprefix("ALL_")
        kinds = [kind for sizes, kind, _ in self.tensors.values() if len(sizes) > 1]
        return GGMLQuantizationType(max(kinds, key=kinds.count)).name if kinds else "unknown"


def header_problem(path: Path) -> str:
    """Why the file is no whole base model, in one sentence; empty where it is one."""
    part = _PART.search(path.name)
    try:
        header = read_header(path)
    except ValueError as error:
        return str(error)
    parts = header.values.get("split.count", 0) or (int(part[2]) if part else 0)
    if not isinstance(parts, int):
        return f"its header is damaged: split.count is {parts!r}. Download it again"
    if parts > 1:
        return (
            f"it is one of {parts} parts of a model. Join them: llama-gguf-split --merge FIRST_PART JOINED.gguf, and "
            "name the joined file"
        )
    if header.values.get("general.type") == "adapter" or "adapter.type" in header.values:
        return (
            "it holds a LoRA adapter and no model. Name the base model here, and give the adapter, as PEFT saved it, "
            "to --adapter"
        )
    if header.values.get("general.type", "model") != "model" or not header.tensors:
        return f"it holds no language model but {header.values.get('general.type', 'a vocabulary alone')!r}"
    return _truncated(header) or _scaled_positions(header)


def _scaled_positions(header: GgufHeader) -> str:
    """Transformers (5.17) passes over all that a file says of scaled rotary positions, as Llama 3.1 has them."""
    scaling = header.values.get(f"{header.architecture}.rope.scaling.type", "none")
    if scaling == "none" and not any(name.startswith("rope_") for name in header.tensors):
        return ""
    return "its rotary positions are scaled, which Transformers does not read from GGUF files"


def _truncated(header: GgufHeader) -> str:
    from gguf.constants import GGML_QUANT_SIZES

    end = header.data
    for name, (sizes, kind, place) in header.tensors.items():
        if kind not in GGML_QUANT_SIZES:
            return f"its tensor {name!r} is of type {kind}, which this version of the package gguf does not know"
        weights = 1
        for size in sizes:
            weights *= size
        block, taken = GGML_QUANT_SIZES[kind]
        end = max(end, header.data + place + weights // block * taken)
    if end > header.size:
        return f"it ends after {header.size:,} of {end:,} bytes. Download it again"
    return ""


def write_without_vocabulary(header: GgufHeader, path: Path) -> None:
    """A file with what ``header`` says of the model and the names of its tensors, which is read in no time."""
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(path, header.architecture)
    for name, value in header.values.items():
        if name == "general.architecture" or isinstance(value, list) and name.startswith("tokenizer."):
            continue
        add = {bool: writer.add_bool, str: writer.add_string, float: writer.add_float64, list: writer.add_array}
        add.get(type(value), writer.add_int64)(name, value)
    size = f"{header.architecture}.vocab_size"
    if size not in header.values:
        writer.add_uint32(size, len(header.values.get("tokenizer.ggml.tokens", [])))
    for name in header.tensors:
        writer.add_tensor(name, np.zeros(1, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def vocabulary_passed_over(header: GgufHeader) -> Iterator[None]:
    """In this context the package gguf makes no object for each token of ``header``'s file: weights need none.

    Where another version of it reads in another way, it reads all.
    """
    import gguf

    whole = gguf.GGUFReader

    class Passing(whole):
        def _get_field_parts(self, begin, *kind):
            end = header.vocabulary.get(begin)
            return super()._get_field_parts(begin, *kind) if end is None else (end - begin, [], [], [])

    def read(*given, **named):
        with suppress(Exception):  # whatever another version raises
            found = Passing(*given, **named)
            if found.data_offset == header.data:
                return found
        return whole(*given, **named)

    gguf.GGUFReader = read
    try:
        yield
    finally:
        gguf.GGUFReader = whole


def read_header(path: Path) -> GgufHeader:
    """What stands in front of the file's weights.

    Raises:
        ValueError: it cannot be read, is no GGUF file, or ends too early.
    """
    try:
        found = path.stat()
        return _read(path, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise ValueError(f"it cannot be read: {error}") from None


@lru_cache(maxsize=4)
def _read(path: Path, size: int, _changed: int) -> GgufHeader:
    with path.open("rb") as file:
        start = file.read(24)
        if start[:4] != b"GGUF":
            raise ValueError(f"it is no GGUF file: it begins with {start[:4]!r}")
        if len(start) < 24:
            raise ValueError(f"it ends after {size} bytes, within its header. Download it again")
        version, tensors, values = struct.unpack_from("<IQQ", start, 4)
        if version not in _VERSIONS:
            raise ValueError(
                f"it is GGUF version {version}, and versions 2 and 3 in the byte order of x86 and ARM are read"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            try:
                return _Reader(whole, size).header(tensors, values)
            except (struct.error, IndexError):
                raise ValueError(f"it ends after {size:,} bytes, within its header. Download it again") from None
            except (UnicodeDecodeError, KeyError, OverflowError, MemoryError, RecursionError) as error:
                raise ValueError(f"its header is damaged: {type(error).__name__} {error}. Download it again") from None


class _Reader:
    """Goes through a file's bytes from its 24th on."""

    def __init__(self, whole: mmap.mmap, size: int) -> None:
        self._whole, self._size, self._at = whole, size, 24

    def header(self, tensors: int, values: int) -> GgufHeader:
        found, infos, vocabulary = {}, {}, {}
        for _ in range(self._possible(values)):
            name, kind, begin = self._text(), self._number("I"), self._at
            found[name] = self._value(kind)
            if kind == _ARRAY and name.startswith("tokenizer."):
                vocabulary[begin] = self._at
        for _ in range(self._possible(tensors)):
            name = self._text()
            sizes = tuple(self._number("Q") for _ in range(self._number("I")))
            infos[name] = (sizes, self._number("I"), self._number("Q"))
        alignment = found.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise KeyError(f"general.alignment {alignment!r}")
        return GgufHeader(found, infos, -(-self._at // alignment) * alignment, self._size, vocabulary)

    def _possible(self, count: int) -> int:
        if count > min(_MOST, self._size):
            raise IndexError
        return count

    def _number(self, form: str):
        (value,) = struct.unpack_from(f"<{form}", self._whole, self._at)
        self._at += struct.calcsize(f"<{form}")
        return value

    def _text(self) -> str:
        length = self._number("Q")
        text = self._whole[self._at : self._at + self._possible(length)]
        if len(text) < length:
            raise IndexError
        self._at += length
        return text.decode("utf-8")

    def _value(self, kind: int):
        if kind == _TEXT:
            return self._text()
        if kind != _ARRAY:
            return self._number(_NUMBERS[kind])
        of, count = self._number("I"), self._possible(self._number("Q"))
        if of in _NUMBERS:
            values = struct.unpack_from(f"<{count}{_NUMBERS[of]}", self._whole, self._at)
            self._at += struct.calcsize(f"<{count}{_NUMBERS[of]}")
            return list(values)
        return [self._value(of) for _ in range(count)]
