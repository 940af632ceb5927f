"""The report's page: the data in it, and, opened in a browser, what stands in its table."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from fixtures.report.page import report_section
from fixtures.report.page_policy import with_head

if TYPE_CHECKING:
    from playwright.sync_api import Page

# As pytest-html's.
_HEAD = '<!DOCTYPE html>\n<html>\n  <head>\n    <meta charset="utf-8"/>\n<title>report</title></head>'
_FRAME = f'{_HEAD}<body><h1 id="title">report</h1>{{}}</body></html>'


def unpacked(text: str) -> dict:
    """The data that the page's script unpacks."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def embedded(path: Path) -> dict:
    """The data in the page at ``path``."""
    page = path.read_text(encoding="utf-8")
    return unpacked(re.search(r'<script type="text/plain" id="answer-data">(.*?)</script>', page)[1])


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
