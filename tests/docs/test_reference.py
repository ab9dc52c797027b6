"""The reference pages say what the code and the database say."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"


def generator():
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_pages_are_as_generated(db):
    """If this fails: python docs/reference/generate.py DSN, and commit what it wrote."""
    pages = generator().pages(db)

    assert sorted(pages) == sorted(path.name for path in FOLDER.glob("*.md"))
    for name, text in pages.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, name
