"""What is signed fast is what Django signs, and what the standard library writes in base32."""

import base64

import pytest
from django.core import signing as django_signing
from django.utils.crypto import salted_hmac
from hypothesis import given
from hypothesis import strategies as st

from mailings import returns
from mailings.models import Message
from privacy_office import signing

SALTS, SECRETS = st.sampled_from(["a", "b"]), st.sampled_from(["x" * 50, "y" * 50])


@given(SALTS, SECRETS, st.text(st.characters(exclude_categories=["Cs"])))
def test_a_signature_is_django_s_whatever_was_signed_before(salt, secret, value):
    assert signing.mac(salt, value, secret) == salted_hmac(salt, value, secret=secret, algorithm="sha256").digest()
    ours, theirs = (made.Signer(key=secret, salt=salt, sep=".") for made in (signing, django_signing))
    assert ours.sign(value) == theirs.sign(value) and ours.unsign(theirs.sign(value)) == value


def test_a_value_signed_under_an_older_key_is_known():
    signed = signing.Signer(key="x" * 50, salt="a").sign("ann")
    assert signing.Signer(key="y" * 50, fallback_keys=["x" * 50], salt="a").unsign(signed) == "ann"
    with pytest.raises(django_signing.BadSignature):
        signing.Signer(key="y" * 50, salt="a").unsign(signed)


@given(st.uuids())
def test_a_token_is_base32_of_the_standard_and_read_again(public_id):
    token = returns.token(Message(public_id=public_id), returns.Use.ID)
    decoded = base64.b32decode(token[1:].upper() + "======")
    assert decoded[:16] == public_id.bytes and len(decoded) == 16 + returns.SIGNATURE
    assert token[1:] == base64.b32encode(decoded).decode().rstrip("=").lower()
    assert returns.read(f"<{token}@office.example>")[returns.Use.ID] == {public_id}
