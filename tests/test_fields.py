"""Encrypted fields fail closed, and a blind index never tells of a value that is gone."""

import unicodedata

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import FieldError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Lower
from django.forms import modelform_factory
from django.test.utils import isolate_apps
from hypothesis import assume, example, given
from hypothesis import strategies as st

from customers.models import Customer, Service
from privacy_office import fields
from privacy_office.querysets import of_rows
from tests.make import make_customer, make_service

TABLE = "customers_customer"


def raw(customer, column, table=TABLE):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} WHERE id = %s", [customer.pk])
        return cursor.fetchone()[0]


def put(customer, column, expression, *values):
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET {column} = {expression} WHERE id = %s", [*values, customer.pk])


def reload(customer):
    return Customer.objects.get(pk=customer.pk)


# What is stored


@pytest.mark.django_db
def test_no_table_holds_a_plain_value():
    ann = make_customer("ann", full_name="Lê Thị Ánh", email="anh@example.org", phone="+84901234567", address="12 Hàng Bông")
    make_service(ann, access_username="anhle", access_secret="mậtkhẩu")
    ann.correct(by=None, reason="moved", address="34 Hàng Bông")
    with connection.cursor() as cursor:
        for model in (Customer, Customer.history.model, Service, Service.history.model):
            cursor.execute(f"SELECT t::text FROM {model._meta.db_table} t")
            rows = " ".join(row[0] for row in cursor.fetchall())
            for plain in ("Ánh", "anh@example.org", "901234567", "Hàng Bông", "anhle", "mậtkhẩu"):
                assert plain not in rows, model


@pytest.mark.django_db
def test_history_opens_to_what_it_was_and_holds_no_index():
    ann = make_customer("ann", address="12 Hàng Bông")
    ann.correct(by=None, reason="moved", address="34 Hàng Bông")
    assert [row.address for row in ann.history.order_by("history_id")] == ["12 Hàng Bông", "34 Hàng Bông"]
    for model in (Customer.history.model, Service.history.model):
        binary = {f.name for f in model._meta.concrete_fields if isinstance(f, models.BinaryField) or hasattr(f, "source")}
        assert binary == {"salt", "personal_digest"}, "these name nobody"


@pytest.mark.django_db
def test_equal_values_have_different_tokens():
    ann, binh = make_customer(full_name="Lê An"), make_customer(full_name="Lê An")
    assert raw(ann, "full_name") != raw(binh, "full_name")


@pytest.mark.django_db
def test_nothing_stays_null_and_is_found_as_null():
    chi = make_customer("chi", phone=None)
    assert raw(chi, "phone") is None
    assert Customer.objects.filter(phone__isnull=True).get() == chi


# What writes


@pytest.mark.django_db
def test_bulk_update_writes_each_row_its_own_value():
    people = [make_customer() for _ in range(3)]
    for number, person in enumerate(people):
        person.full_name, person.email = f"Người Thứ {number}", f"new{number}@example.org"
    people[2].phone = None
    Customer.objects.bulk_update(people, ["full_name", "email", "phone"])
    for number, person in enumerate(map(reload, people)):
        assert (person.full_name, person.email) == (f"Người Thứ {number}", f"new{number}@example.org")
        assert list(Customer.objects.matching(f"NEW{number}@example.org")) == [person]
        assert list(Customer.objects.matching(f"thu nguoi {number}")) == [person]
    assert reload(people[2]).phone is None
    assert raw(people[2], "phone_index") is None


@pytest.mark.django_db
@pytest.mark.parametrize("expression", [F("address"), Concat("full_name", Value("!")), Value("Ann"), Lower("full_name")], ids=repr)
def test_an_expression_is_never_stored(expression):
    ann = make_customer("ann")
    before = raw(ann, "full_name")
    ann.full_name = expression
    for write in (
        lambda: ann.save(),
        lambda: Customer.objects.bulk_update([ann], ["full_name"]),
        lambda: models.QuerySet(Customer).update(full_name=expression),
    ):
        with pytest.raises((FieldError, AttributeError, TypeError)), transaction.atomic():
            write()
        assert raw(ann, "full_name") == before


