"""Names the plugins, each before those that build on it."""

pytest_plugins = [
    "fixtures.questions.plugin",
    "fixtures.questions.spider.plugin",
    "fixtures.questions.mmlu.plugin",
    "fixtures.study.selection",
    "fixtures.study.options",
    "fixtures.study.plugin",
    "fixtures.study.listing",
    "fixtures.study.planning",
    "fixtures.study.training",
    "fixtures.answers.scheduling",
    "fixtures.answers.plugin",
    "fixtures.scores.plugin",
    "fixtures.scores.junit",
    "fixtures.scores.deepeval",
    "fixtures.report.rebuild",
    "fixtures.report.terminal",
    "fixtures.report.html",
    "fixtures.report.step_summary",
    "fixtures.report.paper",
    "fixtures.report.model_card",
]
