"""Names the plugins, each before those that build on it."""

pytest_plugins = [
    "fixtures.selection",
    "fixtures.experiment",
    "fixtures.models",
    "fixtures.spider",
    "fixtures.mmlu",
    "fixtures.judging",
    "fixtures.scheduling",
    "fixtures.answers",
    "fixtures.scores",
    "fixtures.deepeval_run",
    "fixtures.report.terminal",
    "fixtures.report.html",
    "fixtures.report.step_summary",
]
