"""A task's arguments: the call that makes a job checked and turned into JSON, and the JSON that a worker reads turned
back into keyword arguments.

Both ways go through one pydantic model of the function's parameters. A call is checked strictly, as a type checker
would; what comes from the database is JSON, where a date is a text. Where the type hints leave it open whether a value
comes back from JSON as it was, the job is read back before it goes out, and refused if something else came.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import pydantic
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
    with_config,
)
from pydantic_core import PydanticSerializationError, to_json
from typing_extensions import TypedDict  # pydantic's own; it refuses that of `typing` before Python 3.12

from pgqueue.context import JobContext
from pgqueue.errors import ConfigurationError, InvalidJob
from pgqueue.handed import handed
from pgqueue.job import show
from pgqueue.redaction import hides, is_secret_name, redact
from pgqueue.roundtrip import certain, refusal, same
from pgqueue.secret import FAULT, HIDDEN, Secret


class Arguments:
    """What jobs of one function may be given.

    name:      the jobs' kind, for messages.
    function:  its parameters and type hints are read once, here.

    Raises `ConfigurationError` for parameters and type hints that no stored job could fill.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        parameters = _parameters(function, name)
        self.takes_context = bool(parameters) and parameters[0].annotation is JobContext
        """Whether the function's first parameter is the job's context, which is no argument of the job."""
        self.handed = {each.name: kind for each in parameters if (kind := handed(each.annotation)) is not None}
        """Parameters that are connections, which a worker hands in, by the kind of each; no arguments of the job."""
        own = parameters[1:] if self.takes_context else parameters
        self.signature = inspect.Signature([each for each in own if each.name not in self.handed])
        self.shown = f"{name}{_shown(self.signature)}"
        """The function as messages name it."""
        self.secret = any(_holds_secret(one.annotation) for one in self.signature.parameters.values())
        """Whether a parameter is a `Secret`."""
        self._names = {f"a{i}": parameter for i, parameter in enumerate(self.signature.parameters)}
        self._model = _model(name, self.signature)
        self._read: Callable[[str], dict[str, Any]] | None = None
        self._doubtful = [
            field
            for field, parameter in self._names.items()
            if not certain(self.signature.parameters[parameter].annotation)
        ]
        """Fields whose values may come back from JSON as something else."""

    def dump(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call, by name, as JSON holds them.

        Raises `InvalidJob` when they do not fit, or when a handler would be given something else.
        """
        try:
            given = self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidJob(f"arguments of {self.name} do not fit {self.shown}: {error}") from error
        try:
            held = self._model.model_validate(given, strict=True)
            # Without parameters left to their defaults: those are the handler's, as they are when it runs. Defaults
            # inside a model or dataclass are part of the value that was given.
            plain = held.model_dump(mode="json", by_alias=True, include=held.model_fields_set, warnings=False)
        except ValidationError as error:
            raise InvalidJob(f"arguments of {self.name} do not fit its type hints: {readable(error)}") from error
        except PydanticUserError as error:
            raise self._unfinished(error) from error
        except Exception as error:  # a type's own serializer may raise anything
            raise InvalidJob(f"arguments of {self.name} are no JSON: {self._culprit(held) or error}") from error
        if self._doubtful:
            self._prove(held, plain)
        return plain

    def load(self, payload: str) -> dict[str, Any]:
        """The function's keyword arguments, from the JSON text that the database holds.

        Parsed and checked in one step, by pydantic's own parser. Raises `InvalidJob` when they do not fit.
        """
        try:
            return (self._read or self._reader())(payload)
        except ValidationError as error:
            raise InvalidJob(f"stored arguments do not fit {self.shown}: {readable(error)}") from error
        except PydanticUserError as error:
            raise self._unfinished(error) from error

    def _reader(self) -> Callable[[str], dict[str, Any]]:
        """What makes keyword arguments of JSON, as the model checks them.

        Without the model in between, which takes twice as long. Made when it is first needed: most processes only
        enqueue.
        """
        _ = self._model.__pydantic_validator__.title  # raises while a class that a type hint names is not defined
        fields = self._model.model_fields.items()
        hints = {self._names[name]: typing.Annotated[field.annotation, field] for name, field in fields}
        plain = with_config(self._model.model_config)(TypedDict(self.name, hints))  # type: ignore[operator]
        self._read = TypeAdapter(plain).validator.validate_json
        return self._read

    def _prove(self, held: BaseModel, plain: dict[str, Any]) -> None:
        """Reads the arguments back. Raises `InvalidJob` unless they are what they were."""
        try:
            found = self._model.__pydantic_validator__.validate_json(to_json(plain)).__dict__
        except ValidationError as error:
            raise InvalidJob(
                f"arguments of {self.name} would not fit its type hints when they are read back: {readable(error)}"
            ) from error
        except PydanticSerializationError:  # a lone surrogate: whoever makes the text says which argument holds it
            return
        for field in self._doubtful:
            before = getattr(held, field)
            if field in held.model_fields_set and not same(before, found[field]):
                name = self._names[field]
                raise InvalidJob(
                    f"arguments of {self.name} do not survive JSON: {name}={_show(name, before)} "
                    f"({_kind(before)}) would come back as {_show(name, found[field])} ({_kind(found[field])}); "
                    f"{_advice(before)}"
                )

    def _culprit(self, held: BaseModel) -> str | None:
        """Which argument it is that JSON cannot hold, and why."""
        for field in held.model_fields_set:
            try:
                held.model_dump(mode="json", include={field}, warnings=False)
            except Exception as error:
                name, value = self._names[field], getattr(held, field)
                return f"{name}={_show(name, value)} ({_kind(value)}): {error}"
        return None

    def _unfinished(self, error: PydanticUserError) -> ConfigurationError:
        """A class that a type hint of a class names has still not been defined."""
        return ConfigurationError(f"type hints of {self.name} cannot be used: {error.message}")


def readable(error: ValidationError) -> str:
    """All that is wrong, in one line: 'invoice_id: Input should be a valid integer (got 'x')'. Without secrets."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'arguments'}: {fault['msg']}{_got(fault)}"
        for fault in error.errors(include_url=False, include_context=False)
    )


