"""Spider as published: questions, schemas and databases, from its folder or the official zip, and exemplars.

In: a path; for exemplars the experiment too. Out: frozen questions and schemas, paths of SQLite files. What is missing
or damaged is an error that names the file.

May import ``study``, and neither prompts nor tokenizers.
"""
