"""LoRA and QLoRA adapters for text-to-SQL, trained on Spider; and the prompts, which evaluations take from here.

In: an experiment (a TOML file) and Spider. Out: a folder for every adapter, with ``run.json`` beside the weights.

Imports run one way: ``study``, ``machine``; ``spider``; ``prompts``; ``rows``; ``run``; ``keeping``; ``training``;
``options``; ``__main__``. Each may import what stands before it, and nothing outside ``trainer``: neither pytest nor
``fixtures`` or ``custom_metrics``. README.md beside this file explains options and settings.
"""
