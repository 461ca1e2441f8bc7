"""Makes a mail of a staff member's Markdown. Refuses unknown placeholders, and advertising that lacks what the law asks of it."""

import html
import re
from email.utils import format_datetime, formataddr
from urllib.parse import urlsplit

import nh3
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from markdown_it import MarkdownIt

from consent import preferences
from customers.models import Link
from mailings import links, notices, returns
from privacy_office.signing import Signer

CAMPAIGN_PLACEHOLDERS = ("full_name", "company")
SERVICE_PLACEHOLDERS = ("service", "plan", "expires_on", "days")
SURVEY_PLACEHOLDERS = (*CAMPAIGN_PLACEHOLDERS, "survey")
RENEWAL_PLACEHOLDERS = CAMPAIGN_PLACEHOLDERS + SERVICE_PLACEHOLDERS

IN_AN_ADDRESS = re.compile(r"https?://[^\s<>)]*\{", re.IGNORECASE)
PLACEHOLDER = re.compile(r"\{(\w*)\}")
OF_A_SERVICE = re.compile(rf"\{{(?:{'|'.join(SERVICE_PLACEHOLDERS)})\}}")
MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True})
TAGS = {"p", "br", "a", "em", "strong", "ul", "ol", "li", "h1", "h2", "h3", "blockquote", "hr", "code", "pre"}
MAX_BODY = 50_000  # characters
signer = Signer(salt="mailings.unsubscribe", sep=".")


def in_language(row, name):
    """Return the row's field in the active language."""
    return getattr(row, f"{name}_{'en' if get_language() == 'en' else 'vi'}")


def check(subject, body, placeholders, field=""):
    """Raise ValidationError for a placeholder that is not among `placeholders`, a subject of several lines, or a body too long to mail."""
    errors = {}
    for name, text in ((f"subject{field}", subject), (f"body{field}", body)):
        if unknown := sorted(set(PLACEHOLDER.findall(text)) - set(placeholders)):
            names = ", ".join(f"{{{word}}}" for word in unknown)
            errors[name] = _("Unknown placeholder: %(names)s. There are: %(known)s.") % {
                "names": names,
                "known": ", ".join(f"{{{word}}}" for word in placeholders),
            }
    if any(ord(c) < 32 for c in subject):
        errors[f"subject{field}"] = _("The subject is one line.")
    if IN_AN_ADDRESS.search(body):
        errors[f"body{field}"] = _("A placeholder cannot stand in an address: no link is to carry a name.")
    if len(body) > MAX_BODY:
        errors[f"body{field}"] = _("The body is too long: at most %(most)d characters.") % {"most": MAX_BODY}
    if errors:
        raise ValidationError(errors)


def require_advertiser():
    """Raise ImproperlyConfigured where the advertiser block that the law asks for has a gap (Decree 91/2020/NĐ-CP)."""
    if missing := sorted(name for name, value in settings.COMPANY.items() if not value.strip()):
        raise ImproperlyConfigured(f"Mail needs the advertiser's {', '.join(missing)}: set COMPANY_{missing[0].upper()}.")


def unsubscribe_token(message):
    """Return what alone says who refuses what: opaque, signed.

    The identifier has its dashes: of those without, filters take one in fifty for a Bitcoin address, and the mail for extortion.
    """
    return signer.sign(str(message.public_id))


def unsubscribe_url(message):
    """Return the address that its token makes a refusal (RFC 8058)."""
    return settings.BASE_URL + reverse("mailings:unsubscribe", args=[unsubscribe_token(message)])


def filled(text, values, escape=str):
    """Return `text` with its placeholders replaced by plain values; nothing in a value is a placeholder, Markdown or HTML."""
    return PLACEHOLDER.sub(lambda match: escape(values[match[1]]) if match[1] in values else match[0], text)


def _each_service(body, services):
    """Return `body` with every line about a service once for each, its placeholders numbered, and the numbered values."""
    lines, values = [], {}
    for line in body.splitlines():
        if not OF_A_SERVICE.search(line):
            lines.append(line)
            continue
        for number, service in enumerate(services):
            lines.append(OF_A_SERVICE.sub(lambda match, number=number: f"{{{match[0][1:-1]}_{number}}}", line))
            values |= {f"{name}_{number}": value for name, value in service.items()}
    return "\n".join(lines), values


