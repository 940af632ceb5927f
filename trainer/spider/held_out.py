"""Training databases that are held out of training, so that something can be chosen on questions about them."""

from dataclasses import dataclass
from random import Random

from trainer.spider.entries import SpiderDataError
from trainer.spider.folder import SpiderFolder
from trainer.study.experiment import Experiment


@dataclass(frozen=True)
class HeldOut:
    """How many databases are held out, drawn with ``seed``: the experiment's, whichever a training's own is."""

    databases: int = 0
    seed: int = 0

    def among(self, spider: SpiderFolder) -> frozenset[str]:
        """Their names: the same whoever asks, wherever their files are.

        Raises:
            SpiderDataError: no other training database would be left.
        """
        if not self.databases:
            return frozenset()
        names = sorted({question.db_id for question in spider.train()})
        if self.databases >= len(names):
            raise SpiderDataError(
                f"choosing.databases = {self.databases}, and the questions in {str(spider.root)!r} that can be trained "
                f"on are on {len(names)} databases: none would be left to train on. Lower it in the experiment."
            )
        return frozenset(Random(f"held out {self.seed}").sample(names, self.databases))


def held_out_of(experiment: Experiment) -> HeldOut:
    """What the experiment holds out."""
    return HeldOut(experiment.choosing.databases, experiment.seed) if experiment.choosing.databases else HeldOut()
