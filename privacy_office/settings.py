"""Settings, all from the environment (a `.env` is read). A key that is missing or weak stops the start."""

from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from privacy_office import keys

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")
env = environ.FileAwareEnv()

# Keys
given = keys.read_all()
SECRET_KEY = given["SECRET_KEY"]
FIELD_ENCRYPTION_KEY, BLIND_INDEX_KEY, AUDIT_SIGNING_KEY = (keys.split(given[name]) for name in keys.LISTS)

# The company whose policy this office keeps; it signs every mail.
COMPANY = {
    "name": env("COMPANY_NAME", default="An Bình Cloud"),
    "phone": env("COMPANY_PHONE", default="+84 24 7300 0000"),
    "email": env("COMPANY_EMAIL", default="support@anbinh.example"),
    "address": env("COMPANY_ADDRESS", default="1 Phố Ví Dụ, Hà Nội"),
    "website": env("COMPANY_WEBSITE", default="https://anbinh.example"),
}
SIGNUP_KEY = keys.split(env("SIGNUP_KEY", default=""))  # shared with the company's site, which signs what its forms take; empty: none are
if any(len(key) < 32 for key in SIGNUP_KEY):
    raise ImproperlyConfigured("SIGNUP_KEY is weak: it takes at least 32 characters, drawn at random.")
METRICS_TOKEN = env("METRICS_TOKEN", default="")  # what Prometheus shows at /metrics; empty: there are none
if METRICS_TOKEN and len(METRICS_TOKEN) < 32:
    raise ImproperlyConfigured("METRICS_TOKEN is weak: it takes at least 32 characters, drawn at random.")
EXPORT_MOST = env.int("EXPORT_MOST", default=100_000)  # rows of a list in one file
PHONE_REGION = env("PHONE_REGION", default="VN")

# Where we are
BASE_URL = env("BASE_URL", default="http://localhost:8000").rstrip("/")
HTTPS = urlsplit(BASE_URL).scheme == "https"
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[urlsplit(BASE_URL).hostname, "localhost", "127.0.0.1"])
DEBUG = False
DEMO = env.bool("DEMO", default=False)  # ./run sets it: invented customers, and /mailbox/ shows their mail
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)  # one proxy of ours, which sets the headers named in docs/OPERATIONS.md
LOCAL_MAILBOX = env("LOCAL_MAILBOX", default="")
if DEMO and urlsplit(BASE_URL).hostname not in ("localhost", "127.0.0.1"):
    raise ImproperlyConfigured("DEMO shows every mail to everyone: it is refused unless BASE_URL is on localhost.")

# Servers
if not env("DATABASE_URL", default=""):
    raise ImproperlyConfigured("DATABASE_URL is missing (manage.py and ./run start a server of their own without it).")
DATABASES = {"default": {**env.db_url(), "ATOMIC_REQUESTS": True, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}}
if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database: postgresql://user:password@host/name")
# Where checkpoints of the trail are written down too: best a place that the database's owner cannot write to.
AUDIT_ANCHORS = env("AUDIT_ANCHORS", default=str(BASE_DIR / "var" / f"anchors-{DATABASES['default']['NAME']}.jsonl"))
# Which customers were erased, by random identifiers: what a restored backup is held against. Not in the database, nor with its backups.
ERASURE_JOURNAL = env("ERASURE_JOURNAL", default=str(BASE_DIR / "var" / f"erasures-{DATABASES['default']['NAME']}.jsonl"))
REDIS_URL = env("REDIS_URL", default="")
if not REDIS_URL:
    raise ImproperlyConfigured("REDIS_URL is missing (manage.py and ./run start a server of their own without it).")

CACHES = {  # what all web servers must know of each other: how often somebody failed to sign in
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "office",
        "OPTIONS": {"serializer": "privacy_office.cache.JSONSerializer", "socket_timeout": 5, "socket_connect_timeout": 2},
    }
}