def _got(fault: Any) -> str:
    """The value that was wrong; of what is missing there is none, and a secret's is not told."""
    if fault["type"] in ("missing", FAULT):
        return ""
    hidden = any(is_secret_name(part) for part in fault["loc"])
    return f" (got {HIDDEN if hidden else repr(redact(fault['input'])):.60})"


def _show(name: str, value: object) -> str:
    return HIDDEN if hides(name, value) else show(redact(value))


def _kind(value: object) -> str:
    return type(value).__name__


def _advice(value: object) -> str:
    """What to do about a value that would come back as something else."""
    if isinstance(value, pydantic.SecretStr | pydantic.SecretBytes):
        return "pydantic writes asterisks for it; take pgqueue.Secret[str]"
    return "give it a type hint that says which it is in JSON"


def _shown(signature: inspect.Signature) -> inspect.Signature:
    """Without defaults that are secrets."""
    return signature.replace(
        parameters=[
            one.replace(default=_Hidden()) if one.default is not one.empty and hides(one.name, one.default) else one
            for one in signature.parameters.values()
        ]
    )


def _holds_secret(hint: Any) -> bool:
    return hint is Secret or typing.get_origin(hint) is Secret or any(map(_holds_secret, typing.get_args(hint)))


class _Hidden:
    def __repr__(self) -> str:
        return HIDDEN


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    """The function's parameters with their type hints resolved."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(f"type hints of {name} cannot be resolved: {error}") from error
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(
                f"{name} takes {parameter}; a job's arguments are stored by name, so use plain parameters"
            )
        hint = hints.get(parameter.name, Any)
        first = not parameters and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if JobContext in typing.get_args(hint) or (hint is JobContext and not first):
            raise ConfigurationError(f"{name} takes {parameter}; the context comes first, annotated JobContext")
        parameters.append(parameter.replace(annotation=hint))
    return parameters


def _model(name: str, signature: inspect.Signature) -> type[BaseModel]:
    """A pydantic model of the arguments.

    Its fields are called a0, a1 … and go by their parameters' names only from outside: a parameter named `copy` or
    `json` would shadow a method of the model.
    """
    fields: dict[str, Any] = {}
    for i, parameter in enumerate(signature.parameters.values()):
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[f"a{i}"] = (parameter.annotation, Field(default, alias=parameter.name))
        if (said := refusal(parameter.annotation)) is not None:
            raise ConfigurationError(f"{name} takes {parameter}, which no job can carry: {said}")
    config = ConfigDict(
        extra="forbid",
        ser_json_inf_nan="constants",
        ser_json_bytes="base64",  # any bytes, not only those that are UTF-8
        val_json_bytes="base64",
        hide_input_in_errors=True,
    )
    try:
        return create_model(name, __config__=config, **fields)
    except Exception as error:  # pydantic raises several unrelated types for a hint it cannot use
        said = next(filter(None, (_unusable(one, config) for one in fields.values())), str(error))
        raise ConfigurationError(f"a type hint of {name}{signature} cannot be stored as JSON: {said}") from error


def _unusable(field: Any, config: ConfigDict) -> str | None:
    """Which parameter it is whose type hint pydantic cannot use, and why; None if it can."""
    try:
        create_model("one", __config__=config, a=field)
    except Exception as error:
        return f"{field[1].alias}: {str(error).partition(chr(10))[0]}"
    return None
