"""Whatever customers, staff, imports and versions do, in whatever order: no mail is allowed that the ledger does not allow."""

import itertools
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from consent import gate, preferences, rebuilding
from consent.models import ALLOWS, STOPS, ConsentEvent, ConsentState, Event, PolicyVersion, Purpose, Source
from customers.erasure import erase
from customers.models import Customer, EmailHold
from tests.make import current_policy, make_customer, make_hold, make_policy, make_staff, state_of

PURPOSES = ["promotions", "surveys", "service_renewal"]
numbers = itertools.count(1)
who, what = st.integers(0, 2), st.sampled_from(PURPOSES)


class Office(RuleBasedStateMachine):
    """Three persons, who keep their addresses when they are erased and come again by an import."""

    @initialize()
    def open(self):
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.officer = make_staff("officer")
        self.addresses = [f"person{n}.{next(numbers)}@example.org" for n in range(3)]
        self.people = [make_customer(email=address) for address in self.addresses]
        self.version = PolicyVersion.objects.count()
        self.new_version(False, "promotions")

    def teardown(self):
        if hasattr(self, "atomic"):
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    @rule(who=who, what=what)
    def say_yes(self, who, what):
        if not self.people[who].erased_at:
            state_of(self.people[who], what).give(by=self.people[who], source=Source.PREFERENCE_PAGE, policy=current_policy())

    @rule(who=who, what=what, source=st.sampled_from([Source.ONE_CLICK, Source.REPLY, Source.PHONE_CALL]), hours=st.integers(0, 48))
    def say_no(self, who, what, source, hours):
        at = timezone.now() - timedelta(hours=hours) if source == Source.PHONE_CALL else None
        state_of(self.people[who], what).withdraw(by=self.people[who], source=source, at=at)

    @rule(who=who, ticked=st.sets(what), shown=st.sets(what))
    def send_an_old_page(self, who, ticked, shown):
        names = [{f"{code}:email" for code in codes} for codes in (ticked, shown)]
        policy = str(current_policy().number)
        sent = {"ticked": names[0], "shown": names[1], "policy": policy, "language": "vi"}
        preferences.choose(self.people[who], by=self.people[who], source=Source.PREFERENCE_PAGE, **sent)

    @rule(who=who)
    def refuse_all(self, who):
        preferences.refuse_all(self.people[who], by=self.people[who], source=Source.PREFERENCE_PAGE)

    @rule(who=who, said=st.lists(st.tuples(what, st.sampled_from(list(Event)), st.integers(0, 72)), max_size=4), newest=st.booleans())
    def take_an_import(self, who, said, newest):
        if said:
            policy = PolicyVersion.objects.published().order_by("-number" if newest else "number").first()
            ConsentEvent.objects.record([
                ConsentEvent(
                    customer=self.people[who], purpose=Purpose.objects.get(code=code), channel="email", event=event,
                    at=timezone.now() - timedelta(hours=hours), source=Source.IMPORT, policy_version=policy, by="system",
                )
                for code, event, hours in said
            ], by=None)  # fmt: skip

    @rule(who=who)
    def erase_and_come_again(self, who):
        if not self.people[who].erased_at:
            erase(self.people[who], by=self.officer, reason="asked")
            self.people[who] = make_customer(email=self.addresses[who])

    @rule(major=st.booleans(), what=what)
    def new_version(self, major, what):
        self.version += 1
        make_policy(self.version, severity="major" if major else "minor", changes=[what])

    @rule(who=who)
    def hold_or_release(self, who):
        hold = EmailHold.objects.open().filter(customer=self.people[who]).first()
        if hold:
            hold.release(by=self.officer, channel="phone", note="knows the plan")
        else:
            make_hold(self.people[who])

    @rule(who=who)
    def restrict_or_lift(self, who):
        try:
            self.people[who].restrict(by=None, reason="asked")
        except ValidationError:
            self.people[who].lift_restriction(by=None, reason="asked")

    def events(self):
        """Return the ledger as it is read without the office's own code: {key: the last one said, a no before a yes at one instant}."""
        last = {}
        for said in sorted(ConsentEvent.objects.select_related("policy_version"), key=lambda e: (e.at, e.event in STOPS, e.pk)):
            last[said.key] = said
        return last

    @invariant()
    def nothing_is_allowed_without_a_yes_that_counts(self):
        if not hasattr(self, "people"):
            return
        last = self.events()
        for code in PURPOSES:
            purpose = Purpose.objects.get(code=code)
            major = PolicyVersion.objects.published().filter(severity="major", changes=purpose).order_by("-number").first()
            for pk, decision in gate.decide([c.pk for c in Customer.objects.all()], code, "email").items():
                if decision.allowed:
                    customer, said = Customer.objects.get(pk=pk), last[pk, purpose.pk, "email"]
                    assert said.event in ALLOWS
                    assert not major or said.policy_version.number >= major.number
                    assert not (customer.erased_at or customer.restricted_at or customer.holds.open().exists())

    @invariant()
    def the_states_are_a_replay_of_the_ledger(self):
        if not hasattr(self, "people"):
            return
        last = self.events()
        states = {s.key: s for s in ConsentState.objects.exclude(state="unknown", at=None)}
        assert set(states) == set(last)
        for key, state in states.items():
            said = last[key]
            assert (state.state in ALLOWS, state.state in STOPS, state.at) == (said.event in ALLOWS, said.event in STOPS, said.at)
        assert rebuilding.compare().differences == 0


@pytest.mark.django_db
def test_nothing_is_ever_allowed_that_the_ledger_does_not_allow_and_the_states_are_its_replay():
    run_state_machine_as_test(Office, settings=settings(max_examples=14, stateful_step_count=16, suppress_health_check=list(HealthCheck)))
