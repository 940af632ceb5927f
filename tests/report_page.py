"""The report's page in a browser: opened, and what stands in its table."""

from pathlib import Path
from typing import TYPE_CHECKING

from fixtures.report.page import report_section
from fixtures.report.page_policy import with_head

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FRAME = (
    '<!DOCTYPE html>\n<html>\n  <head>\n    <meta charset="utf-8"/>\n<title>report</title></head><body>{}</body></html>'
)


def at(page: "Page", address: str) -> "Page":
    """``page`` at ``address``, its answers unpacked."""
    page.goto(address)
    page.locator("#evaluation.running").wait_for()
    return page


def show(page: "Page", folder: Path, *study, **known) -> "Page":
    """The section of ``study`` as a page of its own."""
    path = folder / "page.html"
    path.write_text(with_head(_FRAME.format(report_section(*study, **known))), encoding="utf-8")
    return at(page, path.as_uri())


def column(page: "Page", name: str) -> list[str]:
    """The texts of one column of the answers."""
    return page.locator(f'#answer-table .row > td[data-column="{name}"]').all_inner_texts()
