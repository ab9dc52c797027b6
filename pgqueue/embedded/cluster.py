"""A data folder: made on first use, completely or not at all."""

import os
import shutil
import subprocess
from pathlib import Path

from pgqueue.embedded.account import Account, private_folder, run_as
from pgqueue.embedded.error import EmbeddedError, tail
from pgqueue.embedded.recipe import DATABASE, OWNER, Recipe


def environment() -> dict[str, str]:
    """Ours, without what would steer the server from outside (PGDATA, PGPORT, a locale for its messages)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C"}


def ensure(recipe: Recipe, account: Account | None) -> None:
    """Make the data folder with its database unless it is there.

    It is made under another name and renamed at the end, so a kill half-way leaves nothing that looks
    whole. The caller holds the server's lock. Raises `EmbeddedError`.
    """
    if recipe.data.exists():
        return
    making = recipe.data.with_name("data.making")
    shutil.rmtree(making, ignore_errors=True)
    private_folder(making, account)
    initdb = [
        "initdb",
        "-D",
        str(making),
        "-U",
        OWNER,
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
    ]
    if recipe.settings.get("fsync") == "off":
        initdb.append("--no-sync")
    _run(recipe, account, initdb)
    # Single-user mode needs no client and no running server; exit_on_error, or it would exit 0 on failure.
    single = [
        "postgres",
        "--single",
        "-j",
        "-c",
        "exit_on_error=on",
        "-D",
        str(making),
        "postgres",
    ]
    _run(recipe, account, single, feed=f"create database {DATABASE};\n")
    making.rename(recipe.data)


def major_of(folder: Path) -> int | None:
    """The major that the data in this server's folder belong to, None if it holds none yet."""
    try:
        return int((folder / "data" / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def _run(recipe: Recipe, account: Account | None, command: list[str], feed: str = "") -> None:
    """Run one of the binaries to its end. Raises `EmbeddedError` with the end of its output."""
    program = str(Path(recipe.binaries, command[0]))
    try:
        done = subprocess.run(
            [program, *command[1:]],
            input=feed.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=recipe.folder,
            env=environment(),
            timeout=300,
            check=False,
            **run_as(account),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(f"could not run {program}: {error}") from error
    if done.returncode != 0:
        raise EmbeddedError(
            f"{command[0]} failed with exit code {done.returncode} while making {recipe.data}; "
            f"nothing was kept of it. It said:\n{tail(done.stdout)}"
        )
