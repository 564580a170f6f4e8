"""Django's settings for the real site: what testpress-wire.md says of Testpress, and else the libraries' defaults.

Knows no view. What a test may change while the site runs is in `site`.
"""

import os

SECRET_KEY = "nothing is signed with this key: the tokens have one of their own"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "tests.real.site"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["REAL_SITE_DATABASE"],
        "CONN_MAX_AGE": None,  # each thread of the server keeps its own
    }
}
# Tables are made without the history of their migrations, and passwords are hashed fast: both are Django's own advice.
MIGRATION_MODULES = {"auth": None, "contenttypes": None}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler", "level": "ERROR"}},
    "root": {"handlers": ["stderr"]},
}

# drf-jwt's own defaults are the prefix Bearer, the claims iat, jti and orig_iat, and {"pk", "token"}.
JWT_AUTH = {
    "JWT_AUTH_HEADER_PREFIX": "JWT",
    "JWT_PAYLOAD_HANDLER": "tests.real.site.payload",
    "JWT_PAYLOAD_GET_USERNAME_HANDLER": "tests.real.site.username_in",
    "JWT_RESPONSE_PAYLOAD_HANDLER": "tests.real.site.response_payload",
}
