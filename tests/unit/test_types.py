"""Type hints: what a producer gives is what the handler gets, by way of JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # pydantic wants this one on Python 3.11

from pgqueue import job
from pgqueue.errors import ConfigurationError, InvalidJob


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Address(BaseModel):
    street: str
    since: date = date(2020, 1, 1)


class Customer(BaseModel):
    name: str = Field(alias="fullName")
    addresses: list[Address] = []
    token: UUID = Field(default_factory=uuid4)


@dataclass
class Line:
    article: str
    price: Decimal
    when: datetime | None = None
    tags: set[str] = field(default_factory=set)


class Point(NamedTuple):
    x: int
    y: int


class Options(TypedDict, total=False):
    loud: bool


ADDRESS = Address(street="Main St")
NOON = datetime(2030, 5, 17, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
VALUES: list[tuple[Any, Any]] = [
    (int, 2**70),
    (int, -1),
    (float, 0.1),
    (float, 5),
    (bool, False),
    (str, 'ü 😀 "quoted" \\u0000'),
    (bytes, b"plain"),
    (datetime, NOON),
    (date, date(2030, 5, 17)),
    (time, time(12, 30)),
    (timedelta, timedelta(days=3, microseconds=7)),
    (UUID, UUID(int=7)),
    (Decimal, Decimal("12345678901234567890.10")),
    (Colour, Colour.BLUE),
    (Level, Level.LOW),
    (Path, Path("/tmp/report.pdf")),
    (Literal["a", "b"], "b"),
    (Address, ADDRESS),
    (Customer, Customer(fullName="Ada", addresses=[ADDRESS])),
    (Line, Line("A1", Decimal("9.90"), NOON, {"x", "y"})),
    (Point, Point(1, 2)),
    (Options, {"loud": True}),
    (list[Address], [ADDRESS, Address(street="Side St", since=date(1999, 1, 1))]),
    (dict[str, Line], {"one": Line("A1", Decimal("1"))}),
    (dict[int, Colour], {1: Colour.RED}),
    (list[list[datetime]], [[NOON], []]),
    (tuple[int, str], (1, "x")),
    (tuple[Decimal, ...], (Decimal("1.0"), Decimal("2.00"))),
    (set[UUID], {UUID(int=1), UUID(int=2)}),
    (frozenset[int], frozenset({1, 2})),
    (Sequence[int], [1, 2]),
    (datetime | None, None),
    (datetime | None, NOON),
    (int | str, "5"),
    (int | str, 5),
    (Any, {"free": [1, None, "x"]}),
    (dict, {"free": 1.5}),
    (Annotated[int, Field(gt=0)], 7),
]


def task_taking(hint: Any) -> Any:
    def handler(value): ...

    handler.__annotations__["value"] = hint
    return job(handler)


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
