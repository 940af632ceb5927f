"""TRL's trainer over rows (see ``trainer.batches``)."""

from torch.nn.functional import cross_entropy
from trl import SFTTrainer

from trainer.batches import IGNORED
from trainer.shared_schema import attention_inputs


class RowTrainer(SFTTrainer):
    """TRL's trainer with one row a forward pass, its head computed only where a token is to be predicted.

    TRL computes the head of every position, on a CPU several times over: a quarter of the time.
    """

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Cross-entropy of the labelled tokens, summed over the row and divided by the number of them in the step."""
        labels = inputs.pop("labels")[0]
        positions = (labels != IGNORED).nonzero()[:, 0]
        inputs = attention_inputs(self.model, inputs)
        outputs = model(**inputs, logits_to_keep=positions - 1, use_cache=False)
        loss = cross_entropy(outputs.logits[0].float(), labels[positions], reduction="sum") / num_items_in_batch
        # The tokens of all processes are counted, and gradients are then averaged over the processes.
        loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def create_model_card(self, *_, **__):
        """Nothing: the card is written by who has something to say, an evaluation or ``--push``."""
