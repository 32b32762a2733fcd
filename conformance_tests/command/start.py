"""The command `checkpoint-conformance init mypkg`: writes a harness template and a CI workflow."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


class CannotStartError(Exception):
    """No file was written; the message is the reason, in one line."""


def start(package: str, folder: Path) -> list[Path]:
    """Write a harness template, and a workflow for GitHub Actions.

    Args:
        package: The import name of the package with the saver or store.
        folder: The folder of the project.

    Raises:
        CannotStartError: `package` is not an import name, or a file already exists.
    """
    if not all(part.isidentifier() for part in package.split(".")):
        raise CannotStartError(f"{package!r} is no name to import: wanted e.g. mypkg")
    module = f"{package.replace('.', '_')}_conformance"
    assets = files("conformance_tests") / "assets"
    sources = {
        folder / f"{module}.py": "harness.txt",
        folder / ".github" / "workflows" / "conformance.yml": "workflow.yml",
    }
    if there := [path for path in sources if path.exists()]:
        raise CannotStartError(f"{there[0]} is there already; nothing was written")
    for path, source in sources.items():
        text = (assets / source).read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("MODULE", module).replace("MYPKG", package), encoding="utf-8")
    return list(sources)
