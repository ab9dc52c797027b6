"""@job: still the function, and the jobs that call it."""

import functools
import inspect
import json
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from importlib import import_module, reload

import pytest

from pgqueue import Backoff, Job, JobContext, job
from pgqueue.errors import ConfigurationError, InvalidJob, UnknownKind
from pgqueue.task import find


def test_a_task_is_still_the_function():
    """Tests and other code go on calling it."""

    @job(queue="billing")
    def charge(invoice_id: int, currency: str = "EUR") -> str:
        """Charge an invoice."""
        return f"{invoice_id} {currency}"

    assert charge(42) == "42 EUR"
    assert charge.__doc__ == "Charge an invoice."
    assert list(inspect.signature(charge).parameters) == ["invoice_id", "currency"]


async def test_an_async_task_is_still_the_coroutine_function():
    """`await charge(42)` runs it here."""

    @job
    async def charge(invoice_id: int) -> int:
        return invoice_id + 1

    assert await charge(42) == 43
    assert charge.is_async


def test_a_job_has_the_tasks_name_and_options():
    """Said once, where the handler is."""

    @job(name="billing.charge", queue="billing", priority=2, max_attempts=7, timeout=timedelta(minutes=1))
    def charge(invoice_id: int) -> None: ...

    assert charge.job(42) == Job(
        "billing.charge", {"invoice_id": 42}, queue="billing", priority=2, max_attempts=7, timeout=None
    )
    assert charge.timeout == 60


def test_a_name_is_never_the_module_path():
    """Or moving the code would orphan the jobs that wait."""

    @job
    def charge() -> None: ...

    assert charge.job().kind == "charge"
    assert find("charge") is charge


def test_a_renamed_task_answers_to_its_former_names():
    """Jobs under the old name still wait in the queue when the new code comes."""

    @job(aliases=["charge_card", "charge_customer"])
    def charge() -> None: ...

    assert find("charge_card") is find("charge_customer") is find("charge") is charge


def test_an_unknown_name_is_refused_with_those_that_are_known():
    """A name from the database is looked up and never imported."""

    @job
    def charge() -> None: ...

    with pytest.raises(UnknownKind, match=r"'os\.system'.*charge"):
        find("os.system")


