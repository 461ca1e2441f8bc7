"""Mail is signed by DKIM where there is a key: whoever verifies sees that nobody changed it, not even how it can be refused."""

import base64

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.exceptions import ImproperlyConfigured

from privacy_office import keys
from tests.make import consent, make_campaign, make_customer, make_policy, make_staff
from tests.post import sent

KEYS = {"rsa": rsa.generate_private_key(65537, 2048), "ed25519": ed25519.Ed25519PrivateKey.generate()}


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


def dns(kind):
    """Return what answers for the public key, as a receiver's name server does."""
    public = KEYS[kind].public_key()
    form = (Encoding.Raw, PublicFormat.Raw) if kind == "ed25519" else (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = f"v=DKIM1; k={kind}; p={base64.b64encode(public.public_bytes(*form)).decode()}"
    return lambda name, timeout=5: record if name == b"s1._domainkey.anbinh.example." else None


@pytest.fixture(params=KEYS)
def verifies(request, settings):
    settings.DKIM = keys.signing_key(pem(KEYS[request.param]), "s1", "", settings.MAIL_FROM)
    return lambda data: dkim.verify(data, dnsfunc=dns(request.param))


@pytest.mark.django_db
def test_a_mail_that_arrived_verifies_and_none_that_was_changed_on_the_way_does(sink, verifies):
    make_policy()
    consent(make_customer("ANN", full_name="Nguyễn Thị Ann"))
    make_campaign(approved_by=make_staff("approver")).launch(by=make_staff("approver"))
    sent()
    (mail,) = sink.mails
    data = mail.data
    assert verifies(data)
    names = mail.message["DKIM-Signature"].lower().replace(" ", "")
    assert ":list-unsubscribe:" in names and ":list-unsubscribe-post" in names
    unsubscribe = mail.message["List-Unsubscribe"].encode()
    assert unsubscribe in data
    for changed in (
        data.replace(unsubscribe, b"<https://elsewhere.example/>"),
        data.replace(b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Clicks"),
        data.replace(b"List-Unsubscribe-Post:", b"X-Post:"),
        b"List-Unsubscribe: <https://elsewhere.example/>\r\n" + data,
        b"Subject: another\r\n" + data,
        data.replace(b"10 %", b"90 %"),
        data.replace(b"To: ann@", b"To: eve@"),
    ):
        assert changed != data and not verifies(changed)


def test_without_a_key_nothing_is_signed(settings):
    assert keys.signing_key("", "", "", settings.MAIL_FROM) is None


@pytest.mark.parametrize(
    "key",
    ["x", pem(rsa.generate_private_key(65537, 1024)), pem(KEYS["rsa"])[:-200], pem(KEYS["ed25519"], BestAvailableEncryption(b"secret"))],
    ids=["no PEM", "short", "cut", "encrypted"],
)
def test_a_key_that_is_weak_or_none_stops_the_start_and_is_not_shown(key):
    with pytest.raises(ImproperlyConfigured, match="DKIM_KEY") as refused:
        keys.signing_key(key, "s1", "", "support@anbinh.example")
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    "selector,domain,named", [("", "", "DKIM_SELECTOR"), ("s1", "elsewhere.example", "DKIM_DOMAIN"), ("s1", "binh.example", "DKIM_DOMAIN")]
)
def test_a_key_takes_a_selector_and_the_senders_own_domain(selector, domain, named):
    with pytest.raises(ImproperlyConfigured, match=named):
        keys.signing_key(pem(KEYS["ed25519"]), selector, domain, "support@anbinh.example")


def test_the_domain_may_be_one_above_the_senders():
    assert keys.signing_key(pem(KEYS["ed25519"]), "s1", "example", "support@anbinh.example").domain == b"example"
