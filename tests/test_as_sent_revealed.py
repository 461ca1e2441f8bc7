"""The name in a message that is shown again, for who has it revealed: over connections that really commit."""

from audit.models import Entry
from mailings.models import Message
from tests.make import ask_reveal, consent, make_customer, make_policy, make_staff
from tests.post import sent
from tests.test_as_sent import NAME, launched, shown


def test_who_has_the_name_revealed_sees_it_with_an_entry_and_nobody_else(committed_db, client, sink):
    make_policy()
    ann = make_customer("ANN", full_name=NAME)
    consent(ann)
    launched()
    sent()
    ask_reveal(ann, "full_name", by=make_staff("clerk"))
    message = Message.objects.get()
    answer = shown(client, message)
    assert NAME in answer.text and "•••" not in answer.context["letters"][0][2]
    assert int(answer["Refresh"].partition(";")[0]) <= 600 and answer["Referrer-Policy"] == "no-referrer"
    assert Entry.objects.filter(action="reveal.view").count() == 1
    assert NAME not in shown(client, message, "officer").text