def test_the_context_is_no_argument_of_the_job():
    """The worker gives it; the producer has none."""

    @job
    def charge(ctx: JobContext, invoice_id: int) -> None: ...

    assert charge.takes_context
    assert charge.job(42).args == charge.job(invoice_id=42).args == {"invoice_id": 42}
    assert charge.arguments('{"invoice_id": 42}') == {"invoice_id": 42}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda task: task.job(), "missing a required argument: 'invoice_id'"),
        (lambda task: task.job(1, "EUR", 3), "too many positional arguments"),
        (lambda task: task.job(1, nope=2), "unexpected keyword argument 'nope'"),
        (lambda task: task.job("42"), "invoice_id: Input should be a valid integer (got '42')"),
        (lambda task: task.job(True), "invoice_id: Input should be a valid integer (got True)"),
        (lambda task: task.job(1, currency=None), "currency: Input should be a valid string (got None)"),
        (lambda task: task.job(1, "\ud800"), "no JSON: currency='\\ud800'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(call, said):
    """In the request that enqueues, not in a worker an hour later."""

    @job
    def charge(invoice_id: int, currency: str = "EUR") -> None: ...

    with pytest.raises(InvalidJob) as refused:
        call(charge)
    assert said in str(refused.value)


def test_stored_arguments_that_do_not_fit_are_refused_by_name():
    """Written by psql, or by a producer of last year."""

    @job
    def charge(invoice_id: int) -> None: ...

    for payload, said in [
        ("{}", "invoice_id: Field required"),
        ('{"invoice_id": "x"}', "invoice_id: Input should be a valid integer"),
        ('{"invoice_id": 1, "nope": 2}', "nope: Extra inputs are not permitted (got 2)"),
        ('{"invoice_id": 1' + "0" * 5000 + "}", "invoice_id: "),
        ('{"invoice_id": ' + "[" * 5000 + "]" * 5000 + "}", "arguments: Invalid JSON"),
    ]:
        with pytest.raises(InvalidJob) as refused:
            charge.arguments(payload)
        assert said in str(refused.value)


def test_a_default_is_the_handlers_when_it_runs():
    """It is left out of the payload, so that a changed default holds for jobs that wait."""

    @job
    def charge(invoice_id: int, currency: str = "EUR") -> None: ...

    assert charge.job(42).args == {"invoice_id": 42}
    assert charge.arguments('{"invoice_id": 42}') == {"invoice_id": 42, "currency": "EUR"}


def test_a_parameter_may_be_called_like_anything():
    """`copy` and `json` are methods of the model behind it, `self` and `model_config` mean something to it."""

    @job
    def charge(copy: int, json: str, model_config: int, self: int, _private: int) -> None: ...

    given = {"copy": 1, "json": "x", "model_config": 2, "self": 3, "_private": 4}
    assert charge.job(**given).args == given
    assert charge.arguments(json.dumps(given)) == given


def positional_only(x: int, /) -> None: ...
def variadic(*ids: int) -> None: ...
def keywords(**ids: int) -> None: ...
def unresolved(x: "Nowhere") -> None: ...  # noqa: F821
def a_function_for(x: Callable) -> None: ...
def late_context(x: int, ctx: JobContext) -> None: ...
def optional_context(ctx: JobContext | None, x: int) -> None: ...
def context_by_keyword(*, ctx: JobContext, x: int) -> None: ...


def generator(x: int) -> Iterator[int]:
    yield x


async def async_generator(x: int) -> AsyncIterator[int]:
    yield x


class NotAFunction:
    def __call__(self, x: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (positional_only, "stored by name"),
        (variadic, r"takes \*ids"),
        (keywords, r"takes \*\*ids"),
        (unresolved, "Nowhere"),
        (late_context, "takes ctx: .*; the context comes first"),
        (optional_context, "takes ctx: .*; the context comes first"),
        (context_by_keyword, "takes ctx: .*; the context comes first"),
        (generator, "generator: it has a yield"),
        (async_generator, "async_generator: it has a yield"),
        (NotAFunction, "goes on a function"),
        (NotAFunction(), "goes on a function"),
        (functools.partial(late_context, 1), "goes on a function"),
        (42, "goes on a function"),
    ],
)
def test_a_function_that_no_stored_job_could_call_is_refused(function, said):
    """When the module is imported."""
    with pytest.raises(ConfigurationError, match=said):
        job(function)


async def test_a_static_method_is_the_function_inside():
    """Seen from outside it is neither sync nor async."""

    class Billing:
        @job
        @staticmethod
        async def charge(invoice_id: int) -> int:
            return invoice_id

    assert Billing.charge.is_async
    assert await Billing.charge(42) == 42


