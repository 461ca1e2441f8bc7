"""The demo shows each thing that the staff's work is made of, made by the models' own verbs: the trail vouches for every row."""

import json

import pytest

pytestmark = pytest.mark.fault
COUNTS = {  # what somebody who looks around must find
    "corrections that wait": "SELECT count(*) FROM customers_correction WHERE state = 'open' AND due_on >= now()::date",
    "a late correction": "SELECT count(*) FROM customers_correction WHERE state = 'open' AND due_on < now()::date",
    "a correction that waits for the customer": "SELECT count(*) FROM customers_correction WHERE state = 'asked'",
    "a correction that was made": "SELECT count(*) FROM customers_correction WHERE state = 'applied'",
    "a hold that staff placed": "SELECT count(*) FROM customers_emailhold WHERE placed_by_id IS NOT NULL AND released_at IS NULL",
    "a late request of right": "SELECT count(*) FROM customers_rightsrequest WHERE due_on < now()::date",
    "a request of right in time": "SELECT count(*) FROM customers_rightsrequest WHERE due_on >= now()::date",
    "a request on its clock": "SELECT count(*) FROM disclosures_disclosurerequest WHERE answered_at IS NULL AND due_at > now()",
    "a commitment in force": "SELECT count(*) FROM disclosures_commitment WHERE valid_until >= now()::date",
    "a permission": "SELECT count(*) FROM disclosures_permissionevent WHERE event = 'given'",
    "a disclosure": "SELECT count(*) FROM disclosures_disclosure",
    "a support request": "SELECT count(*) FROM customers_supportrequest WHERE closed_at IS NULL",
    "a reveal": "SELECT count(*) FROM customers_reveal WHERE opened_at IS NOT NULL",
    "bounces": "SELECT count(*) FROM mailings_message WHERE bounced_at IS NOT NULL",
    "a refusal by reply": "SELECT count(*) FROM consent_consentevent WHERE source = 'reply'",
    "a campaign half-way": "SELECT count(*) FROM mailings_campaign c WHERE status = 'paused'"
    " AND (SELECT count(DISTINCT m.state) FROM mailings_message m WHERE m.campaign_id = c.id AND m.state IN ('sent', 'queued')) = 2",
    "a finished campaign": "SELECT count(*) FROM mailings_campaign WHERE status = 'done'",
    "a counted draft": "SELECT count(*) FROM mailings_campaign WHERE status = 'draft' AND id IN (SELECT campaign_id FROM mailings_dryrun)",
    "a month of daily counts": "SELECT 1 FROM consent_consentcount HAVING count(DISTINCT day) > 30",
    "somebody who came back": "SELECT count(*) FROM (SELECT 1 FROM consent_consentevent WHERE event IN ('given', 'withdrawn')"
    " GROUP BY customer_id, purpose_id, channel HAVING count(*) > 2) said",
    "a consent that a newer policy outdated": "SELECT count(*) FROM consent_consentstate s JOIN consent_purpose p ON p.id = s.purpose_id"
    " WHERE p.code = 'surveys' AND s.state = 'given'",
}


def test_the_demo_has_one_of_everything_and_the_trail_vouches_for_it(office):
    office.env |= {"DEMO": "1", "BASE_URL": "http://localhost:8000"}
    said = office.manage("load_demo")
    found = {what: office.query(sql) for what, sql in COUNTS.items()}
    assert not [what for what, count in found.items() if count in ([], [(0,)])]
    assert office.query("SELECT count(*) FROM customers_customer") == [(1000,)] and "One promotion: " in said
    assert json.loads(office.manage("verify_audit").splitlines()[-1])["problems"] == []
    before = office.query("SELECT max(id) FROM customers_correction")
    again = office.manage("load_demo")
    assert "One promotion: 0 sent" in again and office.query("SELECT max(id) FROM customers_correction") == before
