"""What must agree between the files of sql/, alembic/ and pgqueue/."""

import re

from pgqueue import calls, migrations
from pgqueue.migrations import files
from tests.upgrade.conftest import ROOT


def test_one_revision_everywhere():
    """Code, steps and install.sql name the same."""
    version = (ROOT / "sql" / "schema" / "version.sql").read_text()

    assert migrations.head() == calls.SCHEMA_REVISION
    assert f"values ('{migrations.head()}')" in version


def test_every_file_is_in_the_table_of_contents():
    """A function that install.sql forgets would be dropped by the next migration."""
    listed = [file.name for file in files.replaced()]
    there = [path for folder in ("functions", "views") for path in (ROOT / "sql" / folder).glob("*.sql")]

    assert sorted(listed) == sorted(str(path.relative_to(ROOT / "sql")) for path in there)
    assert len(set(listed)) == len(listed)


def test_every_function_names_its_signature():
    """In its comment: from there the migration knows which functions there should be."""
    for file in files.replaced():
        made = re.findall(r"^create or replace (?:function|procedure) (pgqueue\.\w+)\(", file.text, re.MULTILINE)
        named = [signature.partition("(")[0] for signature in files.signatures_of(file)]
        assert named == made, file.name


def test_a_function_names_its_callers_among_the_functions():
    """Whoever changes one finds all that depend on it in its header."""
    texts = {path.stem: path.read_text() for path in (ROOT / "sql" / "functions").glob("*.sql")}
    for caller, text in texts.items():
        body = text.partition("\nbegin\n")[2]
        for called in set(re.findall(r"\bpgqueue\.(\w+)\(", body)) & texts.keys() - {caller}:
            header = texts[called].partition("-- Called by ")[2].partition("\ndeclare")[0].partition("\nbegin")[0]
            assert re.search(rf"\b{caller}\b", header), f"{called}: called by {caller}"


def test_the_root_folder_does_not_shadow_alembic():
    """With an __init__.py, `import alembic` in the checkout would find our steps."""
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_every_advisory_lock_is_on_the_list():
    """Two uses of one number would wait for each other for no reason that anybody finds."""
    paths = [*(ROOT / "sql").rglob("*.sql"), *(ROOT / "pgqueue").rglob("*.py")]
    used = {number for path in paths for number in re.findall(r"18858273\d\d", path.read_text())}
    listed = re.findall(r"^--\s+(18858273\d\d)", (ROOT / "sql" / "install.sql").read_text(), re.MULTILINE)

    assert sorted(used) == sorted(listed)
