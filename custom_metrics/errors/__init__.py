"""Why a predicted query is wrong: one class for each wrong answer, and one line that names what differs.

``analysis`` is the way in (``classify_error``, ``ErrorClass``). ``query_reader`` with ``column_names`` takes a query
apart into the parts of ``query_parts``, ``rough_reader`` one that cannot be parsed, and ``query_differences`` compares
the parts of two queries.

In: gold and predicted SQL, and the word for what became of running it. Out: an ``ErrorAnalysis``. Runs no SQL.
May import the standard library, sqlglot, ``errors`` itself, ``sql.parsing`` and ``sql.tokens``.
"""
