"""`Secret`: an argument that no log, listing or traceback shows.

    @job
    def send(password: Secret[str]) -> None:
        login(password.reveal())

    enqueue(conn, send.job(Secret("hunter2")))

In the database it is {"$secret": "hunter2"}: plain, and told apart by its shape, so that whatever shows arguments can
leave it out. Encryption is another thing.
"""

from __future__ import annotations

import typing
from typing import Any, Final, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

T = TypeVar("T")

KEY: Final = "$secret"
"""The only key of the JSON object that holds a secret; sql/functions/redact.sql looks for it."""
HIDDEN: Final = "***"
"""What is shown in place of a secret."""
FAULT: Final = "secret"
"""Type of pydantic's error for a secret, whose input must not be told."""


class SecretWarning(UserWarning):
    """A job was made with an argument that looks like a secret and is no `Secret`. Told once for each kind and name."""


class Secret(Generic[T]):
    """A value that shows itself as ***. Two are equal when what they hold is."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """The value. Don't put it into a message."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """From Python only a `Secret`; from JSON also the bare value, as SQL or an older version wrote it."""
        inner = handler.generate_schema((typing.get_args(source) or (Any,))[0])

        def hide(value: Any, fit: core_schema.ValidatorFunctionWrapHandler, info: core_schema.ValidationInfo) -> Any:
            if info.mode == "json":
                value = value[KEY] if is_hidden(value) else value
            elif isinstance(value, Secret):
                value = value._value
            else:
                raise PydanticCustomError(FAULT, "Input should be a Secret; give Secret(…)")
            try:
                return cls(fit(value))
            except ValidationError as error:
                said = "; ".join(fault["msg"] for fault in error.errors(include_input=False))
                raise PydanticCustomError(FAULT, "within the Secret: {said}", {"said": said}) from None

        def show(value: Secret[Any], dump: Any, info: core_schema.SerializationInfo) -> Any:
            return {KEY: dump(value._value)} if info.mode_is_json() else value

        return core_schema.with_info_wrap_validator_function(
            hide,
            inner,
            serialization=core_schema.wrap_serializer_function_ser_schema(show, schema=inner, info_arg=True),
        )


def is_hidden(value: object) -> bool:
    """Whether this is a secret as JSON holds it."""
    return isinstance(value, dict) and len(value) == 1 and KEY in value


def plain(value: object) -> Any:
    """What the JSON encoder makes of a value it does not know: a `Secret` may stand among a bare `Job`'s arguments."""
    if isinstance(value, Secret):
        return {KEY: value._value}
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
