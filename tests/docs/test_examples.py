"""Every example of the README and the documentation runs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import Reader

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::ResourceWarning")]

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FROM_NOTHING = {"README.md", "quickstart.md", "migrations.md"}
"""Pages that begin with a database without the schema."""
WITHOUT_EXAMPLES = {"index.md", "costs.md"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the reader works: modules in it can be imported, and are forgotten afterwards."""
    known_modules = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known_modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_of_the_page_runs(request, page, folder):
    """An example that does not work is the first thing a newcomer meets."""
    dsn = request.getfixturevalue("empty_dsn" if page.name in FROM_NOTHING else "dsn")
    count = Reader(page, dsn, folder).read()
    assert (count > 0) == (page.name not in WITHOUT_EXAMPLES)
