"""Runs every script, then writes tables and plots. Arguments go to each script, such as --smoke."""

from __future__ import annotations

import subprocess
import sys
import time

from kit import plots, table
from kit.process import HERE


def main() -> int:
    """0, or 1 if a script failed; the others run all the same."""
    failed = []
    for name in table.ORDER:
        print(f"\n{name}", flush=True)
        started = time.monotonic()
        if subprocess.run([sys.executable, f"{name}.py", *sys.argv[1:]], cwd=HERE, check=False).returncode:
            failed.append(name)
        print(f"  {time.monotonic() - started:.0f} s", flush=True)
    if "--smoke" not in sys.argv:
        plots.main()
        table.main()
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall scripts ran")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
