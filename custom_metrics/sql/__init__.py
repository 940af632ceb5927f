"""Execution accuracy: a reply becomes one statement, which is run safely and whose result is compared with gold's.

``verdict`` is the way in (``gold_result``, ``judge_reply``, ``judge_sql``). Its steps are ``extraction`` with
``reading``, ``execution`` with ``sandbox``, ``comparison``, and for the official convention ``official_evaluator`` and
``official_rewrites``. ``parsing`` and ``hardness`` stand apart: they read SQL and run nothing.

In: a reply or SQL, gold SQL, the path of a SQLite file. Out: a ``Verdict``; a hardness.
May import the standard library and ``sql`` itself, and those two sqlglot. ``sandbox`` runs as a program without
site-packages: the standard library only.
"""