# Applications, lowest first: each may import those above it in this list, never below.
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "simple_history",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "privacy_office",
    "audit",
    "customers",
    "consent",
    "mailings",
    "disclosures",
]
MIDDLEWARE = [
    "privacy_office.middleware.RequestMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "privacy_office.middleware.AnswerMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "privacy_office.middleware.SessionEndMiddleware",
    "privacy_office.middleware.OneTimePasswordMiddleware",
    "privacy_office.middleware.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]
ROOT_URLCONF = "privacy_office.urls"
WSGI_APPLICATION = "privacy_office.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "privacy_office.context.company",
            ],
        },
    }
]

MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # in the database: no message lies in a cookie

# Language and time
LANGUAGE_CODE = "vi"
LANGUAGES = [("vi", "Tiếng Việt"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = env("TIME_ZONE", default="Asia/Ho_Chi_Minh")

# Static files come straight from the apps' folders.
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# People
AUTH_USER_MODEL = "privacy_office.Staff"
LOGIN_URL, LOGIN_REDIRECT_URL = "account_login", "admin:index"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in [
        ("UserAttributeSimilarityValidator", {"user_attributes": ["username", "email", "full_name", "ref", "phone"]}),
        ("MinimumLengthValidator", {"min_length": 15}),
        ("CommonPasswordValidator", {}),
    ]
]
SESSION_COOKIE_AGE = 30 * 60
SESSION_SAVE_EVERY_REQUEST = True
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_ENDS_AFTER = 12 * 60 * 60  # seconds since the sign-in, however busy
STEP_UP_SECONDS = 5 * 60  # how long a code counts for the acts that ask for one

# Signing in: a name and a password, then a second factor. What allauth has beyond that is not mounted.
ACCOUNT_ADAPTER, MFA_ADAPTER = "privacy_office.adapters.AccountAdapter", "privacy_office.adapters.MFAAdapter"
ACCOUNT_FORMS = {"login": "privacy_office.forms.SignInForm"}
ACCOUNT_LOGIN_METHODS, ACCOUNT_SIGNUP_FIELDS = {"username"}, ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGIN_TIMEOUT = 5 * 60  # seconds from the password to the code
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_REAUTHENTICATION_TIMEOUT = STEP_UP_SECONDS
ACCOUNT_RATE_LIMITS = {
    "login": "100/5m/ip",
    "login_failed": "100/15m/ip,10/15m/key",  # key: the account, for passwords and for codes
    "reauthenticate": "30/15m/user",
    "change_password": "10/15m/user",
}
ALLAUTH_TRUSTED_PROXY_COUNT = int(BEHIND_PROXY)
MFA_FORMS = {
    "authenticate": "privacy_office.forms.SignInCodeForm",
    "authenticate_webauthn": "privacy_office.forms.SignInKeyForm",
    "login_webauthn": "privacy_office.forms.PasskeyForm",
    "reauthenticate": "privacy_office.forms.ConfirmForm",
    "reauthenticate_webauthn": "privacy_office.forms.ConfirmKeyForm",
}
MFA_RATE_LIMITS = {"webauthn_login": "60/5m/ip"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_TOTP_ISSUER = COMPANY["name"]
MFA_TOTP_TOLERANCE = 1  # periods before and after: clocks differ, and people type slowly
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_USER_VERIFICATION = "required"

# What people send: kept in memory until it is encrypted, never in a temporary file.
FILE_UPLOAD_HANDLERS = ["privacy_office.uploads.Bounded"]
UPLOAD_MOST = 5 * 1024**2  # bytes of one file

# Headers: no inline script or style, nothing from elsewhere, in no frame.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # the admin's stylesheet carries its icons as data
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "privacy_office.errors.csrf_failure"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME, LANGUAGE_COOKIE_NAME = (
    f"__Host-{name}" if HTTPS else name for name in ("session", "csrf", "language")
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS

# History: one row a change, whole, with its reason; no way back through the history pages.
SIMPLE_HISTORY_HISTORY_CHANGE_REASON_USE_TEXT_FIELD = True
SIMPLE_HISTORY_REVERT_DISABLED = True
SIMPLE_HISTORY_ENFORCE_HISTORY_MODEL_PERMISSIONS = True

# Mail: every wait has an end (RFC 5321 section 4.5.3.2), and what comes last waits longest.
EMAIL = env.email_url("EMAIL_URL", default="smtp://127.0.0.1:25")
EMAIL_HOST, EMAIL_PORT = EMAIL["EMAIL_HOST"], EMAIL["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = EMAIL["EMAIL_HOST_USER"] or "", EMAIL["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL.get("EMAIL_USE_TLS", False), EMAIL.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 60
DEFAULT_FROM_EMAIL = MAIL_FROM = env("MAIL_FROM", default=COMPANY["email"])
DKIM = keys.signing_key(env("DKIM_KEY", default=""), env("DKIM_SELECTOR", default=""), env("DKIM_DOMAIN", default=""), MAIL_FROM)
MAIL_TIMEOUTS = env.dict("MAIL_TIMEOUTS", cast={"value": int}, default={"connect": 10, "command": 60, "after_data": 600})  # seconds
# What each worker has in hand, line by line: on this host's own disk, shared with no other host.
MAIL_JOURNALS = env("MAIL_JOURNALS", default=str(BASE_DIR / "var" / f"journals-{DATABASES['default']['NAME']}"))
# What comes back: reports of delivery, complaints, refusals and requests by mail (§3.2).
# The mailbox that is read gets all mail to this address, to each name+token@ of it, and to MAIL_FROM. Empty: reports go to MAIL_FROM.
BOUNCE_ADDRESS = env("BOUNCE_ADDRESS", default="")
if BOUNCE_ADDRESS and not 0 < len(BOUNCE_ADDRESS.rpartition("@")[0]) <= 20:
    raise ImproperlyConfigured("BOUNCE_ADDRESS is an address whose name has 20 characters at most: a token of 43 follows it.")
INCOMING_MAILDIR = env("INCOMING_MAILDIR", default="")  # a folder with new/ and cur/
INCOMING_IMAP_URL = env("INCOMING_IMAP_URL", default="")  # imaps://user:password@host/INBOX
INCOMING_DONE = env("INCOMING_DONE", default="")  # where mails go that were read: a Maildir or an IMAP folder; empty: they are deleted
INCOMING_MOST = env.int("INCOMING_MOST", default=10 * 1024**2)  # bytes of one mail; what is larger is kept aside
INCOMING_ASIDE_DAYS = env.int("INCOMING_ASIDE_DAYS", default=14)  # how long, as it is not encrypted
REFUSAL_WORDS = env.list(  # a mail that says one of these and nothing else is a refusal; accents and capitals do not matter
    "REFUSAL_WORDS",
    default=[
        *("từ chối", "từ chối nhận", "từ chối quảng cáo", "từ chối nhận quảng cáo", "từ chối nhận tin", "từ chối nhận email", "tc"),
        *("hủy", "hủy đăng ký", "hủy nhận tin", "ngừng", "ngừng gửi", "ngưng", "ngưng gửi", "dừng", "dừng gửi"),
        *("không nhận", "không nhận quảng cáo", "không gửi nữa", "đừng gửi", "đừng gửi nữa"),
        *("stop", "unsubscribe", "unsubscribe me", "please unsubscribe", "please unsubscribe me"),
        *("remove", "remove me", "opt out", "refuse"),
    ],
)

# Celery carries no data: its tasks say "look at the table".
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
}
CELERY_VISIBILITY_TIMEOUT = 300
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5  # seconds: a task lasts three, and the mail in hand
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE_FILENAME = str(BASE_DIR / "var" / "beat")

# Logs name rows, never people; one way out, to stderr, and no mail: Django's would carry a request and its values to an inbox.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"redacted": {"()": "privacy_office.logs.Formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "redacted"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": [], "level": "INFO"},
        "django.server": {"handlers": [], "propagate": True},
        "flufl.bounce": {"level": "CRITICAL"},  # it tells of every step, and of what it stumbled over
        "django.db.backends": {"level": "CRITICAL"},  # a statement that failed carries its values
        "django.request": {"level": "ERROR"},  # a 404 would write down the address, and some addresses are keys
    },
}
