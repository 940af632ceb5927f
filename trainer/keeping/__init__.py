"""What a training leaves on disk: its state, checkpoints, the unfinished folder, ``run.json``, and the way to the Hub.

In: a ``LoraRun``, a model while it trains. Out: the adapter's folder, which appears when it is complete, and
what a next run goes on from.

May import all but ``training`` and the command line. ``state`` imports no torch, because pytest asks it what to train.
"""
