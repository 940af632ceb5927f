"""Training itself, on TRL and PEFT, and what can be told of it beforehand.

In: a ``LoraRun``. Out: an adapter in its folder (``lora``) and whether it went well (``health``); a learning rate
(``find_lr``); or, with no weight loaded, the plan (``plan``), what it takes (``dry_run``) and texts (``prepared``).

May import every other part of the trainer but the command line. ``lora``, ``find_lr`` and ``trial`` import torch, TRL
and PEFT at their top: import them only where a training begins.
"""
