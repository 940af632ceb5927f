"""MMLU's questions: where they lie, and which of them an experiment chooses.

In: a folder, a file or a fetched copy of the Hub's. Out: checked questions and exemplars. Evaluations ask them; the
trainer reads them to keep them out of what it trains on.

May import ``study`` and ``prompts``; no torch, nothing that pytest needs.
"""
