"""Headless Chromium: how wide a page is, and pictures of it.

`python -m conformance_tests.tests.browser REPORT.html FOLDER` makes the pictures of the docs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
PICTURES: Final = {
    "conformance-report": (900, 760, False),
    "conformance-report-dark": (420, 760, True),
}
"""Name: width, height, dark."""
_OPENED: Final = """<script>
document.querySelectorAll("details").forEach((each) => { each.open = true; });
document.body.style.margin = 0;
document.body.style.width = "WIDTHpx";
document.title = document.body.scrollWidth;
</script></html>"""


def program() -> str:
    """Where Chromium is.

    Raises:
        LookupError: It is not installed.
    """
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise LookupError(f"none of {', '.join(PROGRAMS)} is installed")
    return found


def chromium(*arguments: str) -> str:
    """What a run of Chromium writes to its output."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", "--virtual-time-budget=2000", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def needed_width(page: Path, width: int) -> int:
    """The pixels that a page needs in a window of this width, with every detail open.

    The page is made so narrow, for no window can.
    """
    opened = page.with_name(f"opened-{page.name}")
    text = page.read_text(encoding="utf-8")
    script = _OPENED.replace("WIDTH", str(width))
    opened.write_text(text.replace("</html>", script), encoding="utf-8")
    told = chromium(f"--window-size={width},800", "--dump-dom", opened.as_uri())
    found = re.search(r"<title>(\d+)</title>", told)
    assert found is not None, told[:500]
    return int(found[1])


def picture(page: Path, to: Path, width: int, height: int, *, dark: bool) -> None:
    """A picture of the top of a page."""
    look = ["--blink-settings=preferredColorScheme=0"] if dark else []
    chromium(f"--window-size={width},{height}", *look, f"--screenshot={to}", page.as_uri())


if __name__ == "__main__":
    for name, (width, height, dark) in PICTURES.items():
        target = Path(sys.argv[2]).resolve() / f"{name}.png"
        picture(Path(sys.argv[1]).resolve(), target, width, height, dark=dark)
