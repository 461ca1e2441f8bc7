"""Encrypted fields that fail closed, and blind indexes to find people by. Refuses to show, compare or write back what it cannot decrypt."""

import functools
import struct
import unicodedata

import idna
import phonenumbers
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import FieldError
from django.db import models
from django.db.models import Case, Value
from django.db.models.functions import Cast
from django.db.models.query_utils import DeferredAttribute
from encrypted_model_fields import fields as library

from privacy_office import keys, tokens


class UndecryptableValue(Exception):
    """A stored value that no configured key opens, or that was moved here from another column."""


class Sealed:
    """A value as it lies in the database, opened only when somebody asks for it."""

    __slots__ = ("context", "said", "token")

    def __init__(self, token, context):
        self.token, self.context, self.said = token, context, None  # what the token says, once it was opened

    def open(self):
        """Return the plain text; UndecryptableValue names the column, never the value."""
        try:
            said = library.decrypt_str(self.token) if self.said is None else self.said
        except (InvalidToken, TypeError, UnicodeError):
            said = ""
        context, separator, plain = said.partition("|")
        if not separator or context != self.context:
            raise UndecryptableValue(f"{self.context} cannot be decrypted")
        return plain

    def __repr__(self):
        return f"<sealed {self.context}>"


class OpenOnRead(DeferredAttribute):
    """Decrypts at the first read of the attribute, so what nobody reads is never in the clear."""

    def __get__(self, instance, cls=None):
        value = super().__get__(instance, cls)
        if isinstance(value, Sealed):
            value = instance.__dict__[self.field.attname] = self.field.opened(value)
        return value

    def __set__(self, instance, value):
        instance.__dict__[self.field.attname] = value


def open_all(objects, names):
    """Decrypt fields of many objects at once, in a third of the time; what cannot be raises when it is read, as ever."""
    sealed = [value for obj in objects for name in names if isinstance(value := obj.__dict__.get(name), Sealed)]
    texts = tokens.opened([value.token for value in sealed], list(map(tokens.Key, settings.FIELD_ENCRYPTION_KEY)))
    for value, text in zip(sealed, texts, strict=True):
        value.said = text and text.decode()


class FailClosed:
    """What every encrypted field has over the library's: a bound token, no guessing by lookups, no expression, no oracle."""

    descriptor_class = OpenOnRead

    @functools.cached_property
    def context(self):
        # History shares its model's context: the same value of the same column, kept for longer.
        return f"{getattr(self.model, 'instance_type', self.model)._meta.label_lower}.{self.name}"

    def opened(self, sealed):
        return super(library.EncryptedMixin, self).to_python(sealed.open())

    def from_db_value(self, value, expression, connection):
        return None if value is None else Sealed(value, self.context)

    def to_python(self, value):
        # The library decrypts here, so that a token pasted into any form shows its plain text. Input is never decrypted.
        return super(library.EncryptedMixin, self).to_python(value)

    def get_db_prep_save(self, value, connection):
        if hasattr(value, "as_sql"):
            if self._is_bulk_update(value):
                return value  # each of its Value() leaves comes back here and is encrypted
            raise FieldError(f"{self.name} is encrypted: an expression cannot be stored in it")
        if isinstance(value, Sealed):
            value = self.opened(value)
        return None if value is None else self.sealed(value)

    def sealed(self, value):
        """Return `value` as the text that is stored: a Fernet token over 'app.model.field|value'."""
        return library.encrypt_str(f"{self.context}|{value}").decode()

    def _is_bulk_update(self, expression):
        if isinstance(expression, Cast):
            (expression,) = expression.get_source_expressions()
        if not isinstance(expression, Case):
            return False
        leaves = [when.result for when in expression.cases] + [expression.default]
        return all(isinstance(leaf, Value) and (leaf.value is None or leaf._output_field_or_none is self) for leaf in leaves)

    def get_lookup(self, name):
        if name != "isnull":
            raise FieldError(f"{self.name} is encrypted: '{name}' is not possible, search by its blind index")
        return super().get_lookup(name)

    def get_transform(self, name):
        return None


class EncryptedCharField(FailClosed, library.EncryptedCharField):
    pass


class EncryptedTextField(FailClosed, library.EncryptedTextField):
    pass


class EncryptedEmailField(FailClosed, library.EncryptedEmailField):
    pass


class EncryptedDateField(FailClosed, library.EncryptedDateField):
    pass


def is_encrypted(field):
    return isinstance(field, FailClosed)


# Normal forms: two spellings of one address, number or name have one index.


def normal_email(value):
    """Return `value` trimmed, in small letters and with its domain in IDNA's A-form; ValueError when that cannot be.

    A local part beyond ASCII needs SMTPUTF8 (RFC 6531) of every server on the way: nobody is asked to rely on that.
    """
    local, _, domain = unicodedata.normalize("NFC", value.strip()).rpartition("@")
    if not (local.isascii() and local and domain):
        raise ValueError("no e-mail address")
    # Not casefold() for the domain: straße.de and strasse.de are two. idna.IDNAError is a ValueError.
    domain = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    return f"{local.lower()}@{domain}"


@functools.lru_cache(8192)  # the same number is asked for by its field, its index and its last four digits
def normal_phone(value):
    """Return `value` in E.164, read as a Vietnamese number where it names no country; ValueError when it is none."""
    text = value.strip()
    readings = [text]
    if text.lstrip("(").startswith("84"):
        readings.append(f"+{text.lstrip('(')}")  # 84 90… without its plus, as many exports write it
    for reading in readings:
        try:
            number = phonenumbers.parse(reading, settings.PHONE_REGION)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    raise ValueError("no telephone number")


