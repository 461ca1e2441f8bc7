"""A message shown again as it was when it left: from the versions of then, masked, and without what opens anything."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from consent.models import ChannelRule, Purpose
from customers.models import Link, Notice
from mailings.models import Campaign, Message, RenewalNotice, queue_renewals
from tests.make import consent, make_campaign, make_customer, make_policy, make_service, make_staff
from tests.post import sent, text
from tests.walk import sign_in

pytestmark = pytest.mark.django_db

NAME = "Trần Thị Ánh Tuyết"


@pytest.fixture
def ann():
    make_policy()
    customer = make_customer("ANN", full_name=NAME, locale="vi")
    for purpose in ("promotions", "service_renewal"):
        consent(customer, purpose)
    return customer


def launched(**fields):
    campaign = make_campaign(approved_by=make_staff("approver"), **fields)
    campaign.launch(by=make_staff("approver"))
    return campaign


def shown(client, message, role="clerk"):
    client.logout()
    sign_in(client, make_staff(role))
    return client.get(reverse("admin:mailings_message_as_sent", args=[message.pk]), headers={"accept-language": "en"})


def rename(model, **fields):
    """Change rows as staff would, after the mail left."""
    for row in model.objects.all():
        for name, value in fields.items():
            setattr(row, name, value)
        row.save()


def body_of(mail):
    return text(mail).replace("\r\n", "\n").split("\n-- \n")[0]


def test_a_campaigns_letter_is_shown_as_it_left_whatever_was_changed_since(client, sink, ann):
    launched(subject="Ưu đãi", body="Kính gửi {full_name}, **giảm** 10 %.")
    sent()
    (mail,) = sink.mails
    rename(Campaign, subject="Khác", body="Khác")
    rename(ChannelRule, label="[AD]")
    rename(Purpose, title_vi="Khác")
    answer = shown(client, Message.objects.get())
    assert "[QC] Ưu đãi" in answer.text and "Khác" not in answer.text
    (letter,) = answer.context["letters"]
    assert letter[2].split("\n-- \n")[0].strip() == body_of(mail).replace(NAME, "•••").strip()
    assert "allowed" in answer.text and "event:" in answer.text, "with its decision"


def test_a_renewal_notice_is_shown_with_the_services_and_days_of_then(client, sink, ann):
    today = timezone.localdate()
    service = make_service(ann, product="VPS", expires_on=today + timedelta(days=7))
    queue_renewals(today, by=None)
    sent()
    (mail,) = sink.mails
    rename(RenewalNotice, body_vi="Khác", subject_vi="Khác")
    service.product = "Khác"
    service.save()
    (letter,) = shown(client, Message.objects.get()).context["letters"]
    assert letter[2].split("\n-- \n")[0].strip() == body_of(mail).replace(NAME, "•••").strip()
    assert letter[1] == str(mail.message["Subject"])


@pytest.mark.parametrize("role", ["clerk", "officer", "auditor"])
def test_the_name_is_masked_and_no_address_is_shown(client, sink, ann, role):
    launched()
    sent()
    answer = shown(client, Message.objects.get(), role)
    assert "•••" in answer.text and NAME not in answer.text and "ann@example.org" not in answer.text
    assert not Entry.objects.filter(action="reveal.view").exists()


@pytest.mark.parametrize("role", ["marketer", "approver", "administrator"])
def test_who_makes_campaigns_never_sees_a_message(client, sink, ann, role):
    launched()
    sent()
    assert shown(client, Message.objects.get(), role).status_code == 403


def test_a_link_that_works_once_is_shown_as_one_and_none_is_made(client, sink, ann):
    Notice.tell(ann, Notice.Kind.SIGN_IN, address="old@example.org")
    sent()
    message, links = Message.objects.get(), Link.objects.count()
    answer = shown(client, message)
    assert "(một liên kết dùng một lần)" in answer.text and Link.objects.count() == links == 1
    assert "/link/" not in answer.text and "old@example.org" not in answer.text


def test_the_links_that_act_for_the_customer_are_not_made_again(client, sink, ann):
    launched()
    sent()
    (mail,) = sink.mails
    theirs = {word for word in text(mail).split() if "/unsubscribe/" in word or "/preferences/" in word}
    answer = shown(client, Message.objects.get())
    assert len(theirs) == 2 and not [word for word in theirs if word in answer.text]


def test_what_was_blocked_is_shown_as_it_would_have_left(client, sink, ann):
    campaign = launched(subject="Ưu đãi")
    campaign.stop(by=make_staff("approver"))
    answer = shown(client, Message.objects.get())
    assert "campaign_stopped" in answer.text and "Ưu đãi" in answer.text
