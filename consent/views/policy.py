"""The policy as anybody reads it: what is in effect, what was, what changed. Refuses to show a draft; GET changes nothing."""

from functools import wraps
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import translation
from django.utils.feedgenerator import Atom1Feed
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from consent.differences import differences, layout
from consent.models import PolicyVersion

NAMES = dict(settings.LANGUAGES)


def in_readers_language(view):
    """Render in the language that `?language=` asks for, so that an address can be handed on; else in the one the browser asks for."""

    @wraps(view)
    @require_safe
    def rendered(request, *args, **kwargs):
        asked = request.GET.get("language")
        request.asked = asked if asked in NAMES else ""
        with translation.override(request.asked or translation.get_language()):
            return view(request, *args, **kwargs)

    return rendered


def page(request, template, **context):
    """Render a page with the way to the same page in the other language; its links keep to the language that was asked for."""
    here = translation.get_language()
    context |= {
        "languages": [(code, name, code == here) for code, name in settings.LANGUAGES],
        "keep": f"?{urlencode({'language': request.asked})}" if request.asked else "",
    }
    return render(request, f"consent/{template}.html", context)


def published():
    return PolicyVersion.objects.published().prefetch_related("changes")


def current():
    """Return the version in effect; 404 where nothing was published yet."""
    version = published().first()
    if version is None:
        raise Http404
    return version


@in_readers_language
def policy(request, number=None):
    """Show one version, or the one in effect."""
    in_effect = current()
    version = in_effect if number is None else get_object_or_404(published(), number=number)
    shown_in = version.language(translation.get_language())
    return page(
        request, "policy", version=version, in_effect=in_effect, previous=version.previous(),
        blocks=layout(version.text(shown_in)), shown_in=shown_in, shown_digest=version.shown_digest(shown_in),
    )  # fmt: skip


@in_readers_language
def archive(request):
    in_effect, versions = current(), list(published())
    summaries = [version.summary(translation.get_language()) for version in versions]
    rows = list(zip(versions, [*versions[1:], None], summaries, strict=True))
    return page(request, "policy_archive", in_effect=in_effect, versions=rows)


@in_readers_language
def changes(request, older, newer):
    """Show what differs between two versions, in a language that both have where there is one."""
    if older >= newer:
        raise Http404
    old, new = (get_object_or_404(published(), number=number) for number in (older, newer))
    wanted = translation.get_language()
    shown_in = next((code for code in (wanted, *NAMES) if old.language(code) == new.language(code) == code), None)
    texts = [version.text(shown_in or wanted) for version in (old, new)]
    return page(request, "policy_changes", old=old, new=new, rows=differences(*texts), shown_in=shown_in or new.language(wanted))


@in_readers_language
def versions_json(request):
    """Answer with every published version for machines: what each digest is made of stands beside it."""
    told = [
        {
            "number": version.number,
            "severity": version.severity,
            "changes": sorted(purpose.code for purpose in version.changes.all()),
            "effective_from": version.published_at.isoformat(),
            "digest": version.digest,
            "texts": {code: version.shown_digest(code) for code in NAMES if version.language(code) == code},
            "summary": version.summary(translation.get_language()),
            "url": settings.BASE_URL + reverse("consent:policy_version", args=[version.number]),
        }
        for version in published()
    ]
    answer = {"publisher": settings.COMPANY["name"], "language": translation.get_language(), "versions": told}
    return JsonResponse(answer, json_dumps_params={"ensure_ascii": False, "indent": 1})


class Versions(Feed):
    """An Atom feed of the versions, newest first."""

    feed_type = Atom1Feed
    title = format_lazy("{} · {}", _("Privacy policy"), settings.COMPANY["name"])
    subtitle = _("Every version since the first, with what it changes.")
    author_name = settings.COMPANY["name"]

    def get_feed(self, obj, request):
        self.keep = f"?{urlencode({'language': request.asked})}" if request.asked else ""
        return super().get_feed(obj, request)

    def link(self):
        return reverse("consent:policy") + self.keep

    def items(self):
        return published()

    def item_title(self, version):
        return _("Version %(number)s (%(severity)s)") % {"number": version.number, "severity": version.get_severity_display()}

    def item_description(self, version):
        return version.summary(translation.get_language())

    def item_link(self, version):
        return reverse("consent:policy_version", args=[version.number]) + self.keep

    def item_guid(self, version):
        return settings.BASE_URL + reverse("consent:policy_version", args=[version.number])

    def item_pubdate(self, version):
        return version.published_at

    item_updateddate = item_pubdate


@in_readers_language
def versions_atom(request):
    return Versions()(request)
