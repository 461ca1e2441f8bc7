"""The words of what customers must be told, one letter for each kind of notice. Refuses to carry more than a greeting, and advertising."""

import datetime
from typing import NamedTuple

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from customers.models import Link, Notice

Kind, Use = Notice.Kind, Link.Use
# Purposes: what opens something goes to no address on hold, nor does an answer; what is owed goes to any.
ACCESS, OWED, SUPPORT = "account_access", "legal_notices", "service_support"


class Letter(NamedTuple):
    """Subject and Markdown body with placeholders, which the notice's values fill; under a button a one-time `link`, or a `page`."""

    subject: str
    body: str
    purpose: str = OWED
    link: Use | None = None
    button: str = ""
    page: str = ""  # a path of ours, with placeholders


LETTERS = {
    Kind.SIGN_IN: Letter(
        _("Your link to sign in"),
        _(
            "Dear {full_name},\n\nSomebody, we think you, asked for a link to see your data at {company}. It works once, within 30 minutes."
            "\n\nIf it was not you, you need not do anything: without this mail nobody comes in."
        ),
        ACCESS,
        Use.SIGN_IN,
        _("Sign in"),
    ),
    Kind.PASSWORD: Letter(
        _("Your link to set a password"),
        _(
            "Dear {full_name},\n\nSomebody, we think you, wants to set a new password for your pages at {company}. The link works once,"
            " within 30 minutes.\n\nIf it was not you, you need not do anything: nothing changes without this mail."
        ),
        ACCESS,
        Use.PASSWORD,
        _("Set a password"),
    ),
    Kind.PASSWORD_CHANGED: Letter(
        _("Your password was changed"),
        _(
            "Dear {full_name},\n\nthe password for your pages at {company} was changed just now, and you were signed out everywhere else."
            "\n\nIf it was not you, please call us at once: {phone}."
        ),
    ),
    Kind.DOWNLOAD: Letter(
        _("Your data is ready"),
        _(
            "Dear {full_name},\n\nyou asked {company} for all that we hold about you. The link works once, within 24 hours; what you"
            " download is put together when you open it.\n\nIf it was not you, please call us: {phone}."
        ),
        ACCESS,
        Use.DOWNLOAD,
        _("Download my data"),
    ),
    Kind.CONFIRM_SIGNUP: Letter(
        _("Please confirm what you asked for"),
        _(
            "Hello,\n\nsomebody, we think you, entered this address on the site of {company} and asked for messages."
            " We send them only if you confirm it by {until}, on the page behind this button.\n\n"
            "If it was not you, you need not do anything: you get none."
        ),
        ACCESS,
        Use.SIGN_UP,
        _("See what it is, and confirm"),
    ),
    Kind.POLICY_CHANGED: Letter(
        _("Our privacy policy has changed: version {number}"),
        _(
            "Dear {full_name},\n\nVersion {number} of the privacy policy of {company} is in effect since {since}. It changes what we may do"
            " for: {purposes}.\n\n{summary}\n\nWhere that rests on your agreement, what you agreed to earlier no longer counts: we send"
            " you nothing for it until you agree anew. You need not do anything."
        ),
        button=_("Read what changed"),
        page="/policy/{previous}/changes/{number}/?language={language}",
    ),
    Kind.REQUEST_RECEIVED: Letter(
        _("We have your request no. {number}"),
        _(
            "Dear {full_name},\n\nOn {received_on} we received your request {right}; its number is {number}.\n\n"
            "This is how it goes on: a person reads it and answers you by {reply_by}, and it is done by {done_by}."
            " Should we need longer, we tell you before that day, once, and why. If we have to say no, we tell you why and how to complain."
            "\n\nHow each date comes about stands on your pages at {company}, under My requests. You may also call us: {phone}."
        ),
    ),
    Kind.REQUEST_TO_CONFIRM: Letter(
        _("Please confirm your request no. {number}"),
        _(
            "Dear {full_name},\n\nOn {received_on} we received a request in your name, {right}; its number is {number}."
            " So that nobody else asks for your data, please confirm that it was you. The button works once, within 7 days."
            "\n\nThis is how it goes on: a person reads it and answers you by {reply_by}, and it is done by {done_by}."
            " Should we need longer, we tell you before that day, once, and why. If we have to say no, we tell you why and how to complain."
            "\n\nIf it was not you, do not press the button, and call us, please: {phone}."
        ),
        ACCESS,
        Use.IDENTITY,
        _("It was me"),
    ),
    Kind.REQUEST_WAITING: Letter(
        _("Your request no. {number} waits: please call us"),
        _(
            "Dear {full_name},\n\nOn {received_on} we received your request {right}; its number is {number}."
            " For your safety this e-mail address is suspended until we have spoken with you, so the request waits, and nothing is lost."
            "\n\nPlease call us: {phone}. We then go on at once. The law's dates go on too: {reply_by} for our answer,"
            " {done_by} to have it done."
        ),
    ),
    Kind.REQUEST_ACKNOWLEDGED: Letter(
        _("We are working on your request no. {number}"),
        _(
            "Dear {full_name},\n\nYour request {right} of {received_on}, number {number}, has been read by a member of our staff,"
            " who is working on it now. It is done by {done_by}.\n\nYou need not do anything. Questions: {phone}."
        ),
    ),
    Kind.REQUEST_EXTENDED: Letter(
        _("Your request no. {number} takes longer"),
        _(
            "Dear {full_name},\n\nWe need longer for your request {right} of {received_on}, number {number}: {extra} days more."
            " It is now done by {done_by}. We may do this once.\n\nThe reason: {reason}\n\n"
            "If you do not agree, call us ({phone}), or complain to the state agency for the protection of personal data"
            " at the Ministry of Public Security."
        ),
    ),
    Kind.REQUEST_FULFILLED: Letter(
        _("Your request no. {number} is done"),
        _(
            "Dear {full_name},\n\nWhat you asked for on {received_on}, {right}, number {number}, is done.\n\n{outcome}\n\n"
            "If something is missing, call us, please: {phone}."
        ),
    ),
    Kind.REQUEST_REFUSED: Letter(
        _("We cannot do what you asked for in request no. {number}"),
        _(
            "Dear {full_name},\n\nWe cannot do what you asked for on {received_on}, {right}, number {number}: {ground}.\n\n"
            "The reason: {reason}\n\nIf you do not agree, call us ({phone}) or answer this mail: another person looks at it again."
            " You may also complain to the state agency for the protection of personal data at the Ministry of Public Security,"
            " or go to court."
        ),
    ),
    Kind.VERIFY_ADDRESS: Letter(
        _("Do you read this address?"),
        _("Dear {full_name},\n\nThis is the address at which we reach you. Please confirm that you read it."),
        ACCESS,
        Use.VERIFY,
        _("Confirm this address"),
    ),
    Kind.CONFIRM_ADDRESS: Letter(
        _("Confirm your new address"),
        _(
            "Dear customer,\n\nSomebody asked {company} to write to this address from now on. If that was you, please confirm within"
            " three days.\n\nIf it was not you, you need not do anything."
        ),
        ACCESS,
        Use.CONFIRM_ADDRESS,
        _("Confirm the new address"),
    ),
    Kind.APPROVE_ADDRESS: Letter(
        _("Is your address to be changed?"),
        _(
            "Dear {full_name},\n\nSomebody who was signed in as you asked us to write to another address from now on. Nothing has changed"
            " yet: it takes your yes from here, within three days.\n\nIf it was not you, please say so on the same page; we then suspend"
            " the account until we have spoken with you."
        ),
        ACCESS,
        Use.APPROVE_ADDRESS,
        _("Say yes or no"),
    ),
    Kind.ADDRESS_CHANGED: Letter(
        _("Your address was changed"),
        _(
            "Dear customer,\n\nFrom now on we write to another address, as was asked for and confirmed. This is the last mail to the old"
            " one.\n\nIf you did not want this, please object by {until}: the old address then counts again, everybody who is signed in is"
            " signed out, and the account is suspended until we have spoken with you."
        ),
        OWED,
        Use.OBJECT,
        _("Object"),
    ),
    Kind.DISCLOSED: Letter(
        _("Your data was handed over to an authority"),
        _(
            "Dear {full_name},\n\nOn {at} {company} handed over data about you to {recipient}, as the law obliges us to."
            "\n\nWhat it was and on which ground stands on the page of your data. Call us if you have questions: {phone}."
        ),
    ),
    Kind.BREACH: Letter(
        _("Something happened that touched your data"),
        _(
            "Dear {full_name},\n\nOn {discovered} {company} found that data about you was touched by a breach."
            "\n\nWhat happened: {what}\n\nWhat may come of it: {consequences}\n\nWhat we did: {measures}"
            "\n\nCall us if you have questions: {phone}."
        ),
    ),
    Kind.ERASURE: Letter(
        _("Your personal data is going to be erased"),
        _(
            "Dear {full_name},\n\nWithin a day we erase your personal data at {company} (erasure {number}). It cannot be brought back."
            "\n\n**What goes:** your name, e-mail address, phone and address, access data of your services,"
            " files and words that you sent us, and all earlier versions of these."
            "\n\n**What stays, without your name:** when you consented and refused and when mail was sent, as we must be able to show it;"
            " the register of what was handed over to others; and a coded mark of your address where you refused mail, so that this holds."
            "\n\nIf you do not want this, please call us at once. This is the last mail that you get from us."
        ),
    ),
    Kind.REFUSED: Letter(
        _("We received your refusal"),
        _(
            "Dear {full_name},\n\nWe received your refusal at {said}. It concerns: {what}.\n\n"
            "It holds from the moment in which we received it: we send and call no more for this. You get this confirmation once.\n\n"
            "If this was not you, please tell us."
        ),
    ),
    Kind.CORRECTION_RECEIVED: Letter(
        _("We have received your correction"),
        _(
            "Dear {full_name},\n\nOn {asked_on} you asked us to correct your data. We check it, and answer by {due_on} at the latest."
            "\n\nYou can see how far it has come on your page at {company}. If it was not you, please call us at once."
        ),
    ),
    Kind.CORRECTION_WAITING: Letter(
        _("Your correction waits"),
        _(
            "Dear {full_name},\n\nOn {asked_on} you asked us to correct your data. For your safety your e-mail address is suspended at"
            " {company}, so the correction waits until we have spoken with you. Please call us: {phone}."
        ),
    ),
    Kind.CORRECTION_ASKED: Letter(
        _("Your correction: we need something more"),
        _(
            "Dear {full_name},\n\nTo decide about the correction of {asked_on}, we need something more from you: {question}"
            "\n\nPlease sign in to your page at {company} and add it under Corrections."
        ),
    ),
    Kind.CORRECTION_APPLIED: Letter(
        _("Your data is corrected"),
        _(
            "Dear {full_name},\n\nThe correction of {asked_on} is done. From now on we use the new data."
            "\n\nYou can see it on your page at {company}. If it was not you who asked, please call us at once."
        ),
    ),
    Kind.CORRECTION_REFUSED: Letter(
        _("Your correction was not made"),
        _(
            "Dear {full_name},\n\nWe did not make the correction of {asked_on}. The reason: {reason}"
            "\n\nYour data is as it was. You may ask again with other evidence, or call us."
        ),
    ),
    Kind.INFORMATION: Letter(
        _("A question about your request"),
        _(
            "Dear {full_name},\n\nFor your request {ticket} we need some more information from you."
            " Please answer by {until} on the page behind this button, which opens once for one answer. What you write stays confidential."
        ),
        ACCESS,
        Use.INFORMATION,
        _("Answer"),
    ),
    Kind.SUPPORT_RECEIVED: Letter(
        _("We have received your mail"),
        _(
            "Dear {full_name},\n\nYour mail of {received_on} has reached us under number {number}; a person reads it and answers you."
            "\n\nIf you did not write to us, please call: {phone}."
        ),
        SUPPORT,
    ),
    Kind.SUPPORT_WAITING: Letter(
        _("Your mail waits"),
        _(
            "Dear {full_name},\n\nYour mail of {received_on} has reached us under number {number}. For your safety your e-mail address is"
            " suspended at {company}, so it waits until we have spoken with you. Please call us: {phone}."
        ),
    ),
    Kind.SUPPORT_ANSWERED: Letter(
        _("Answer to your mail no. {number}"),
        _("Dear {full_name},\n\nTo your mail of {received_on}, number {number}:\n\n{answer}\n\nQuestions: {phone}."),
        SUPPORT,
    ),
}


def values(notice, language):
    """Return the notice's values as a letter shows them: dates in the reader's form."""
    return {name: shown(value, language) for name, value in notice.values.items()}


def shown(value, language):
    text = str(value)
    try:
        day = parse_date(text) or parse_datetime(text)
    except ValueError:  # of the form of a date, and none
        day = None
    if day is None:
        return " ".join(text.split())
    if not isinstance(day, datetime.datetime):
        at = ""
    else:
        day = localtime(day)
        at = f"{day:%H:%M} "
    return at + (f"{day.day} {day:%B %Y}" if language == "en" else f"{day:%d/%m/%Y}")
