"""Two of the staff decide about one correction in the same moment, over two connections."""

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from customers.models import Correction, Customer, Notice
from tests.make import make_customer, make_staff, propose

NEW = "+84909999999"


@pytest.mark.fault
@pytest.mark.parametrize("verbs", [("approve", "approve"), ("approve", "refuse"), ("refuse", "refuse")])
def test_of_two_decisions_at_the_same_time_one_wins(committed_db, verbs):
    ann, staff = make_customer("ANN"), [make_staff("clerk", name) for name in ("one", "two")]
    number, start, outcomes = propose(ann).pk, threading.Barrier(2), []

    def decide(verb, by):
        row = Correction.objects.get(pk=number)
        start.wait()
        try:
            getattr(row, verb)(by=by, **({"reason": "no"} if verb == "refuse" else {}))
            outcomes.append(verb)
        except ValidationError:
            outcomes.append("lost")
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=pair) for pair in zip(verbs, staff, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("lost") == 1
    applied = Correction.objects.get().state == "applied"
    assert (Customer.objects.get().phone == NEW) == applied == ("approve" in outcomes)
    assert Notice.objects.count() == 2
