"""However many decide and fetch at the same time, one does."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from audit.models import Entry
from disclosures import handover
from disclosures.models import Disclosure, DisclosureRequest
from tests.make import assess, make_approved, make_customer, make_data_request, make_staff


@pytest.mark.usefixtures("committed_db")
def test_twenty_approvals_and_refusals_at_once_give_one_decision():
    request = assess(make_data_request(make_customer("ANN")))
    approver, second = make_staff("approver"), make_staff("officer", "olga")
    rows = [DisclosureRequest.objects.get(pk=request.pk) for _ in range(20)]

    def attempt(number):
        try:
            if number % 2:
                rows[number].approve(by=approver)
            else:
                rows[number].refuse(by=second, ground="too_wide")
        except ValidationError:
            return None
        finally:
            connection.close()
        return "approved" if number % 2 else "refused"

    with ThreadPoolExecutor(8) as threads:
        decided = [said for said in threads.map(attempt, range(20)) if said]
    request.refresh_from_db()
    assert decided == [request.status]
    assert Entry.objects.filter(action__in=["request.approve", "request.refuse"]).count() == 1


@pytest.mark.usefixtures("committed_db")
def test_of_many_fetches_at_once_one_hands_over():
    _decision, token = handover.prepare(make_approved(make_customer("ANN")), by=make_staff("officer"))
    officer = make_staff("officer")

    def attempt(_number):
        try:
            return handover.fetch(token, by=officer)[1] is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 1
    assert Disclosure.objects.count() == 1


@pytest.mark.django_db  # also what has pytest make a database where this file runs alone
def test_one_after_the_other_the_first_decision_stands():
    request = assess(make_data_request(make_customer("ANN")))
    request.approve(by=make_staff("approver"))
    for verb, how in (("refuse", {"ground": "too_wide"}), ("approve", {})):
        with pytest.raises(ValidationError):
            getattr(request, verb)(by=make_staff("officer", "olga"), **how)
    assert request.status == "approved"
