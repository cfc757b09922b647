"""Look for words that plain English does not need, in what people read: pages, and the texts of the code.

    python -m tools.words        # exit status 1 where there is one; part of `make lint`

`tools/words.yaml` has the words, the files and the exceptions. No ready tool fits. proselint has checks of its own and takes
no words of ours: in README and runbooks, which had dozens of these, it reported none. Vale's package on PyPI downloads a
program from a host that Keel's set-up does not need otherwise. Neither reads the strings of Python without its names.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parent.parent
RULES = Path(__file__).with_name("words.yaml")
ANY = "*"
"""In an exception: whatever the word is."""
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_CODE = re.compile(r"`[^`]*`|\]\([^)]*\)|https?://\S+")
"""What is no prose within a line: code, and where a link leads."""


class Finding(NamedTuple):
    """A word, where it is, and what to write instead."""

    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: "{self.word}": write {self.instead}'


class Words(NamedTuple):
    """The words of tools/words.yaml as one pattern, and what to write for each."""

    pattern: re.Pattern[str]
    instead: list[str]

    @classmethod
    def of(cls, words: dict[str, str]) -> Words:
        """Each word or group of words counts as a whole: `tell` is not found in `intelligent`."""
        parts = (rf"(\b(?:{word})\b)" if word[0].isalpha() or word[0] == "(" else rf"({word}\b)" for word in words)
        return cls(re.compile("|".join(parts), re.IGNORECASE), list(words.values()))

    def find(self, file: str, lines: Iterator[tuple[int, str]]) -> Iterator[Finding]:
        """Every such word in ``lines``: number and text."""
        for number, text in lines:
            for found in self.pattern.finditer(text):
                yield Finding(file, number, found[0].strip(", "), self.instead[(found.lastindex or 1) - 1])


def prose(page: str) -> Iterator[tuple[int, str]]:
    """The prose of a Markdown page by line, without what is between backticks, in a fence or indented as code."""
    fenced, paragraph = False, False
    for number, line in enumerate(page.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and not (line.startswith("    ") and not paragraph):
            yield number, _CODE.sub(" ", line)
        paragraph = bool(line.strip()) and not fenced and (paragraph or not line.startswith("    "))


def texts(source: str) -> Iterator[tuple[int, str]]:
    """The strings of a Python module by line; what is between backticks is code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, _CODE.sub(" ", line)


def check(root: Path = ROOT, rules: Path = RULES) -> tuple[list[Finding], list[str]]:
    """What is found, and the exceptions that nothing needs: an exception that stays behind would hide the next word."""
    given = yaml.safe_load(rules.read_text())
    words = Words.of(given["words"])
    exceptions: dict[str, dict[str, str]] = given["exceptions"] or {}
    unused = {(file, word.lower()) for file, allowed in exceptions.items() for word in allowed}
    found = []
    for kind, read in (("pages", prose), ("code", texts)):
        for path in sorted({path for pattern in given[kind] for path in root.glob(pattern)}):
            file = str(path.relative_to(root))
            allowed = {word.lower() for word in exceptions.get(file, {})}
            for finding in words.find(file, read(path.read_text())):
                excuse = next((word for word in (finding.word.lower(), ANY) if word in allowed), None)
                if excuse is None:
                    found.append(finding)
                unused.discard((file, excuse or ""))
    return found, [
        f"tools/words.yaml: {file}: nothing needs the exception for {word!r}" for file, word in sorted(unused)
    ]


def main() -> int:
    """0 when there is nothing to write otherwise."""
    found, unused = check()
    print(*found, *unused, sep="\n", end="\n" if found or unused else "")
    return 1 if found or unused else 0


if __name__ == "__main__":
    sys.exit(main())
