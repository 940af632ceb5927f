"""The judging: from what a model answered to what the answers show. README.md beside this file is the reference.

``sql`` runs the SQL of a reply and compares results, ``errors`` says why a wrong query is wrong, ``multiple_choice``
turns log-likelihoods into a chosen option, ``written_choice`` a reply; ``statistics`` turns scores into intervals,
comparisons and findings. ``execution_accuracy`` is ``sql`` as a DeepEval metric.

In: replies, gold SQL, paths of SQLite files, log-likelihoods, scores of 0 and 1. Out: verdicts, classes, numbers.
May not import pytest, torch, transformers or anything of ours outside itself; deepeval in ``execution_accuracy`` only.
"""
