"""Seals the seeds of second factors with the office's keys, each for one member of the staff. Refuses a seed that was moved to another.

The tokens lie in mfa_authenticator.data, as `secret` of an authenticator app and as `seed` of recovery codes.
"""

from encrypted_model_fields import fields as library

from privacy_office.fields import Sealed


def context(member):
    return f"mfa.{member.pk}"


def seal(text, member):
    """Return `text` as it is stored for this member."""
    return library.encrypt_str(f"{context(member)}|{text}").decode()


def opened(token, member):
    """Return what was sealed for this member; UndecryptableValue if it was not."""
    return Sealed(token, context(member)).open()
