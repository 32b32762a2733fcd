"""What a mutant is: a broken class, the clause that has to catch it, and a harness around it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Mutant:
    """A saver or a store with one fault.

    Attributes:
        name: What it is called.
        wrong: What it does, in a sentence.
        caught_by: The id of the clause that names this fault.
        harness: Opens it, given an empty folder.
    """

    name: str
    wrong: str
    caught_by: str
    harness: Callable[[Path], Any]


MUTANTS: list[Mutant] = []


def mutant(caught_by: str, harness: Callable[[type, Path], Any]) -> Callable[[C], C]:
    """Class decorator: the class is broken as its docstring says, and this clause catches it."""

    def register(cls: C) -> C:
        name = re.sub("(?<!^)(?=[A-Z])", " ", cls.__name__).lower()
        wrong = " ".join(str(cls.__doc__).split())
        MUTANTS.append(Mutant(name, wrong, caught_by, lambda folder: harness(cls, folder)))
        return cls

    return register
