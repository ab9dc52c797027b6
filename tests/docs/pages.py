"""Runs the examples of a page, in their order, as a reader would.

    ```python                      executed; all of a page in one namespace, `await` included
    ```python title="jobs.py"      written to a file of that name, which later examples may import
    ```sql                         executed
    ```console                     each line after `$ ` typed into a shell; the lines below it are what it must print
    ```go                          each SQL string in it is prepared, so its names and types are right

`postgresql:///app`, with or without a +driver, stands for the test's database. In what a command prints `…` stands for
anything. Blocks of other languages are pictures.
"""

import ast
import asyncio
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.cli.command import called

FENCE = re.compile(r"^```(?P<language>\w+)(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"python", "sql", "console", "go"}
PICTURES = {"text", "mermaid", "sh"}


@dataclass
class Block:
    language: str
    text: str
    line: int
    title: str | None


def blocks(page: Path) -> Iterator[Block]:
    source = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(source):
        title = re.search(r'title="([^"]+)"', found["info"])
        line = source.count("\n", 0, found.start()) + 2
        yield Block(found["language"], found["text"], line, title[1] if title else None)


class Reader:
    """Somebody who types in every example of a page.

    folder:  where they work.
    """

    def __init__(self, page: Path, dsn: str, folder: Path) -> None:
        self._page = page
        self._dsn = dsn
        self._folder = folder
        self._names: dict[str, Any] = {"__name__": "__page__"}
        bin_folder = str(Path(sys.executable).parent)
        self._environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PGQUEUE_DSN": dsn}
        self._environment["PGCLIENTENCODING"] = "utf8"

    def read(self) -> int:
        """Runs everything that can be run; gives how many examples that were."""
        count = 0
        with asyncio.Runner() as runner:
            for block in blocks(self._page):
                assert block.language in RUN | PICTURES, f"{self._page.name}:{block.line}: what is {block.language}?"
                if block.language in RUN:
                    self._run(block, runner)
                    count += 1
        return count

    def _run(self, block: Block, runner: asyncio.Runner) -> None:
        text = self._with_dsn(block.text)
        if block.title is not None:
            target = self._folder / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        elif block.language == "python":
            self._python(text, block.line, runner)
        elif block.language == "console":
            self._console(text, block.line)
        else:
            found = re.findall("`([^`]+)`", text)
            statements = [text] if block.language == "sql" else [f"prepare p as {sql}" for sql in found]
            with psycopg.connect(self._dsn) as connection:
                for statement in statements:
                    connection.execute(statement.encode())
                    connection.execute("deallocate all")

    def _with_dsn(self, text: str) -> str:
        rest = self._dsn.partition("://")[2]
        return re.sub(r"postgresql(\+\w+)?:///app\b", lambda found: f"postgresql{found[1] or ''}://{rest}", text)

    def _python(self, text: str, line: int, runner: asyncio.Runner) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile("\n" * (line - 1) + text, str(self._page), "exec", flags=flags)
        result = eval(code, self._names)
        if inspect.iscoroutine(result):
            runner.run(result)

    def _console(self, text: str, line: int) -> None:
        for command, expected in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                self._environment[name] = value
                continue
            code, output, errors = self._ours(command) or self._bash(command)
            where = f"{self._page.name}:{line}: {command}"
            assert code == 0, f"{where}\n{output}{errors}"
            if expected.strip():
                pattern = ".*".join(map(re.escape, _trimmed(expected).split("…")))
                assert re.fullmatch(pattern, _trimmed(output), re.DOTALL), f"{where}\n{output}{errors}"

    def _ours(self, command: str) -> tuple[int, str, str] | None:
        """Exit code, stdout and stderr of a command of pgqueue's that can be called here, where nothing has to start.

        Not one that imports the page's handlers: this process knows those already.
        """
        words = shlex.split(command)
        if words[0] != "pgqueue" or "--app" in words or re.search(r"[$;|<>&]", re.sub("'[^']*'", "", command)):
            return None
        done = called(*words[1:], environment=self._environment)
        return done.exit_code, done.stdout, done.stderr

    def _bash(self, command: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr


def _trimmed(text: str) -> str:
    """Without what depends on the width of other columns."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())
