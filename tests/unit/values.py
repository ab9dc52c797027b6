"""Type hints and values of them: what a producer may give and a handler must get."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from ipaddress import IPv4Address
from pathlib import Path, PureWindowsPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, PlainSerializer, PlainValidator
from typing_extensions import TypedDict  # pydantic wants this one on Python 3.11

from pgqueue import Secret, job

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


class Right(Flag):
    READ = 1
    WRITE = 2


class Address(BaseModel):
    street: str
    since: date = date(2020, 1, 1)


class Customer(BaseModel):
    name: str = Field(alias="fullName")
    addresses: list[Address] = []
    number: UUID = Field(default_factory=uuid4)


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


class Timed(TypedDict):
    at: datetime
    point: Point


class Page(BaseModel, Generic[T]):
    items: list[T]


class Node(BaseModel):
    """Names itself, and a class that is defined later."""

    value: int
    children: "list[Node]" = []
    leaf: "Leaf | None" = None


class Leaf(BaseModel):
    colour: Colour


@dataclass(frozen=True)
class Tree:
    left: "Tree | None" = None
    weight: Decimal = Decimal(0)


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Transfer(BaseModel):
    kind: Literal["transfer"] = "transfer"
    account: int


class Login(BaseModel):
    user: str
    password: Secret[str]


class Money:
    """A class that neither JSON nor pydantic knows."""

    def __init__(self, cents: int, currency: str) -> None:
        self.cents, self.currency = cents, currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.cents, self.currency))

    @classmethod
    def read(cls, value: Any) -> "Money":
        return value if isinstance(value, Money) else cls(int(value["cents"]), value["currency"])


StoredMoney = Annotated[Money, PlainValidator(Money.read), PlainSerializer(vars, return_type=dict, when_used="json")]
CustomerId = NewType("CustomerId", int)
BERLIN = ZoneInfo("Europe/Berlin")
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
    (datetime, datetime(2030, 5, 17, 12)),  # noqa: DTZ001
    (datetime, datetime(2030, 5, 17, 12, tzinfo=UTC)),
    (datetime, datetime(2030, 7, 1, 12, tzinfo=BERLIN)),
    (datetime, datetime.max),  # noqa: DTZ901
    (date, date.min),
    (time, time(12, 30, tzinfo=UTC)),
    (time, time.max),
    (timedelta, timedelta.min),
    (timedelta, -timedelta(microseconds=1)),
    (Decimal, Decimal("123456789012345678901234567890")),
    (Decimal, Decimal("1E+400")),
    (Annotated[Decimal, Field(allow_inf_nan=True)], Decimal("-Infinity")),
    (float, 1.7976931348623157e308),
    (bytes, bytes(range(256))),
    (Word, Word.YES),
    (Right, Right.READ | Right.WRITE),
    (Path, Path("a/../b")),
    (PureWindowsPath, PureWindowsPath("C:/x")),
    (IPv4Address, IPv4Address("10.0.0.1")),
    (CustomerId, CustomerId(7)),
    (Literal[1, "1", None], "1"),
    (Literal[Word.YES], Word.YES),
    (bool | int, 1),
    (bool | int, True),
    (date | datetime, date(2030, 1, 1)),
    (date | datetime, datetime(2030, 1, 1, tzinfo=UTC)),
    (int | Decimal, Decimal("5")),
    (str | UUID, UUID(int=7)),
    (Card | Transfer, Transfer(account=7)),
    (Annotated[Card | Transfer, Field(discriminator="kind")], Card(number="1")),
    (Timed, {"at": NOON, "point": Point(1, 2)}),
    (Page[Decimal], Page[Decimal](items=[Decimal("1.0")])),
    (Page[Page[UUID]], Page[Page[UUID]](items=[Page[UUID](items=[UUID(int=1)])])),
    (Node, Node(value=1, children=[Node(value=2, leaf=Leaf(colour=Colour.BLUE))])),
    (Tree, Tree(Tree(None, Decimal("1.5")))),
    (deque[int], deque([1, 2])),
    (Mapping[date, list[bytes]], {date(2030, 1, 1): [b"\xff"]}),
    (dict[UUID, int], {UUID(int=1): 1}),
    (dict[bool, int], {True: 1, False: 0}),
    (dict[Colour, int], {Colour.RED: 1}),
    (dict[Decimal, int], {Decimal("1.50"): 1}),
    (dict[bytes, int], {b"\xff": 1}),
    (tuple[()], ()),
    (set[tuple[int, str]], {(1, "a"), (2, "b")}),
    (dict[str, dict[str, set[datetime | None]]], {"a": {"b": {None, NOON}}}),
    (Secret[str], Secret("hunter2")),
    (Secret[bytes] | None, Secret(b"\xff")),
    (list[Secret[Decimal]], [Secret(Decimal("1.10"))]),
    (Login, Login(user="ada", password=Secret("hunter2"))),
    (StoredMoney, Money(990, "EUR")),
    (list[StoredMoney], [Money(1, "EUR"), Money(2, "USD")]),
]


def task_taking(hint: Any, name: str = "handler") -> Any:
    """A task whose one parameter `value` has that type hint."""

    def handler(value): ...

    handler.__annotations__["value"] = hint
    return job(name=name)(handler)
