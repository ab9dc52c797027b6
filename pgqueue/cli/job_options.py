"""What the commands that make jobs take of them, in the words of `pgqueue.Job`."""

from __future__ import annotations

from typing import Annotated

import typer

Kind = Annotated[str, typer.Argument(metavar="KIND", help="Name of the handler.", show_default=False)]
Args = Annotated[str, typer.Option("--args", metavar="JSON", help="Its keyword arguments, a JSON object.")]
Queue = Annotated[str, typer.Option(metavar="NAME", help="Queue that it goes to.")]
Priority = Annotated[int, typer.Option(metavar="0…9", help="0 is first, 9 is last.")]
MaxAttempts = Annotated[int, typer.Option(metavar="N", help="The attempt after which a failure is final.")]
Timeout = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Longest run time of one attempt. Default: as the handler says.")
]
