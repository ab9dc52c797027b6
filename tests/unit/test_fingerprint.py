"""Fingerprints of errors: by type and the innermost places of the application, whoever else's code lies between."""

from pgqueue.worker.description import fingerprint

LIBRARY = "/venv/lib/python3.11/site-packages/client/api.py"


def error(*places):
    """An error that came through functions of these modules and files, outermost first: (module, function, file)."""
    call = None
    for module, name, file in reversed(places):
        body = "raise ValueError('no')" if call is None else "call()"
        space = {"__name__": module, "call": call}
        exec(compile(f"def {name}():\n    {body}", file, "exec"), space)
        call = space[name]
    try:
        call()
    except ValueError as raised:
        return raised


HANDLER = ("shop.jobs", "charge", "/app/shop/jobs.py")


def test_another_package_of_the_application_counts():
    """Its own code is what is neither installed nor Python's."""
    one = error(HANDLER, ("payments.bank", "debit", "/app/payments/bank.py"))
    other = error(HANDLER, ("payments.bank", "credit", "/app/payments/bank.py"))

    assert fingerprint(one, "shop.jobs") != fingerprint(other, "shop.jobs")


def test_what_happens_inside_a_library_does_not():
    """It may change with its next release; the bug is where the application called it."""
    one = error(HANDLER, ("client.api", "get", LIBRARY))
    other = error(HANDLER, ("client.api", "send", LIBRARY), ("client.api", "retry", LIBRARY))

    assert fingerprint(one, "shop.jobs") == fingerprint(other, "shop.jobs")


def test_an_application_that_is_installed_is_one_all_the_same():
    """Many are deployed as a wheel: the handler's own package counts wherever it lies."""
    folder = "/venv/lib/python3.11/site-packages/shop"
    one = error(("shop.jobs", "charge", f"{folder}/jobs.py"), ("shop.bank", "debit", f"{folder}/bank.py"))
    other = error(("shop.jobs", "charge", f"{folder}/jobs.py"), ("shop.bank", "credit", f"{folder}/bank.py"))

    assert fingerprint(one, "shop.jobs") != fingerprint(other, "shop.jobs")


def test_the_same_place_in_another_folder_is_the_same():
    """Each release, and each machine, may have its own."""
    one = error(("shop.jobs", "charge", "/releases/1/shop/jobs.py"))
    other = error(("shop.jobs", "charge", "/releases/2/shop/jobs.py"))

    assert fingerprint(one, "shop.jobs") == fingerprint(other, "shop.jobs")


def test_a_group_is_told_by_what_is_in_it():
    """In whatever order, and however many of them: that differs from run to run."""
    value, kind = error(HANDLER), TypeError("no")

    one = ExceptionGroup("unhandled", [value, kind])
    other = ExceptionGroup("unhandled", [kind, ExceptionGroup("more", [value, value])])

    assert fingerprint(one, "shop.jobs") == fingerprint(other, "shop.jobs")
    assert fingerprint(one, "shop.jobs") != fingerprint(ExceptionGroup("unhandled", [value]), "shop.jobs")


def test_it_is_the_same_in_every_process():
    """No hash of Python's own, which differs from process to process; and that which SQL gives for a type alone."""
    assert fingerprint(TypeError("x"), "shop") == "137bf8cff2d59f08"
