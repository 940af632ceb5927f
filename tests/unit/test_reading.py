"""The glossary has one source: page and paper show it (``test_one_verdict``), and README holds every word of it."""

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.reading import glossary, how_to_read, in_readme
from fixtures.results.types import Summary


def test_the_readme_has_the_reports_words_and_no_others(pytestconfig):
    """After a change of a word: python -m fixtures.report.reading"""
    section = (pytestconfig.rootpath / "README.md").read_text().split("## How to read this\n")[1].split("\n## ")[0]
    assert in_readme() in section
    assert section.count("- **") == in_readme().count("- **") == len(glossary("", BUILT_IN))


def test_the_readme_defines_the_words_that_only_some_studies_need():
    """A study without seeds or a dial is not to explain them, README is."""
    plain = how_to_read(Summary(experiment="none", margin=0.05), BUILT_IN)
    assert {"scale", "dominated", "forgotten how to answer", "format, skill"} == glossary("", BUILT_IN).keys() - plain
    assert plain["margin"].startswith("5 points: ")
    assert "- **margin**: The experiment's margin, 2 points unless it says otherwise: the loss" in in_readme()
