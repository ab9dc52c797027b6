"""Type hints: what a producer gives is what the handler gets, by way of JSON."""

import collections
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, Json, SecretStr, SerializeAsAny

from pgqueue import job
from pgqueue.errors import ConfigurationError, InvalidJob
from tests.unit.values import ADDRESS, NOON, VALUES, Address, Colour, Customer, Line, task_taking


@pytest.mark.parametrize(("hint", "value"), VALUES, ids=[f"{number}-{hint}" for number, (hint, _) in enumerate(VALUES)])
def test_a_value_comes_back_as_it_was(hint, value):
    """A handler is written against its type hints, not against JSON."""
    task = task_taking(hint)
    found = task.arguments(task.job(value).payload)["value"]

    assert found == value
    assert type(found) is (float if hint is float else type(value))


def test_several_arguments_by_position_by_name_and_by_default():
    """As any call."""

    @job
    def charge(order: UUID, lines: list[Line], customer: Customer | None = None, when: datetime = NOON) -> None: ...

    lines, customer = [Line("A1", Decimal("9.90"))], Customer(fullName="Ada")
    made = charge.job(UUID(int=1), lines=lines, customer=customer)

    assert charge.arguments(made.payload) == {"order": UUID(int=1), "lines": lines, "customer": customer, "when": NOON}
    assert "when" not in made.args


def test_a_value_that_a_model_made_for_itself_is_kept():
    """A token from a default_factory must not be another one at each attempt."""
    task = task_taking(Customer)
    stored = task.job(Customer(fullName="Ada")).payload

    assert task.arguments(stored) == task.arguments(stored)


def test_a_default_of_the_handler_is_not_shared_between_runs():
    """What one run appends, the next must not find."""

    @job
    def handler(tags: list[str] = []) -> None: ...  # noqa: B006

    handler.arguments("{}")["tags"].append("left over")
    assert handler.arguments("{}") == {"tags": []}


@pytest.mark.parametrize(
    ("hint", "value", "said"),
    [
        (datetime, "2030-01-01", "valid datetime"),
        (UUID, str(UUID(int=1)), "instance of UUID"),
        (Decimal, 1.5, "instance of Decimal"),
        (Colour, "red", "instance of"),
        (Address, "Main St", "instance of Address"),
        (list[Address], [ADDRESS, 5], "value.1"),
        (Annotated[int, Field(gt=0)], 0, "greater than 0"),
        (dict[str, Line], {"one": 1}, "value.one"),
        (Decimal, Decimal("NaN"), "finite number"),
        (date, NOON, "valid date"),
    ],
)
def test_a_value_of_another_type_is_refused_where_the_job_is_made(hint, value, said):
    """As strict as the type checker, for code that has none."""
    with pytest.raises(InvalidJob, match=said):
        task_taking(hint).job(value)


def test_a_type_that_has_no_json_is_refused_where_the_task_is_made():
    """When the module is imported."""
    with pytest.raises(ConfigurationError, match=r"a type hint of handler.*cannot be stored as JSON"):
        task_taking(object.__new__(type("Socket", (), {})).__class__)


def test_a_moment_keeps_its_meaning_and_not_its_zone_name():
    """JSON has only offsets."""
    task = task_taking(datetime)
    found = task.arguments(task.job(NOON).payload)["value"]

    assert found.astimezone(UTC) == NOON.astimezone(UTC)


class Base(BaseModel):
    x: int


class Wide(Base):
    y: int = 0


class Partial(BaseModel):
    kept: int
    left_out: int = Field(default=1, exclude=True)


class OtherName(BaseModel):
    x: int = Field(serialization_alias="X")


class Odd(Enum):
    PAIR = (1, 2)


@pytest.mark.parametrize(
    ("hint", "value", "came_back"),
    [
        (Path | str, "x", "PosixPath('x')"),
        (UUID | str, str(UUID(int=1)), "UUID("),
        (Decimal | str, "5", "Decimal('5')"),
        (list[int] | set[int], {1}, "[1] (list)"),
        (Wide | Base, Base(x=1), "Wide(x=1, y=0)"),
        (Base, Wide(x=1, y=5), "Base(x=1)"),
        (SerializeAsAny[Base], Wide(x=1, y=5), "Base(x=1)"),
        (Partial, Partial(kept=1, left_out=5), "left_out=1"),
        (Any, NOON, "(str)"),
        (Any, UUID(int=1), "(str)"),
        (Any, {1, 2}, "(list)"),
        (dict, {1: "x"}, "{'1': 'x'}"),
        (dict[str, Any], {"price": Decimal("1.10")}, "'1.10'"),
        (list, [NOON], "['2030-"),
        (dict[str | int, int], {"1": 1, 1: 2}, "{'1': 2}"),
        (datetime, datetime(2030, 1, 1, tzinfo=timezone(timedelta(seconds=15))), "come back"),
        (SecretStr, SecretStr("hunter2"), "pgqueue.Secret[str]"),
    ],
)
def test_a_value_that_would_come_back_as_another_is_refused_where_the_job_is_made(hint, value, came_back):
    """Or the handler fails an hour later at a text that was a date, or works on with half of the fields."""
    with pytest.raises(InvalidJob, match=r"do not survive JSON: value=") as refused:
        task_taking(hint).job(value)
    assert came_back in str(refused.value)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Odd, Odd.PAIR),
        (Literal[b"x"], b"x"),
        (Literal[Colour.RED], Colour.RED),
        (OtherName, OtherName(x=1)),
        (Json[list[int]], "[1]"),
        (dict[tuple[int, int], int], {(1, 2): 3}),
        (dict[Literal[1, 2], int], {1: 1}),
    ],
)
def test_a_value_that_could_not_be_read_back_is_refused_where_the_job_is_made(hint, value):
    """As it would fail every attempt."""
    with pytest.raises(InvalidJob, match=r"would not fit its type hints when they are read back: value"):
        task_taking(hint).job(value)


