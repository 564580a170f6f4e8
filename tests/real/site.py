"""The site: Testpress's addresses, with the answers of Django REST framework and drf-jwt, and one address for tests.

Knows nothing of the stand-in, which it is compared with, nor of the package. Needs Django set up.
"""
# mypy: ignore-errors
# (Django, Django REST framework and drf-jwt have no types, so every class here would be a subclass of Any.)

import json
import secrets
import time
from datetime import datetime, timedelta, timezone

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.http import HttpResponse, JsonResponse
from django.urls import path, re_path
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView
from rest_framework_jwt.authentication import JSONWebTokenAuthentication
from rest_framework_jwt.settings import api_settings
from rest_framework_jwt.views import ObtainJSONWebTokenView

USERS = [
    User(pk=number, username=name, email=f"{name}@example.com", password=make_password(password))
    for number, (name, password) in enumerate({"testpress": "demo", "other": "pass"}.items(), 1)
]


class State:
    """What a test can change, and what the site counts."""

    def __init__(self):
        self.logins = []
        self.given = set()
        self.ended = set()
        self.parallel_limit = False
        self.login_seconds = 0.0
        self.rates = {"login": None, "me": None}


state = State()


# --- the settings of drf-jwt that are functions


def payload(user):
    """Claims as Testpress's tokens have them: `username` is the user's number; no iat, no jti."""
    expiry = datetime.now(timezone.utc) + api_settings.JWT_EXPIRATION_DELTA
    return {"username": user.pk, "user_id": user.pk, "email": user.email, "exp": expiry}


def username_in(payload):
    """Find the login name to a number; a number that nobody has is nobody's name."""
    number = payload.get("username")
    return User.objects.filter(pk=number).values_list("username", flat=True).first() or number


def response_payload(token, user=None, request=None, issued_at=None):
    """Answer with the token alone."""
    return {"token": token}


# --- the views


class SessionAuthentication(JSONWebTokenAuthentication):
    """A token is good until its session is ended: Testpress lists and ends sessions on its side."""

    def authenticate(self, request):
        found = super().authenticate(request)
        if found is not None and found[1] in state.ended:
            raise AuthenticationFailed("Please Login and try again.")
        if found is not None and state.parallel_limit:
            text = "You have reached the limit of parallel logins."
            raise PermissionDenied({"error_code": "parallel_login_restriction", "detail": text})
        return found


class Throttle(ScopedRateThrottle):
    @property
    def THROTTLE_RATES(self):
        return state.rates


class Login(ObtainJSONWebTokenView):
    throttle_classes = (Throttle,)
    throttle_scope = "login"

    def initial(self, request, *args, **kwargs):
        state.logins.append(request.path)
        super().initial(request, *args, **kwargs)

    def post(self, request, *args, **kwargs):
        time.sleep(state.login_seconds)
        response = super().post(request, *args, **kwargs)
        response.status_code = 200  # drf-jwt says 201
        state.given.add(response.data["token"])
        state.ended.discard(response.data["token"])  # two logins in one second give the same token
        return response


class View(APIView):
    authentication_classes = (SessionAuthentication,)
    permission_classes = (IsAuthenticated,)
    throttle_classes = (Throttle,)


class Me(View):
    throttle_scope = "me"

    def get(self, request):
        return Response({"id": request.user.pk, "username": request.user.username, "email": request.user.email})


class Pages(PageNumberPagination):
    page_size = 20
    page_size_query_param = "page_size"

    def get_paginated_response(self, data):
        links = {"next": self.get_next_link(), "previous": self.get_previous_link()}
        per_page = self.get_page_size(self.request)
        return Response({"count": self.page.paginator.count, **links, "per_page": per_page, "results": data})


class Exams(View):
    def get(self, request):
        pages, url = Pages(), request.build_absolute_uri(request.path)
        numbers = pages.paginate_queryset(range(1, 46), request, view=self)
        exams = [{"id": number, "title": f"Exam {number}", "url": f"{url}{number}/"} for number in numbers]
        return pages.get_paginated_response(exams)


class Echo(View):
    def post(self, request):
        return HttpResponse(request.body, content_type=request.content_type or "application/octet-stream")


class Logout(View):
    def post(self, request):
        state.ended.add(request.auth)
        return Response({})


# --- what tests tell the site


def reset(_):
    """Make everything as at the start; the key is another one, so that no token goes on from test to test."""
    vars(state).update(vars(State()))
    cache.clear()
    set_jwt({"EXPIRATION_DELTA": 300, "VERIFY_EXPIRATION": True, "LEEWAY": 0, "SECRET_KEY": secrets.token_hex()})
    User.objects.bulk_create(USERS, update_conflicts=True, unique_fields=["id"], update_fields=["is_active"])


def set_jwt(settings):
    """Set drf-jwt's settings, named without JWT_; EXPIRATION_DELTA in seconds."""
    for name, value in settings.items():
        setattr(api_settings, f"JWT_{name}", timedelta(seconds=value) if name == "EXPIRATION_DELTA" else value)


COMMANDS = {
    "reset": reset,
    "jwt": set_jwt,
    "set": lambda values: vars(state).update(values),
    "end_sessions": lambda _: state.ended.update(state.given),
    "deactivate": lambda name: User.objects.filter(username=name).update(is_active=False),
    "delete": lambda name: User.objects.filter(username=name).delete(),
}


@receiver(connection_created)
def do_not_wait_for_the_disk(connection, **_):
    """Nothing in here outlives the process."""
    connection.cursor().execute("PRAGMA synchronous = OFF")


def control(request):
    """Do what a test says, and tell the addresses of the logins that arrived."""
    for name, value in json.loads(request.body).items():
        COMMANDS[name](value)
    return JsonResponse({"logins": state.logins})


urlpatterns = [
    re_path(r"^api/v2\.[235]/auth-token/$", Login.as_view()),
    re_path(r"^api/v2\.[235]/me/$", Me.as_view()),
    re_path(r"^api/v2\.[235]/exams/$", Exams.as_view()),
    re_path(r"^api/v2\.[235]/echo/$", Echo.as_view()),
    path("api/v2.4/auth/logout/", Logout.as_view()),
    path("control/", control),
]
