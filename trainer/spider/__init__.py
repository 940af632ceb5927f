"""Spider and data of its kind, as published or brought: questions, schemas and databases, and exemplars.

In: the path of a folder, a zip or a file of questions; for exemplars the experiment too. Out: frozen questions and
schemas, paths of SQLite files. What is missing or damaged is an error that names the file.

May import ``study``, and neither prompts nor tokenizers.
"""
