"""Names the plugins, each before those that build on it."""

pytest_plugins = [
    "fixtures.selection",
    "fixtures.experiment",
    "fixtures.endpoint",
    "fixtures.models",
    "fixtures.workers",
    "fixtures.spider",
    "fixtures.mmlu",
    "fixtures.scheduling",
    "fixtures.batch_check",
    "fixtures.answers",
    "fixtures.earlier_run",
    "fixtures.scores",
    "fixtures.deepeval_run",
    "fixtures.judging",
    "fixtures.report.rebuild",
    "fixtures.report.terminal",
    "fixtures.report.html",
    "fixtures.report.step_summary",
    "fixtures.report.paper",
    "fixtures.report.model_card",
]
