"""The local mailbox of the demo, to read what the office sent. Refused outside the demo: it shows every mail to everyone."""

import mailbox
from email import message_from_binary_file, policy
from functools import wraps

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp_replace, csp_update
from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

NEWEST = 200


def demo_only(view):
    @never_cache
    @require_safe
    @wraps(view)
    def wrapped(request, *args, **kwargs):
        if not (settings.DEMO and settings.LOCAL_MAILBOX):
            raise Http404
        maildir = mailbox.Maildir(settings.LOCAL_MAILBOX, factory=lambda file: message_from_binary_file(file, policy=policy.default))
        return view(request, maildir, *args, **kwargs)

    return wrapped


def found(maildir, key):
    try:
        return maildir[key]
    except KeyError:
        raise Http404 from None


@demo_only
def index(request, maildir):
    """The newest mails first; the whole list is as long as the folder is."""
    keys = sorted(maildir.keys(), reverse=True)
    return render(request, "mailings/mailbox.html", {"mails": [(key, found(maildir, key)) for key in keys[:NEWEST]], "total": len(keys)})


@demo_only
@csp_update({"frame-src": [SELF]})
def show(request, maildir, key):
    mail = found(maildir, key)
    text = mail.get_body(("plain",))
    context = {"mail": mail, "headers": mail.items(), "key": key, "text": text.get_content() if text else ""}
    return render(request, "mailings/mailbox_mail.html", context)


@xframe_options_sameorigin
@csp_replace(
    {
        "default-src": [NONE],
        "style-src": [UNSAFE_INLINE],
        "frame-ancestors": [SELF],
        "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
    }
)
@demo_only
def show_html(request, maildir, key):
    """The HTML part as a mail client would show it, without scripts."""
    page = found(maildir, key).get_body(("html",))
    return HttpResponse(page.get_content() if page else "")
