"""Two members of the staff decide one request at the same moment: one decision counts, and one letter tells it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from audit.models import Entry
from consent import rights
from customers.models import Notice, RightsRequest
from tests.make import make_customer, make_request, make_staff


def test_of_two_decisions_at_the_same_time_one_counts(committed_db):
    clerk, officer = make_staff("clerk"), make_staff("officer")
    request = make_request(make_customer("ANN"), "copy", source="my")

    def decide(verb):
        try:
            verb(RightsRequest.objects.get(pk=request.pk))
        except ValidationError:
            return "too late"
        finally:
            connection.close()
        return "done"

    verbs = [lambda r: rights.fulfil(r, by=clerk), lambda r: r.refuse(by=officer, ground="others", reason="x")] * 2
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(decide, verbs))
    assert sorted(outcomes) == ["done", "too late", "too late", "too late"]
    assert Notice.objects.about(request).count() == 2
    assert Entry.objects.filter(action__in=["request.fulfil", "request.refuse"]).count() == 1


@pytest.mark.django_db  # also what has pytest make a database where this file runs alone
def test_of_two_decisions_one_after_the_other_the_first_counts():
    clerk = make_staff("clerk")
    request = make_request(make_customer("ANN"), "copy", source="my")
    read_before = RightsRequest.objects.get(pk=request.pk)
    rights.fulfil(request, by=clerk)
    with pytest.raises(ValidationError):
        read_before.refuse(by=clerk, ground="others", reason="x")
    assert Notice.objects.about(request).count() == 2
