"""Staff with their lists in a real browser: filters kept as links, keys, an export, and what an empty list says."""

import csv

import pytest

from tests.browser.staff import go, hire, sign_in

pytestmark = pytest.mark.browser
CUSTOMERS = "ref,full_name,email,phone,address,locale,association\n" + "".join(
    f"KH-{number},Lê An {number},an{number}@example.org,,,,{'prospect' if number % 3 == 0 else 'active'}\n" for number in range(1, 60)
)


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")


def test_an_officer_keeps_a_filter_walks_by_keys_and_takes_a_list_along(site, page, look, tmp_path):
    (site.folder / "customers.csv").write_text(CUSTOMERS, "utf-8")
    sign_in(page, "olga", hire(site, "olga", "officer"))
    look.at("/admin/customers/customer/", "list-empty")
    assert "import_customers" in page.inner_text(".nothing") and not page.locator("[name=export]").count()
    site.manage("import_customers", "--customers", site.folder / "customers.csv")

    look.at("/admin/customers/customer/", "list")
    go(page, "#changelist-filter >> text=prospect")
    page.fill("#keep", "to call")
    go(page, ".keep button")
    assert page.inner_text(".kept .selected a") == "to call" and not page.locator("#keep").count()
    look.now("list-filtered")
    page.goto("/admin/customers/customer/?on_hold=yes")
    assert "Nothing fits." in page.inner_text(".nothing")
    page.fill("#keep", "held")
    go(page, ".keep button")
    look.now("list-nothing-fits")
    go(page, ".kept >> text=to call")
    assert "association__exact=prospect" in page.url and page.locator("#result_list tbody tr").count() == 19

    page.keyboard.press("/")
    assert focused(page) == "searchbar"
    page.keyboard.type("KH-/")
    assert page.input_value("#searchbar") == "KH-/", "in a field it is a character"
    page.locator("#result_list a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert focused(page) == page.inner_text("#result_list tbody tr >> nth=1 >> a")
    look.now("list-row-in-focus")
    page.uncheck("#keys")
    page.reload()
    assert not page.is_checked("#keys"), "the browser remembers it"
    page.keyboard.press("/")
    assert focused(page) != "searchbar"

    with page.expect_download() as taken:
        page.click("[name=export]")
    taken.value.save_as(tmp_path / "list.csv")
    text = (tmp_path / "list.csv").read_text("utf-8-sig")
    head, *rows = csv.reader(text.splitlines())
    assert len(rows) == 19 and head[0] == "ref" and {row[2] for row in rows} == {"prospect"}
    assert "Lê An" not in text and "@" not in text

    go(page, ".kept li:has-text('held') button")
    assert page.locator(".kept li").count() == 1
    told = site.query("SELECT action FROM audit_entry WHERE action LIKE 'filter.%%' OR action LIKE 'list.%%' ORDER BY id")
    assert told == [("filter.keep",), ("filter.keep",), ("list.export",), ("filter.forget",)]


def test_a_clerk_has_no_export_and_a_way_past_the_menu(site, page):
    (site.folder / "customers.csv").write_text(CUSTOMERS, "utf-8")
    site.manage("import_customers", "--customers", site.folder / "customers.csv")
    sign_in(page, "clara", hire(site, "clara", "clerk"))
    page.goto("/admin/customers/customer/")
    assert not page.locator("[name=export]").count()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to main content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#content-start') !== null")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "what has the focus is seen"