def test_a_value_without_json_is_refused_by_the_name_of_its_argument():
    """A call with ten arguments must not leave one guessing."""

    @job
    def charge(rate: float, hook: Callable[[], int] | None = None, note: str = "") -> None: ...

    for wrong, said in [
        ({"rate": float("nan")}, "rate=nan"),
        ({"rate": 1.0, "hook": len}, r"hook=<built-in function len>"),
        ({"rate": 1.0, "note": "a\0b"}, r"note='a\\x00b'.*U\+0000"),
        ({"rate": 1.0, "note": "\ud800"}, r"note='\\ud800'"),
    ]:
        with pytest.raises(InvalidJob, match=f"charge are no JSON.*{said}"):
            charge.job(**wrong)


@pytest.mark.parametrize("hint", [Iterable[int], Iterator[str], list[Iterable[int]], Iterable])
def test_what_can_be_read_once_is_refused_where_the_task_is_made(hint):
    """The second attempt would find it empty."""
    with pytest.raises(ConfigurationError, match=r"takes value: .*it can be read once.*take a list"):
        task_taking(hint)


def test_an_order_of_keys_is_refused_where_the_task_is_made():
    """jsonb sorts them by length."""
    with pytest.raises(ConfigurationError, match="keeps no order of the keys"):
        task_taking(collections.OrderedDict[str, int])


def test_a_refused_type_hint_is_told_with_its_parameter():
    """When the module is imported, with ten others in the signature."""

    class Socket: ...

    def handler(id, socket): ...

    handler.__annotations__ = {"id": int, "socket": Socket}
    with pytest.raises(ConfigurationError, match=r"socket: .*Socket"):
        job(handler)


def test_a_class_may_be_defined_after_the_task_and_is_missed_by_name():
    """As Python's own annotations allow; a job can be made once it is there."""
    scope: dict[str, Any] = {"__name__": __name__, "BaseModel": BaseModel, "job": job}
    exec("class Order(BaseModel):\n    later: 'Later'\n\n@job\ndef charge(order: Order): ...", scope)
    charge = scope["charge"]

    with pytest.raises(ConfigurationError, match=r"type hints of charge cannot be used: .*define `Later`"):
        charge.arguments('{"order": {"later": 1}}')


def test_a_tuple_may_be_a_list_afterwards_where_the_hint_says_neither():
    """Nothing is lost by it."""
    task = task_taking(Any)

    assert task.arguments(task.job({"ids": (1, 2)}).payload) == {"value": {"ids": [1, 2]}}


class Blind:
    """Compares by identity only, and JSON knows it by its own serializer."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Blind) else Blind(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: "blind"),
        )


def test_a_value_that_cannot_be_compared_is_believed():
    """Refusing it would forbid the class."""
    assert task_taking(list[Blind]).job([Blind()]).args == {"value": ["blind"]}


def test_a_repeated_hour_is_kept():
    """In autumn 02:30 comes twice, and Python calls such a moment unequal to itself in another zone."""
    from tests.unit.values import BERLIN

    twice = datetime(2030, 10, 27, 2, 30, fold=1, tzinfo=BERLIN)
    task = task_taking(datetime)

    assert task.arguments(task.job(twice).payload)["value"].astimezone(UTC) == twice.astimezone(UTC)


def test_a_certain_type_hint_costs_no_second_look():
    """Reading back every job would make each dearer; most hints leave no doubt."""

    @job
    def charge(id: int, name: str | None, ids: list[UUID], rates: dict[str, Decimal], colour: Colour) -> None: ...

    @job
    def other(at: datetime, anything: Any = None) -> None: ...

    assert charge._arguments._doubtful == []
    assert other._arguments._doubtful == ["a0", "a1"]
