"""The replay of one training: its texts, searched for what must not be in them, and what identifies them."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from trainer.replay.overlap import measured_questions, refuse_measured
from trainer.replay.own_replies import read_replies, replies_path
from trainer.replay.sources import SELF, ReplayText, open_prompts, open_replay, replay_identity, texts_hash
from trainer.study.settings import BaseModelSettings, MmluSettings, ReplaySettings


@dataclass(frozen=True)
class Replay:
    """What is mixed in, for which base model, and the questions that it may not hold: MMLU's, drawn with ``seed``.

    ``folder`` is where own replies are kept.
    """

    settings: ReplaySettings
    folder: Path
    base_model: BaseModelSettings
    quantisation: str  # of the base weights in training
    mmlu: MmluSettings
    seed: int

    @property
    def own_replies(self) -> Path | None:
        """The file of the base model's own replies, which may be yet to be written; None: the replay is brought."""
        if self.settings.source != SELF:
            return None
        return replies_path(self.folder, self.settings, self.base_model, self.quantisation)

    def read(self) -> list[ReplayText]:
        """What is drawn from; as long as own replies are not written, stand-ins of their greatest length.

        Raises:
            ExperimentError: it cannot be read, or holds a question of MMLU.
        """
        own = self.own_replies
        if own is None:
            return _searched(self.settings, self.mmlu, self.seed)
        if own.is_file():
            texts = read_replies(own, self.settings)
        else:
            longest = " ".join(["word"] * self.settings.max_new_tokens)
            texts = [replace(prompt, completion=longest) for prompt in open_prompts(self.settings)]
        refuse_measured(texts, self.mmlu, self.seed)
        return texts

    @property
    def unsearched(self) -> str:
        """Why the texts were not searched for MMLU's questions; empty: they were."""
        return measured_questions(self.mmlu, self.seed).unread

    @property
    def told(self) -> list[str]:
        """What to say before a training, in lines; none where there is nothing to say."""
        unsearched, own = self.unsearched, self.own_replies
        lines = [f"replay was not searched for questions of MMLU: {unsearched}"] if unsearched else []
        if own is not None and not own.is_file():
            count = len(open_prompts(self.settings))
            lines.append(
                f"first the base model replies to {count} prompts, once for all trainings (not in any estimate)"
            )
        return lines

    @property
    def identity(self) -> dict[str, Any]:
        """As ``replay_identity``; own replies are identified by what decides them."""
        return replay_identity(self.settings)

    @property
    def record(self) -> dict[str, Any]:
        """For ``run.json``: what was drawn from, and against what it was searched."""
        measured, texts, own = measured_questions(self.mmlu, self.seed), self.read(), self.own_replies
        return {
            "texts": len(texts),
            "hash": texts_hash(texts),
            "own_replies": own and own.name,
            "searched_for": {"mmlu": measured.source, "questions": len(measured.questions)},
            "unsearched": measured.unread,
        }


@cache
def _searched(replay: ReplaySettings, mmlu: MmluSettings, seed: int) -> list[ReplayText]:
    """Once for all configurations and seeds of one process: it takes a millisecond a text."""
    texts = open_replay(replay)
    refuse_measured(texts, mmlu, seed)
    return texts