@pytest.mark.parametrize(
    "options",
    [
        {"queue": "a b"},
        {"priority": 12},
        {"max_attempts": 0},
        {"timeout": 0},
        {"name": "my job"},
        {"aliases": ["my job"]},
        {"aliases": [None]},
        {"aliases": 5},
    ],
)
def test_options_that_cannot_work_are_refused(options):
    """When the module is imported, with the function's name."""

    def charge() -> None: ...

    with pytest.raises(ConfigurationError, match=r"@job of .*charge: .*(; use|positive|no method pause)"):
        job(**options)(charge)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"backoff": -5}, "backoff -5 is no length of time; give seconds"),
        ({"backoff": "5"}, "backoff '5' is no pause; give seconds"),
        ({"backoff": Backoff}, "is no pause; give seconds"),
        ({"backoff": lambda: 5}, "does not take the number of an attempt"),
        ({"backoff": lambda attempt, error, more: 5}, "does not take the number of an attempt"),
        ({"retry_on": int}, "retry_on <class 'int'> is no class of exceptions; give classes"),
        ({"retry_on": ["ValueError"]}, "retry_on 'ValueError' is no class of exceptions"),
        ({"retry_on": "ValueError"}, "retry_on 'ValueError' is no class of exceptions"),
        ({"retry_on": ValueError("x")}, "retry_on ValueError.* is no class of exceptions"),
        ({"retry_on": [ValueError, None]}, "retry_on None is no class of exceptions"),
        ({"retry_on": lambda: True}, "does not take"),
        ({"give_up_on": 5}, "give_up_on 5 is no class of exceptions"),
        ({"on_failed": "notify"}, "on_failed 'notify' is no function or task; give one that takes a Failure"),
        ({"on_failed": ValueError}, "is no function or task"),
        ({"on_failed": lambda: None}, "must take one argument, the Failure"),
        ({"on_failed": lambda context, failure, more: None}, "must take one argument, the Failure"),
        ({"on_failed": lambda failure: None, "name": "x" * 250}, "job kind 'xxx.* has 260 characters"),
    ],
)
def test_what_is_said_of_failures_is_checked_at_import(options, told):
    """Not when the first job fails, at night."""

    def charge() -> None: ...

    with pytest.raises(ConfigurationError, match=f"@job of .*charge: .*{told}"):
        job(**options)(charge)


def test_two_functions_cannot_have_one_name():
    """Which of them ran would depend on the order of imports."""

    @job(name="charge")
    def charge_card() -> None: ...

    with pytest.raises(ConfigurationError, match=r"charge_card.*charge_bank"):

        @job(name="charge")
        def charge_bank() -> None: ...


def test_a_module_imported_again_replaces_its_tasks():
    """Reloading is no conflict."""

    def define():
        @job
        def charge() -> None: ...

        return charge

    define()
    assert define() is find("charge")


class Fixed:
    def pause(self, attempt: int) -> float:
        return 60.0


@pytest.mark.parametrize("backoff", [None, Backoff(base=5), Fixed()])
def test_a_task_may_have_pauses_of_its_own(backoff):
    """A Backoff, or anything that can tell a pause; without one the worker has its own."""

    @job(backoff=backoff)
    def charge() -> None: ...

    assert charge.backoff is backoff


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes, and writes again, a module of the application; gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a file may be written twice within a second

    def write(text: str) -> str:
        path = tmp_path / "shop_of_this_test.py"
        path.write_text("from pgqueue import job\n" + textwrap.dedent(text))
        return path.stem

    yield write
    sys.modules.pop("shop_of_this_test", None)


def test_two_functions_of_one_name_in_a_module_are_refused(module):
    """The first could never be called: its jobs would run the second, of which nobody thought."""
    name = module("""
        @job
        def charge(invoice_id: int) -> None: ...

        @job
        def charge(order_id: int) -> None: ...
        """)

    with pytest.raises(ConfigurationError, match=rf"'charge': {name}.charge \(line 3\) and {name}.charge \(line 6\)"):
        import_module(name)


@pytest.mark.parametrize(
    "again", [reload, lambda module: (sys.modules.pop(module.__name__), import_module(module.__name__))]
)
def test_a_module_may_be_loaded_again(module, again):
    """As development servers and notebooks do, after an edit or not: then the new function counts."""
    loaded = import_module(module("@job\ndef charge(invoice_id: int) -> int: return 1"))
    first = find("charge")
    again(loaded)
    second = find("charge")
    module("# edited\n\n@job\ndef charge(order_id: int) -> int: return 2")
    again(loaded)

    assert first is not second
    assert find("charge")(5) == 2


def test_a_function_may_be_typed_in_again():
    """In a shell or a cell of a notebook, which are no modules that are imported."""
    for value in (1, 2):
        code = f"from pgqueue import job\n@job\ndef charge() -> int: return {value}"
        exec(code, {"__name__": "__main__ of this test"})

    assert find("charge")() == 2
