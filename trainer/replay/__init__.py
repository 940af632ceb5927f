"""General conversations that are trained on beside SQL: where they come from, what they must not hold, and how many.

In: ``[adapters.NAME.replay]`` of an experiment. Out: ``ReplayText``s, checked, and the steps of a training with some of
them added.

May import ``study``, ``mmlu``, ``prompts`` and ``rows``; only ``own_replies`` imports torch, where it writes.
"""