@pytest.mark.django_db
def test_rows_with_history_refuse_update():
    make_customer()
    with pytest.raises(TypeError, match="no history"):
        Customer.objects.all().update(locale="en")


@pytest.mark.django_db
def test_a_pasted_token_is_text_and_is_not_decrypted():
    ann, binh = make_customer("ann"), make_customer("binh")
    token = raw(ann, "full_name")
    form = modelform_factory(Customer, fields=["full_name", "address"])({"full_name": "B", "address": token}, instance=binh)
    assert form.is_valid(), form.errors
    assert form.cleaned_data["address"] == token
    form.save()
    assert reload(binh).address == token


# What reads


def other_key():
    return Fernet(Fernet.generate_key()).encrypt(b"customers.customer.full_name|Ann").decode()


@pytest.mark.django_db
@pytest.mark.parametrize("stored", [other_key(), "Ann in plain", "", "gAAAAA"], ids=["another key", "plain text", "empty", "cut off"])
def test_what_cannot_be_decrypted_is_neither_shown_nor_written_back(stored):
    ann = make_customer("ann")
    put(ann, "full_name", "%s", stored)
    broken = reload(ann)
    with pytest.raises(fields.UndecryptableValue) as refusal:
        _ = broken.full_name
    assert str(refusal.value) == "customers.customer.full_name cannot be decrypted"
    assert refusal.value.__cause__ is None
    for write in (
        lambda: broken.save(),
        lambda: broken.save(update_fields=["full_name"]),
        lambda: broken.restrict(by=None, reason="asked"),
        lambda: Customer.objects.bulk_update([broken], ["full_name"]),
        lambda: Customer.objects.bulk_create([Customer(ref="copy", full_name=reload(ann).__dict__["full_name"])]),
    ):
        with pytest.raises(fields.UndecryptableValue), transaction.atomic():
            write()
        assert raw(ann, "full_name") == stored
        assert raw(ann, "restricted_at") is None


@pytest.mark.django_db
def test_a_row_that_is_broken_does_not_spoil_a_page_of_others():
    ann, binh = make_customer("ann"), make_customer("binh")
    put(ann, "full_name", "'broken'")
    assert [str(c) for c in Customer.objects.order_by("ref")] == ["ann", "binh"]
    assert reload(binh).full_name


@pytest.mark.django_db
def test_a_token_moved_to_another_column_is_refused():
    ann = make_customer("ann")
    put(ann, "address", "full_name")
    with pytest.raises(fields.UndecryptableValue, match=r"customer\.address"):
        _ = reload(ann).address


@pytest.mark.django_db
def test_a_token_moved_to_another_model_is_refused():
    ann = make_customer("ann")
    service = make_service(ann)
    put(ann, "full_name", "(SELECT access_secret FROM customers_service WHERE id = %s)", service.pk)
    with pytest.raises(fields.UndecryptableValue):
        _ = reload(ann).full_name


@pytest.mark.django_db
def test_values_come_sealed_and_tell_nothing_until_opened():
    ann = make_customer("ann", full_name="Lê Ánh")
    (value,) = Customer.objects.values_list("full_name").get()
    assert "Ánh" not in f"{value} {value!r}"
    assert value.open() == ann.full_name


@pytest.mark.django_db
def test_a_function_over_tokens_yields_nothing_readable():
    make_customer("ann")
    value = Customer.objects.annotate(low=Lower("full_name")).values_list("low", flat=True).get()
    with pytest.raises(fields.UndecryptableValue):
        value.open()


@isolate_apps("customers")
def test_a_date_comes_back_as_a_date_and_a_broken_one_without_its_token():
    class Person(models.Model):  # noqa: DJ008 (it lives for this test)
        born = fields.EncryptedDateField()

        class Meta:
            app_label = "customers"

    field = Person._meta.get_field("born")
    token = field.get_db_prep_save("2000-02-29", connection)
    assert field.opened(field.from_db_value(token, None, connection)).isoformat() == "2000-02-29"
    with pytest.raises(fields.UndecryptableValue, match=r"^customers.person.born cannot be decrypted$"):
        field.opened(field.from_db_value("broken", None, connection))


