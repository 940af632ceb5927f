"""What a study is: its experiment file, its base model, and the hashes that both are known by.

In: an experiment's name or TOML file; the base model's folder or Hub id. Out: one frozen ``Experiment``; the loaded
base model, tokenizer or outline; identities. Types of command line options, too.

May not import any other part of the trainer. ``experiment`` and ``identity`` import no torch, and ``base_model`` not
before it loads something.
"""
