"""What a reply offers as its answer: from a model's text to one SQL statement. ``sql.extraction`` puts it together.

``turns`` drops what is not the answer (thoughts, other turns); ``offers`` finds the statements in what is left, through
``fences``, ``objects`` (JSON) and ``quotes``; ``starts`` says where one may begin, ``statement`` where it ends, by
SQLite's own tokens (``lexer``) and by what is English (``prose``); ``choosing`` takes the one that is meant.

In: text, whatever it is. Out: SQL or None. Every step takes time linear in the text.
May import the standard library and ``reading`` itself.
"""