# What asks

QUESTIONS = {
    "exact": {"email": "ann@example.org"},
    "none": {"email": None},
    "in": {"email__in": ["ann@example.org"]},
    "contains": {"full_name__icontains": "a"},
    "regex": {"address__regex": "^g"},
    "gt": {"phone__gt": "+84"},
    "transform": {"full_name__lower": "a"},
}


@pytest.mark.django_db
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_lookup_on_an_encrypted_field_is_refused(question):
    for queryset, prefix in ((Customer.objects, ""), (Service.objects, "customer__"), (Customer.history, "")):
        asked = {f"{prefix}{name}": value for name, value in question.items()}
        with pytest.raises(FieldError):
            queryset.filter(**asked)
        with pytest.raises(FieldError):
            queryset.exclude(**asked)


@pytest.mark.django_db
def test_get_or_create_by_an_encrypted_field_is_refused():
    make_customer("ann")
    with pytest.raises(FieldError):
        Customer.objects.get_or_create(email="ann@example.org")
    with pytest.raises(FieldError):
        Customer.objects.update_or_create(email="ann@example.org", defaults={"locale": "en"})


# Blind indexes

WRITES = {
    "save": lambda c: c.save(),
    "save(update_fields)": lambda c: c.save(update_fields=["email", "phone", "full_name"]),
    "bulk_update": lambda c: Customer.objects.bulk_update([c], ["email", "phone", "full_name"]),
    "amend": lambda c: Customer.objects.amend([c], {c.pk: ["email", "phone", "full_name"]}, by=None, source="import"),
    "correct": lambda c: reload(c).correct(by=None, reason="asked", email=c.email, phone=c.phone, full_name=c.full_name),
    "update_or_create": lambda c: Customer.objects.update_or_create(
        pk=c.pk, defaults={"email": c.email, "phone": c.phone, "full_name": c.full_name}
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_index_follows_every_way_of_writing(write):
    ann = make_customer("ann", full_name="Lê Ánh", email="old@example.org", phone="+84901234567")
    ann.full_name, ann.email, ann.phone = "Trần Bình", "new@example.org", "+84907654321"
    write(ann)
    for new in ("new@example.org", "0907654321", "4321", "binh"):
        assert list(Customer.objects.matching(new)) == [ann], new
    for old in ("old@example.org", "0901234567", "4567", "anh"):
        assert not Customer.objects.matching(old).exists(), old


@pytest.mark.django_db
def test_two_spellings_of_one_address_are_one_address():
    make_customer("ann", email="ann@example.org")
    with pytest.raises(IntegrityError):
        make_customer("other", email=" ANN@Example.ORG")


def test_an_index_is_sixteen_bytes_and_different_for_each_kind():
    assert len(fields.digest("email", "x")) == 16
    assert len({fields.digest(kind, "x") for kind in ("email", "phone", "last4", "word")}) == 4


def test_an_index_needs_the_key(settings):
    before = fields.blind("email", "ann@example.org")
    settings.BLIND_INDEX_KEY = [settings.BLIND_INDEX_KEY[0][::-1]]
    assert fields.blind("email", "ann@example.org") != before


# Normal forms

digits = st.text("0123456789", min_size=7, max_size=7)
mobiles = st.builds("{}{}".format, st.sampled_from(["90", "91", "98", "32", "70", "88"]), digits)
separators = st.sampled_from(["", " ", ".", "-", "  "])


def spellings(number, separator):
    """Return how people write a national number, without its leading 0."""
    grouped = separator.join([number[:2], number[2:5], number[5:7], number[7:]])
    return [
        f"0{grouped}",
        f"84{separator}{grouped}",
        f"+84{separator}{grouped}",
        f"0084{grouped}",
        f" (+84) {grouped} ",
        f"(0{number[:2]}) {number[2:]}",
    ]


@given(mobiles, separators)
def test_the_spellings_of_one_phone_agree(number, separator):
    assert {fields.normal_phone(text) for text in spellings(number, separator)} == {f"+84{number}"}
    assert {fields.last_four(text) for text in spellings(number, separator)} == {number[-4:]}


@given(mobiles, mobiles)
def test_different_phones_differ(one, other):
    assume(one != other)
    assert fields.blind("phone", f"0{one}") != fields.blind("phone", f"+84{other}")


@pytest.mark.parametrize("text", ["", "ann", "12", "0901", "+84", "090123456789012", "+999 1234567"])
def test_what_is_no_phone_has_no_normal_form(text):
    with pytest.raises(ValueError, match="no telephone number"):
        fields.normal_phone(text)


def test_a_foreign_number_keeps_its_country():
    assert fields.normal_phone("+44 20 7946 0958") == "+442079460958"


locals_ = st.text("abcdefghijklmnopqrstuvwxyz0123456789.+-_", min_size=1, max_size=12)
domains = st.sampled_from(["example.org", "bücher.example", "công-ty.example"])


@given(locals_, domains)
@example("ann", "bücher.example")
def test_the_spellings_of_one_address_agree(local, domain):
    address = f"{local}@{domain}"
    wire = domain.encode("idna").decode()
    forms = {address, address.upper(), f" {address}\n", f"{local}@{wire}", f"{local}@{wire.upper()}"}
    forms |= {unicodedata.normalize("NFD", address), unicodedata.normalize("NFC", address)}
    assert len({fields.normal_email(form) for form in forms}) == 1


@given(locals_, locals_, domains)
@example("a.b", "ab", "example.org")
@example("ann+x", "ann", "example.org")
def test_different_addresses_differ(one, other, domain):
    assume(unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", other))
    assert fields.blind("email", f"{one}@{domain}") != fields.blind("email", f"{other}@{domain}")


@pytest.mark.parametrize("text", ["", "ann", "@example.org", "ann@", "@", "ann@-ü-.example", "é@example.org", "k\u0131ng@example.org"])
def test_what_is_no_address_has_no_normal_form(text):
    with pytest.raises(ValueError, match=r"."):
        fields.normal_email(text)


words = st.lists(st.text("aăâbcdđeêghiklmnoôơpqrstuưvxyáàảãạếềểễệ", min_size=1, max_size=6), min_size=1, max_size=5)


@given(words, st.randoms(use_true_random=False))
def test_the_spellings_of_one_name_agree(name, random):
    text = " ".join(name)
    shuffled = random.sample(name, len(name))
    plain = "".join(c for c in unicodedata.normalize("NFD", text.replace("đ", "d")) if not unicodedata.combining(c))
    for spelling in ("  ".join(shuffled), text.upper(), unicodedata.normalize("NFD", text), plain, ", ".join(shuffled)):
        assert fields.blind_words(spelling) == fields.blind_words(text)


@given(words, words)
def test_names_of_different_words_differ(one, other):
    assume(fields.name_words(" ".join(one)) != fields.name_words(" ".join(other)))
    assert fields.blind_words(" ".join(one)) != fields.blind_words(" ".join(other))


def test_a_name_with_accents_is_found_without_them():
    assert fields.name_words("Đỗ Thị-Hồng  Ánh") == {"do", "thi", "hong", "anh"}


@pytest.mark.django_db
def test_opened_together_each_says_its_own_and_what_does_not_open_raises_when_read():
    names = ["full_name", "email", "phone"]
    people = [make_customer(ref, full_name=f"Lê Thị {ref} 😀", phone=None) for ref in ("ann", "binh", "chi")]
    put(people[1], "full_name", "'not a token'")
    put(people[2], "full_name", "email")  # a token of another column
    rows = Customer.objects.order_by("pk").values_list("id", *names)
    ann, binh, chi = of_rows(Customer, ["id", *names], rows)
    fields.open_all([ann, binh, chi], names)
    assert (ann.full_name, ann.email, ann.phone, ann.ref) == ("Lê Thị ann 😀", "ann@example.org", None, "ann")
    assert (binh.email, chi.email) == ("binh@example.org", "chi@example.org")
    for person in (binh, chi):
        with pytest.raises(fields.UndecryptableValue, match="full_name"):
            assert person.full_name