def one_line(value):
    return " ".join(str(value).split())


def day(value, language):
    return date_format(value, "j F Y" if language == "en" else "d/m/Y")


def called(customer):
    """Return what a letter calls a customer."""
    if name := customer.full_name:
        return one_line(name)
    with translation.override(customer.locale):
        return one_line(_("customer"))  # a sign-up brings an address alone


def build(message, customer, rule, items=(), at=None):
    """Return the EmailMultiAlternatives of a message to a released customer; `items` are the services of a renewal notice.

    A notice with a one-time link gets a new one each time it is built: what opens it is kept nowhere. To whom is not in the database,
    as a preview's reader is not, none is issued. `at` is the moment whose letter it is, now unless another is given.
    """
    with translation.override(customer.locale):
        today = timezone.localdate(at)
        services = [
            {
                "service": one_line(item.service.product),
                "plan": one_line(item.service.plan),
                "expires_on": day(item.expires_on, customer.locale),
                "days": str((item.expires_on - today).days),
            }
            for item in items
        ]
        values = {"full_name": called(customer), "company": settings.COMPANY["name"], **(services[0] if services else {})}
        source, context, headers = (of_notice if message.notice_id else of_consent)(message, customer, rule)
        values |= context.pop("values", {})
        written = str(source.body)
        body, of_services = _each_service(written if message.notice_id else links.rewritten(written), services)
        subject = one_line(f"{context['label']} {filled(str(source.subject), values)}")
        context |= {"company": settings.COMPANY, "language": customer.locale, "subject": subject}
        rendered = nh3.clean(
            MARKDOWN.render(body), tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto", "tel"},
            attribute_filter=links.href,
        )  # fmt: skip
        text = render_to_string("mailings/letter.txt", {**context, "body": filled(body, values | of_services)})
        page = render_to_string("mailings/letter.html", {**context, "body": filled(rendered, values | of_services, html.escape)})
    mail = EmailMultiAlternatives(
        subject, text, formataddr((settings.COMPANY["name"], settings.MAIL_FROM)), [context.get("address") or customer.email],
        headers={
            "Message-ID": returns.message_id(message),
            "Date": format_datetime(timezone.localtime(at)),
            **headers,
            "Auto-Submitted": "auto-generated",
        },
    )  # fmt: skip
    mail.attach_alternative(page, "text/html")
    return mail


def of_consent(message, customer, rule):
    """Return (source, context, headers) of a letter that rests on consent: how it may be refused stands in it thrice."""
    # A survey is labelled too, the stricter reading: the law does not say that it is no advertising.
    advertising = message.purpose.kind != message.purpose.Kind.SERVICE
    label = rule.label if rule and advertising else ""
    if advertising and not label:
        raise ImproperlyConfigured("Advertising by e-mail needs a label: the channel rule has none.")
    url, host = unsubscribe_url(message), urlsplit(settings.BASE_URL).hostname
    context = {"label": label, "purpose": message.purpose.title, "unsubscribe_url": url, "advertising": advertising}
    context["preferences_url"] = preferences.address(customer)
    headers = {
        "List-Id": f"{message.purpose.code} <{message.purpose.code}.{host}>",
        "List-Unsubscribe": ", ".join(f"<{way}>" for way in (url, returns.refusal_url(message)) if way),
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    return message.campaign.text if message.campaign else message.renewal, context, headers


def of_notice(message, customer, rule):
    """Return (source, context, headers) of what a customer must be told: nothing to refuse, and perhaps a link."""
    notice = message.notice
    letter = notices.LETTERS[notice.kind]
    values = {"phone": settings.COMPANY["phone"], **notices.values(notice, customer.locale)}
    context = {"label": "", "address": notice.address, "values": values}
    if letter.link and customer.pk is None:
        context |= {"link_url": _("(a link that works once)"), "button": letter.button}
    elif letter.link:
        _link, token = Link.issue(customer, letter.link, about=notice.about, notice=notice)
        url = settings.BASE_URL + reverse(f"customers:link_{letter.link}", args=[token])
        context |= {"link_url": url, "button": letter.button}
    elif letter.page:
        path = filled(letter.page, context["values"] | {"language": customer.locale})
        context |= {"link_url": settings.BASE_URL + path, "button": letter.button}
    return letter, context, {}
