"""The parked protocol in all its interleavings: wake.pml, checked with Spin.

python -m pytest tests/model/test_wake.py -m "chaos or not chaos"    # the larger sizes as well
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("wake.pml")
MISSING = [name for name in ("spin", "gcc") if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"the model of the wake-up is checked with spin and gcc; install {' and '.join(MISSING)}"
)


def check(folder: Path, **sizes: int) -> str:
    """Every state the model can reach; returns what is wrong with the first bad one, or an empty string."""
    defines = [f"-D{name}={value}" for name, value in sizes.items()]
    subprocess.run(["spin", "-a", *defines, MODEL], cwd=folder, check=True, capture_output=True)
    # -Og: better code takes longer to make than it saves.
    subprocess.run(
        ["gcc", "-Og", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2000", "-o", "pan", "pan.c"], cwd=folder, check=True
    )
    said = subprocess.run(["./pan", "-m100000", "-w22"], cwd=folder, check=True, capture_output=True, text=True).stdout
    # All states: neither out of memory nor cut off where a path became too long.
    assert "Search not completed" not in said or "errors: 1" in said, said
    assert "max search depth too small" not in said, said
    wrong = re.search(r"pan:\d+: (.*) \(at depth", said)
    assert (wrong is not None) == ("errors: 0" not in said), said
    return wrong[1] if wrong else ""


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param({"PRODUCERS": 2, "WORKERS": 2, "TIDIES": 0}, id="two producers, two workers"),
        pytest.param({"PRODUCERS": 1, "WORKERS": 2, "TRANSACTIONS": 2, "JOBS": 2}, id="two transactions of two jobs"),
        pytest.param(
            {"PRODUCERS": 2, "WORKERS": 1, "TRANSACTIONS": 2, "JOBS": 2, "TIDIES": 0}, id="the same, two producers"
        ),
        pytest.param({"PRODUCERS": 3, "WORKERS": 1, "TIDIES": 0}, id="three producers"),
        pytest.param({"PRODUCERS": 1, "WORKERS": 1, "DEATHS": 1}, id="a worker dies and comes back"),
        pytest.param({"PRODUCERS": 1, "WORKERS": 1, "DEATHS": 2}, id="it dies twice"),
        pytest.param({"PRODUCERS": 1, "WORKERS": 2, "TIDIES": 2}, id="the bit is cleared twice"),
        pytest.param(
            {"PRODUCERS": 2, "WORKERS": 1, "DEATHS": 1}, id="it comes back, and two producers", marks=pytest.mark.chaos
        ),
        pytest.param({"PRODUCERS": 1, "WORKERS": 3}, id="three workers", marks=pytest.mark.chaos),
        pytest.param(
            {"PRODUCERS": 1, "WORKERS": 2, "DEATHS": 1, "TIDIES": 0},
            id="one of two workers dies",
            marks=pytest.mark.chaos,
        ),
        pytest.param({"PRODUCERS": 2, "WORKERS": 2}, id="two of both, and the leader", marks=pytest.mark.chaos),
        pytest.param({"PRODUCERS": 2, "WORKERS": 2, "JOBS": 2, "TIDIES": 0}, id="two of all", marks=pytest.mark.chaos),
    ],
)
def test_no_wake_up_is_ever_lost(tmp_path, sizes):
    """Whatever the order of all steps: no job waits while all workers sleep, without any fallback poll."""
    assert check(tmp_path, **sizes) == ""


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param({"WRITE_FIRST": 0}, id="writing before looking at the bit"),
        pytest.param({"SETTLE": 0}, id="waiting for older transactions"),
        pytest.param({"WORKERS": 1, "BIT_FIRST": 0}, id="setting the bit before taking a number"),
        pytest.param({"PARK_FIRST": 0}, id="parking before setting the bit"),
        pytest.param({"PRODUCERS": 1, "TURN": 0}, id="taking turns with who clears the bit"),
        pytest.param({"LOOK_AGAIN": 0}, id="the look between parking and sleeping"),
        pytest.param({"CLEAR_EARLY": 0}, id="forgetting old rings before looking"),
        pytest.param({"PRODUCERS": 1, "DEATHS": 1, "RESCUE_RINGS": 0}, id="the ring of a rescue"),
    ],
)
def test_without_any_of_its_parts_a_wake_up_is_lost(tmp_path, sizes):
    """Or the model would prove nothing, and the part could go."""
    assert check(tmp_path, **sizes) == "assertion violated ((ready==0)||(living==0))"
