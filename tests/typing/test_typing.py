"""mypy says of a wrong call what it should, and nothing of a right one."""

import re
from pathlib import Path

from mypy import api

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SAMPLE = HERE / "call_sites.py"


def promised() -> dict[int, tuple[str, set[str]]]:
    """Line → what its comment says: ("E", codes that will do) or ("R", {type})."""
    lines = enumerate(SAMPLE.read_text().splitlines(), 1)
    found = {number: re.search(r"# ([ER]): (.+)$", line) for number, line in lines}
    return {n: (m[1], set(m[2].split(",")) if m[1] == "E" else {m[2]}) for n, m in found.items() if m and n > 5}


def said() -> dict[int, tuple[str, str]]:
    """Line → what mypy says: ("E", code) or ("R", type)."""
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    output, failure, _ = api.run([*options, "--strict", "--no-pretty", "--no-error-summary", str(SAMPLE)])
    assert failure == ""
    found: dict[int, tuple[str, str]] = {}
    for line in output.splitlines():
        if match := re.search(r"call_sites\.py:(\d+): error: .*\[([\w-]+)\]$", line):
            found[int(match[1])] = ("E", match[2])
        elif match := re.search(r'call_sites\.py:(\d+): note: Revealed type is "(.+)"$', line):
            found[int(match[1])] = ("R", match[2].replace("builtins.", ""))
    return found


def test_mypy_finds_every_wrong_call_and_no_other():
    """Arguments are checked where the job is made: an editor underlines them."""
    promises, findings = promised(), said()

    assert len(promises) > 30
    assert sorted(findings) == sorted(promises)
    for line, (what, values) in promises.items():
        assert findings[line][0] == what, line
        assert findings[line][1] in values, line
