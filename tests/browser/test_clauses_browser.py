"""An officer looks at how each clause stands, on a phone and at a desk."""

import pytest

from privacy_office.clauses import CLAUSES
from tests.browser.staff import go, hire, sign_in

pytestmark = pytest.mark.browser


def test_an_officer_sees_each_clause_as_it_stands(site, page, look):
    sign_in(page, "olga", hire(site, "olga", "officer"))
    go(page, "text=The policy, clause by clause")
    assert page.locator(".clauses tbody tr").count() == len(CLAUSES) and "not looked at yet" in page.inner_text("#content")
    site.manage("verify_audit")
    site.manage("apply_retention")
    page.reload()
    assert page.inner_text(".clauses tr:has-text('§6.1') td:last-child") == "all is well"
    look.now("clauses")
    go(page, ".clauses a >> nth=0")
    assert "/acknowledgement/" in page.url
