"""Names the plugins, each before those that build on it."""

pytest_plugins = [
    "fixtures.study.selection",
    "fixtures.study.experiment",
    "fixtures.engines.endpoint",
    "fixtures.study.models",
    "fixtures.answers.workers",
    "fixtures.questions.spider",
    "fixtures.questions.mmlu",
    "fixtures.answers.scheduling",
    "fixtures.answers.batch_check",
    "fixtures.answers.answers",
    "fixtures.results.earlier_run",
    "fixtures.scores.scores",
    "fixtures.scores.deepeval_run",
    "fixtures.scores.judging",
    "fixtures.report.rebuild",
    "fixtures.report.terminal",
    "fixtures.report.html",
    "fixtures.report.step_summary",
    "fixtures.report.paper",
    "fixtures.report.model_card",
]
