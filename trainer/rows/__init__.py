"""From Spider's questions to what a forward pass reads.

In: Spider, a seed, a tokenizer. Out: training texts (``texts``, which knows no tokenizer); then tokens, the questions
of every step, and rows in which questions on one database share its schema (``batches``).

May import ``study``, ``spider`` and ``prompts``; lists of integers only, no torch.
"""
