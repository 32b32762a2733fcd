"""Hooks of the site's build: links that leave docs/, and the check that nothing is loaded."""

from __future__ import annotations

import logging
import os.path
import re
from pathlib import Path
from typing import Any

logger = logging.getLogger("mkdocs.hooks")

# a link's target, with the line breaks that Markdown allows before it
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)(#[^)\s]*)?(?=\))")
LOADED = re.compile(r"<(?:script|img|iframe)\b[^>]*\ssrc=\"?(?:https?:)?//[^>]*>")
LINKED = re.compile(r"<link\b[^>]*\shref=\"?(?:https?:)?//[^>]*>")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Links to files outside docs/ lead to the repository, those to a folder to its README."""
    docs = Path(config.docs_dir)
    here = (docs / page.file.src_path).parent

    def target(match: re.Match[str]) -> str:
        path, anchor = match[1], match[2] or ""
        full = Path(os.path.normpath(here / path))
        if full.is_relative_to(docs):
            return f"{path}/README.md{anchor}" if full.is_dir() else match[0]
        kind = "tree" if full.is_dir() else "blob"
        return f"{config.extra['repository']}/{kind}/main/{full.relative_to(docs.parent)}{anchor}"

    return LINK.sub(target, markdown)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Warn of what a browser would load from another host; a strict build then fails."""
    for pattern in (LOADED, LINKED):
        for found in pattern.findall(output):
            logger.warning("%s loads from elsewhere: %s", page.file.src_path, found)
    return output
