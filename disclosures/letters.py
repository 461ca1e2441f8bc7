"""The words of the answers to who asks for data, in both languages, for staff to send. Names no customer and no value."""

from django.conf import settings
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _

from disclosures.models import DisclosureRequest, Field

LANGUAGES = [("vi", "Tiếng Việt"), ("en", "English")]


def texts(request):
    """Return (title, text) of the letters that fit where a request stands, each in both languages."""
    made = []
    for language, title in LANGUAGES:
        with translation.override(language):
            made += [(f"{title}: {name}", text) for name, text in fitting(request)]
    return made


def fitting(request):
    Status = DisclosureRequest.Status
    if request.is_open:
        yield _("We have received your request"), letter(request, receipt(request))
    if request.status in (Status.APPROVED, Status.DISCLOSED):
        yield _("The answer"), letter(request, answer(request))
    if request.status == Status.REFUSED:
        yield _("The refusal"), letter(request, refusal(request))


def letter(request, paragraphs):
    about = _("Your request") if not request.document_number else _("Your document %(number)s") % {"number": request.document_number}
    head = f"{about}, {_('our number')} {request.pk}"
    company = settings.COMPANY
    return "\n\n".join(
        [request.third_party.name, head, *paragraphs, f"{company['name']}\n{company['address']}\n{company['phone']}, {company['email']}"]
    )


def moment(at):
    return formats.date_format(timezone.localtime(at), "DATETIME_FORMAT")


def receipt(request):
    yield _("We received your request on %(at)s.") % {"at": moment(request.received_at)}
    if request.due_at:
        yield _("We answer it by %(at)s at the latest.") % {"at": moment(request.due_at)}
    yield _("Before anything is handed over we make sure that the request comes from you, through your published contact.")


def answer(request):
    kinds = ", ".join(str(Field(name).label) for name in request.fields)
    yield _("We hand over, encrypted to your public key: %(kinds)s; customers: %(number)s; period: %(since)s to %(until)s.") % {
        "kinds": kinds, "number": len(request.customers), "since": formats.date_format(request.period_from, "SHORT_DATE_FORMAT"),
        "until": formats.date_format(request.period_until, "SHORT_DATE_FORMAT"),
    }  # fmt: skip
    if request.narrowed:
        yield _("This is less than you asked for: the rest goes beyond what the ground you named allows.")
    yield _("Use it for the purpose you named alone, and delete it when that is done. If we correct or erase it, we will tell you.")


def refusal(request):
    yield _("We hand nothing over. Our ground: %(ground)s.") % {"ground": request.get_refusal_ground_display()}
    if request.refusal_note:
        yield request.refusal_note
    yield _("You may ask again when this is mended.")
