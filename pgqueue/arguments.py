"""A task's arguments: the call that makes a job checked and turned into JSON, and the JSON that a worker reads turned
back into keyword arguments.

Both ways go through one pydantic model of the function's parameters. A call is checked strictly, as a type checker
would; what comes from the database is JSON, where a date is a text.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticSerializationError

from pgqueue.context import JobContext
from pgqueue.errors import ConfigurationError, InvalidJob


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
        self.signature = inspect.Signature(parameters[1:] if self.takes_context else parameters)
        self._names = {f"a{i}": parameter for i, parameter in enumerate(self.signature.parameters)}
        self._model = _model(name, self.signature)

    def dump(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call, by name, as JSON holds them. Raises `InvalidJob` when they do not fit."""
        try:
            given = self.signature.bind(*args, **kwargs).arguments
            held = self._model.model_validate(given, strict=True)
            # Without parameters left to their defaults: those are the handler's, as they are when it runs. Defaults
            # inside a model or dataclass are part of the value that was given.
            return held.model_dump(mode="json", by_alias=True, include=held.model_fields_set)
        except TypeError as error:
            raise InvalidJob(f"arguments of {self.name} do not fit {self.name}{self.signature}: {error}") from error
        except ValidationError as error:
            raise InvalidJob(f"arguments of {self.name} do not fit its type hints: {readable(error)}") from error
        except (PydanticSerializationError, UnicodeDecodeError) as error:
            raise InvalidJob(f"arguments of {self.name} are no JSON: {error}") from error

    def load(self, payload: str) -> dict[str, Any]:
        """The function's keyword arguments, from the JSON text that the database holds.

        Parsed and checked in one step, by pydantic's own parser. Raises `InvalidJob` when they do not fit.
        """
        try:
            held = self._model.__pydantic_validator__.validate_json(payload).__dict__
        except ValidationError as error:
            raise InvalidJob(f"stored arguments do not fit {self.name}{self.signature}: {readable(error)}") from error
        return {parameter: held[name] for name, parameter in self._names.items()}


def readable(error: ValidationError) -> str:
    """All that is wrong, in one line: 'invoice_id: Input should be a valid integer (got 'x')'."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'arguments'}: {fault['msg']} (got {fault['input']!r:.60})"
        for fault in error.errors(include_url=False, include_context=False)
    )


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
    config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")
    try:
        return create_model(name, __config__=config, **fields)
    except Exception as error:  # pydantic raises several unrelated types for a hint it cannot use
        raise ConfigurationError(f"a type hint of {name}{signature} cannot be stored as JSON: {error}") from error
