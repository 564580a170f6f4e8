"""The Testpress site behind the stand-in server: its users and sessions, a request in, an answer out.

It knows neither sockets nor what a test has queued or counts; the texts of its answers are elsewhere.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace

from testpress_auth.testing import answers, presented
from testpress_auth.testing.answers import Answer, Refused
from testpress_auth.testing.wire import Request

_LISTS = {"exams": (answers.EXAMS, answers.exam), "users": (answers.USERS, answers.user)}


class Site:
    """Users, tokens and sessions; `StandInServer` has the same attributes and says what they mean."""

    def __init__(
        self, users: dict[str, str], token_lifetime: float, enforce_exp: bool, clock: Callable[[], float]
    ) -> None:
        self.users = users
        self.token_lifetime = token_lifetime
        self.enforce_exp = enforce_exp
        self.clock = clock
        #: Key of the HS256 signatures (bytes), another one for each server.
        self.secret = secrets.token_bytes(32)
        #: Names of users that are deactivated.
        self.disabled: set[str] = set()
        #: Whether every API call with a good token answers 403 `parallel_login_restriction`; logins go on.
        self.parallel_limit = False
        #: Logins answered with a token.
        self.granted = 0
        self._user_ids: dict[str, int] = {}
        self._given: set[str] = set()
        self._ended: set[str] = set()
        self._lock = threading.Lock()

    def revoke_all(self) -> None:
        """End every session: a token given so far is refused until a login hands the same one out again.

        Two logins of one user in one second give the same token, for nothing but `exp` tells them apart.
        """
        with self._lock:
            self._ended |= self._given

    def _answer(self, request: Request) -> Answer:
        view, allow = answers.route(request.path)
        if not view:
            return answers.not_found()
        try:
            answer = self._login(request) if view == "login" else self._api(request, view, allow)
        except Refused as refused:
            answer = refused.answer
        return replace(answer, headers={**answer.headers, "Allow": allow, "Vary": "Accept"})

    def _login(self, request: Request) -> Answer:
        if request.method != "POST":
            return answers.method_not_allowed(request.method)
        username, password = presented.credentials(request.header("Content-Type") or "", request.body)
        if self.users.get(username) != password:
            return answers.login_failed("Unable to log in with provided credentials.")
        if username in self.disabled:
            return answers.login_failed("User account is disabled.")
        expiry = int(self.clock() + self.token_lifetime)
        with self._lock:
            user_id = self._user_ids.setdefault(username, len(self._user_ids) + 1)
            # Most published Testpress tokens have the user's number for `username`, not the login name.
            claims = {"username": user_id, "user_id": user_id, "email": _email(username), "exp": expiry}
            token = presented.sign(claims, self.secret)
            self._given.add(token)
            self._ended.discard(token)
            self.granted += 1
        return answers.of_json(200, {"token": token})

    def _api(self, request: Request, view: str, allow: str) -> Answer:
        token = presented.token_in(request.header("Authorization"))
        user_id, name = self._user_of(token)
        if self.parallel_limit:
            return answers.parallel_login()
        # DRF looks at the method last: an anonymous call with a wrong method is told 401.
        if request.method not in allow.split(", "):
            return answers.method_not_allowed(request.method)
        if view == "echo":
            content_type = request.header("Content-Type") or "application/octet-stream"
            return Answer(200, request.body, {"Content-Type": content_type})
        if view in _LISTS:
            path, _, query = request.path.partition("?")
            return answers.page(f"http://{request.header('Host')}{path}", query, *_LISTS[view])
        if view == "logout":
            with self._lock:
                self._ended.add(token)
            # What the real server says is not documented; its own apps ignore the answer.
            return answers.of_json(200, {})
        return answers.of_json(200, {"id": user_id, "username": name, "email": _email(name)})

    def _user_of(self, token: str) -> tuple[int, str]:
        now = self.clock() if self.enforce_exp else None
        user_id = presented.claims_of(token, self.secret, now)["username"]
        with self._lock:
            name = next((name for name, number in self._user_ids.items() if number == user_id), None)
            ended = token in self._ended
        if name is None or name not in self.users:
            raise Refused(answers.unauthorized("Invalid signature."))
        if name in self.disabled:
            raise Refused(answers.unauthorized("User account is disabled."))
        if ended:
            raise Refused(answers.unauthorized("Please Login and try again."))
        return user_id, name


def _email(username: str) -> str:
    return f"{username}@example.com"
