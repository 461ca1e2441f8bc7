"""The words of the mails to staff. Refuses to name a customer or to carry a link: staff know where the office is."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import formats, timezone, translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from privacy_office.models import StaffNotice

Kind = StaffNotice.Kind
TEXTS = {
    Kind.SIGN_IN: _(
        "Somebody signed in to your account, from a place or with a browser that was not used lately.\n\n"
        "If it was you, there is nothing to do. If not, tell your administrator at once."
    ),
    Kind.FACTOR_CHANGED: _(
        "The second step of your sign-in was changed: an authenticator app, a passkey or the recovery codes.\n\n"
        "If it was you, there is nothing to do. If not, tell your administrator at once."
    ),
    Kind.PASSWORD_CHANGED: _(
        "Your password was changed.\n\nIf it was you, there is nothing to do. If not, tell your administrator at once."
    ),
    Kind.PASSWORD_DRAWN: _(
        "Your old password no longer works. Your administrator tells you the new one in person or by phone, never by mail;"
        " you change it when you sign in.\n\nIf you did not ask for it, tell your administrator at once."
    ),
    Kind.SESSIONS_ENDED: _("All your sessions were ended; please sign in again.\n\nIf you do not know why, ask your administrator."),
    Kind.REVEAL_RATE: _(
        "A colleague looked at unusually many personal details within a few minutes.\n\n"
        "Please read the latest entries in the audit trail, and ask the colleague."
    ),
    Kind.AUDIT_BROKEN: _(
        "The check of the audit trail found entries that do not fit.\n\n"
        "Please keep everything as it is, and ask whoever runs the servers to check it again."
    ),
    Kind.CONSENT_DIFFERS: _(
        "The nightly comparison found states of consent that are not what the ledger of consent says.\n\n"
        "Please stop campaigns, and ask whoever runs the servers to read the ledger again (rebuild_consent_states)."
    ),
    Kind.REQUEST_DUE: _(
        "A date that the law sets for requests of customers comes near.\n\n"
        "Please look at the requests in the office: they stand sorted by what is due."
    ),
    Kind.REQUEST_LATE: _(
        "A date that the law sets for requests of customers has passed.\n\n"
        "Please settle the requests that stand red in the office today, and tell the officer why they are late."
    ),
    Kind.AUTHORITY_REQUEST: _(
        "An authority's request for data was taken in. The law counts the hours until it is answered.\n\n"
        "Please look at the requests for data at once: it takes two people to answer one."
    ),
    Kind.COMMITMENT_ENDS: _(
        "A third party's commitment of confidentiality ends soon. From its last day on nothing is handed over on its ground.\n\n"
        "Please ask for a new one, or end what rests on it."
    ),
    Kind.BREACH: _(
        "A breach of the protection of personal data was recorded. The ministry has to have the report in time.\n\n"
        "Please look at the register of breaches at once."
    ),
}


def build(notice):
    """Return the mail that tells a member of a notice, in the language of the site; the same each time but for its date."""
    with translation.override(settings.LANGUAGE_CODE):
        company = settings.COMPANY["name"]
        hello = gettext("Hello %(name)s,") % {"name": notice.member.get_username()}
        when = gettext("When: %(when)s") % {"when": formats.date_format(timezone.localtime(notice.created_at), "DATETIME_FORMAT")}
        return EmailMessage(
            f"{notice.get_kind_display()} – {company}",
            "\n\n".join([hello, str(TEXTS[notice.kind]), when, company]) + "\n",
            settings.MAIL_FROM,
            [notice.member.email],
            headers={"Message-ID": f"<staff-{notice.pk}@{urlsplit(settings.BASE_URL).hostname}>", "Auto-Submitted": "auto-generated"},
        )