def last_four(value):
    return normal_phone(value)[-4:]


def plain_words(value):
    """Return the words of a text without accents and case."""
    folded = unicodedata.normalize("NFD", value.casefold().replace("đ", "d"))
    kept = "".join(" " if not c.isalnum() and not unicodedata.combining(c) else c for c in folded if not unicodedata.combining(c))
    return kept.split()


def name_words(value):
    """Return the words of a name without accents and case, as a set."""
    return set(plain_words(value))


NORMAL = {"email": normal_email, "phone": normal_phone, "last4": last_four}


# Each index says in its last two bytes which key made it. What is written is the newest key's, what is looked for may be any key's.
PLAIN = 14  # bytes before the version


def digest(kind, normal, key=None):
    """Return 16 bytes that stand for a normalised value: HMAC-SHA256 under an index key, separate for each kind, and the key's version."""
    keyed, version = _keyed(key or settings.BLIND_INDEX_KEY[0])
    of = keyed.copy()
    of.update(f"{kind}\0{normal}".encode())
    return of.finalize()[:PLAIN] + version


@functools.lru_cache(10)  # a keyed HMAC is made in thrice the time of its copy
def _keyed(key):
    return HMAC(key.encode(), SHA256()), keys.version(key)


def digests(kind, normal):
    """Return the digest under every index key, newest first."""
    return [digest(kind, normal, key) for key in settings.BLIND_INDEX_KEY]


def blind(kind, value):
    """Return the blind index of a plain value, None for an empty one; ValueError when it has no normal form."""
    return digest(kind, NORMAL[kind](value)) if value else None


def blinds(kind, value):
    """Return the blind index of a plain value under every index key, newest first; none for an empty one."""
    return digests(kind, NORMAL[kind](value)) if value else []


def blind_words(value, key=None):
    """Return the sorted 64-bit indexes of the words of a name."""
    return sorted(_word(digest("word", word, key)) for word in name_words(value or ""))


def _word(of):
    return struct.unpack(">q", of[:6] + of[PLAIN:])[0]


class Blind:
    """What every column has that the index key makes: its value is made at every write, and it tells which rows another key made."""

    def pre_save(self, instance, add):
        value = self.value(instance)
        setattr(instance, self.attname, value)
        return value

    def value(self, instance):
        """Return the column's value under the newest key."""
        raise NotImplementedError

    def outdated(self):
        """Return the SQL condition of the rows that another key made."""
        return f"substr({self.column}, {PLAIN + 1}) <> {_version(settings.BLIND_INDEX_KEY[0])}"


def _version(key):
    return f"'\\x{keys.version(key).hex()}'::bytea"


class BlindIndexField(Blind, models.BinaryField):
    """Finds rows by the value of `source` without storing it: 16 bytes, None where the source is empty."""

    def __init__(self, *args, source, kind, **kwargs):
        self.source, self.kind = source, kind
        super().__init__(*args, **{"null": True, "editable": False, **kwargs})

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "source": self.source, "kind": self.kind}

    def value(self, instance):
        return blind(self.kind, getattr(instance, self.source))


class BlindOthersField(Blind, ArrayField):
    """The indexes of one value under all keys but the newest: what was noted under one of those is known again. None with a single key."""

    def __init__(self, *args, index, **kwargs):
        self.index = index
        super().__init__(*args, **{"base_field": models.BinaryField(), "null": True, "editable": False, **kwargs})

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "index": self.index}

    @property
    def source(self):
        return self.model._meta.get_field(self.index).source

    def value(self, instance):
        if len(settings.BLIND_INDEX_KEY) == 1:
            return None
        index = self.model._meta.get_field(self.index)
        if not (value := getattr(instance, index.source)):
            return None
        normal = NORMAL[index.kind](value)
        return [digest(index.kind, normal, key) for key in settings.BLIND_INDEX_KEY[1:]]

    def outdated(self):
        others = ", ".join(map(_version, settings.BLIND_INDEX_KEY[1:]))
        made_by = f"(SELECT array_agg(substr(other, {PLAIN + 1})) FROM unnest({self.column}) other)"
        return f"{self.index} IS NOT NULL AND {made_by} IS DISTINCT FROM {f'ARRAY[{others}]' if others else 'NULL'}"


class BlindIdentityField(Blind, models.BinaryField):
    """Tells a row from its like by several values together, without storing them: 16 bytes."""

    def __init__(self, *args, sources, kind, **kwargs):
        self.sources, self.kind = sources, kind
        super().__init__(*args, **{"editable": False, **kwargs})

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "sources": self.sources, "kind": self.kind}

    def values(self, instance):
        """Return the identity under every index key, newest first."""
        return digests(self.kind, self._normal(instance))

    def value(self, instance):
        return digest(self.kind, self._normal(instance))

    def _normal(self, instance):
        return "\0".join(str(getattr(instance, name) or "") for name in self.sources)


class BlindWordsField(Blind, ArrayField):
    """Finds rows by words of `source` in any order: their 64-bit indexes in an array that a GIN index covers."""

    def __init__(self, *args, source, **kwargs):
        self.source = source
        super().__init__(*args, **{"base_field": models.BigIntegerField(), "default": list, "editable": False, **kwargs})

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "source": self.source}

    def value(self, instance):
        return blind_words(getattr(instance, self.source))

    def outdated(self):
        newest = int.from_bytes(keys.version(settings.BLIND_INDEX_KEY[0]))
        return f"{self.column}[1] & 65535 <> {newest}"
