"""One account through anything that can happen to it, one step at a time, in any order that hypothesis thinks of.

Callers of both pages share the account. Nobody waits: each is a flow, stopped at its step until a rule takes it on, so
that logins are joined, awaited, cancelled and taken over at any point. After each rule the invariants of the stress
script hold; at the end everybody has an answer, and nothing is left behind.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from math import floor, inf
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import ConfigurationError, LoginThrottled, MemoryStore, RefreshPolicy, TestpressAuthError
from testpress_auth._failure import Failure, timed_out, unreachable
from testpress_auth._flow import recover, renew, usable
from testpress_auth._httpx_flow import _end
from testpress_auth._httpx_login import OneWay
from testpress_auth._reply import Reply
from testpress_auth._single_flight import GRACE, Flight, Unsettled
from testpress_auth._steps import AskPassword, Closed, Flow, Read, Resend, Send, Sleep, Wait
from testpress_auth._token import Login
from testpress_auth._value import Value
from testpress_auth.events import Event, LoginFailed, LoginStarted, LoginSucceeded, RefreshScheduled, TokenRejected

from .clock import ManualClock

BASE_URL: Final = "https://demo.testpress.in"
ME: Final = f"{BASE_URL}/api/v2.2/me/"
TIMEOUT: Final = 10.0
PASSWORD_TAKES: Final = 60.0  # seconds at most, or another caller takes over
MOST_CALLERS: Final = 6
MOMENT: Final = 1e-3  # seconds: what floats may be off by, and more
REFUSAL: Final = b'{"non_field_errors": ["Unable to log in with provided credentials."]}'


class Call(Value):
    """On the requests page: the caller's own request goes out with this login's token."""

    __slots__ = ("login",)

    login: Login


class Server:
    """A Testpress that is right about the time. How it answers a login, the rule that performs it says."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.password = "demo"
        self.good: set[str] = set()
        self.ends: dict[str, float | None] = {}  # when a token ends, by the server's clock; None: never known
        self.tells_time: dict[str, bool] = {}
        self.lifetime: float | None = 300
        self.says_iat = True
        self.says_date = True
        self.enforces_exp = True
        self.refuses_all = False

    def token(self) -> str:
        now = floor(self.clock.server())
        claims: dict[str, Any] = {"username": 17, "user_id": 17, "email": ""}
        if self.lifetime is not None:
            claims["exp"] = now + self.lifetime
        if self.says_iat:
            claims["iat"] = now
        head, payload = ({"alg": "HS256", "typ": "JWT"}, claims)
        raw = ".".join(
            [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in (head, payload)), "c2ln"]
        )
        raw = raw.replace("=", "")
        self.good.add(raw)
        ends = claims.get("exp")
        self.ends[raw] = ends if ends is not None and ends > now else None
        self.tells_time[raw] = self.says_iat or self.says_date
        return raw

    def login(self, kind: str, password: str) -> tuple[int, bytes, dict[str, str]]:
        date = {"date": formatdate(floor(self.clock.server()), usegmt=True)} if self.says_date else {}
        if kind == "token" and password != self.password:
            kind = "400"
        if kind == "token":
            return 200, json.dumps({"token": self.token()}).encode(), date
        body = {"400": REFUSAL, "nonsense": b"<html>", "400 of a proxy": b"<html>"}.get(kind, b"")
        wait = {"429 in 1": "1", "429 in 100": "100", "429 in a day": "86400"}.get(kind)
        status = {"nonsense": 200, "302": 302}.get(kind) or int(kind.split()[0])
        return status, body, {**date, **({} if wait is None else {"retry-after": wait})}

    def call(self, header: str, kind: str) -> int:
        raw = header.removeprefix("JWT ")
        ends = self.ends.get(raw)
        if kind == "refused" or self.refuses_all or raw not in self.good:
            return 401
        if self.enforces_exp and ends is not None and self.clock.server() >= ends:
            return 401
        return {"broken": 500, "missing": 404}.get(kind, 200)


LOGIN_ANSWERS: Final = (
    *["token"] * 6,
    *["500", "503", "501", "429", "429 in 1", "429 in 100", "429 in a day"],
    *["400", "400 of a proxy", "404", "nonsense", "302", "no network", "late"],
)
CALL_ANSWERS: Final = (*["fine"] * 4, *["refused"] * 3, "broken", "missing", "no network")


class Ended(Exception):
    """Thrown into a flow by a rule: whatever ends a step without an answer."""


class Caller:
    """Whoever wants something of the account: its flow, the step where that stands, and what it came to."""

    def __init__(self, machine: AccountMachine, auth: Any, flow: Flow[Any], what: str) -> None:
        self.machine = machine
        self.auth = auth
        self.flow = flow
        self.what = what
        self.step: Any = None
        self.until = -inf  # when a Wait or Sleep is over
        self.alive = True
        self.vanished = False
        self.outcome: Any = None
        self.thrown: BaseException | None = None
        self.login_began: float | None = None  # a login of its own is under way since then
        self.flight: Flight | None = None  # which it leads
        self.password = ""
        self.given_up = False  # its password took so long that another caller may have taken over
        self.sends = 0  # of that login
        self.calls = 0
        self.carried: Login | None = None
        self.has_waited = False  # for a token, since it last sent its request
        self.has_renewed = False  # on its way, since then
        self.sent_again = ""  # with a token that was "at hand", or "waited for"
        self.unanswered = 0  # logins of others that ended without an answer, since then
        self.renewal_began = 0.0
        self.ahead = False
        self.throttled_for: float | None = None

    def __repr__(self) -> str:
        return f"<{self.what} at {type(self.step).__name__}>"

    @property
    def is_sending(self) -> bool:
        return isinstance(self.step, (Send, OneWay))

    def go(self, resume: Callable[[], Any]) -> None:
        """Resume the flow, and take note of what it asks for next."""
        before, self.machine.running = self.machine.running, self
        try:
            self.step = resume()
        except StopIteration as done:
            self._is_over(done.value)
        except TestpressAuthError as error:
            self._is_over(error)
        except BaseException as error:
            if error is not self.thrown:
                raise
            self._is_over(error)
        else:
            self.machine.asked(self)
        finally:
            self.machine.running = before

    def answer(self, value: Any) -> None:
        self.go(lambda: self.flow.send(value))

    def throw(self, error: BaseException) -> None:
        self.thrown = error
        self.go(lambda: self.flow.throw(error))

    def close(self, raised: BaseException | None = None) -> None:
        """Close the flow, as a client does that will never resume it, raising this."""
        before, self.machine.running = self.machine.running, self
        try:
            if self.what == "httpx call":
                _end(self.flow, raised)
            else:
                self.flow.close()
        finally:
            self.machine.running = before
        self._is_over(None)

    def _is_over(self, outcome: Any) -> None:
        self.alive = False
        self.step = None
        self.outcome = outcome
        self.machine.ended(self)


pages = st.sampled_from([0, 1])
moments = st.sampled_from(
    [
        *["now", "now", "now", "due", "due", "stale", "over", "no more refused", "no more refused", "rested", "waited"],
        *["late", "given up", "a little later", "seconds later", "half a minute later", "much later"],
    ]
)
offsets = st.sampled_from([-0.1, 0.1, 0.1, -0.6, 0.6, 2.0, -2.0])


class AccountMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.server = Server(self.clock)
        self.store = MemoryStore()
        self.password = "demo"
        self.password_fails = False
        self.callers: list[Caller] = []
        self.running: Caller | None = None
        self.background: list[Caller] = []
        self.refused_until: tuple[str, float] = ("", -inf)
        self.rejected_at = -inf
        self.begun = self.succeeded = self.failed = 0
        self.installed: list[Login] = []
        self.current: Login | None = None  # the last one that was neither refused nor forgotten
        self.renewal_rests_until = -inf
        self.wrong: list[str] = []
        self.auths = [self.open("requests"), self.open("httpx")]
        self.source = self.auths[0]._source

    def open(self, page: str) -> Any:
        """Make a new auth object of this account; its renewals ahead are one more caller each."""
        options: dict[str, Any] = {
            "base_url": BASE_URL,
            "store": self.store,
            "timeout": TIMEOUT,
            "on_event": self.heard,
            "_clock": self.clock.local,
            "refresh": RefreshPolicy(leeway=10 if page == "requests" else 30),
        }
        if page == "httpx":
            return testpress_auth.httpx.TestpressJWTAuth("testpress", self.fetch_password, **options)
        auth = testpress_auth.requests.TestpressJWTAuth("testpress", self.fetch_password, **options)
        auth._renew = partial(self.renew_beside, auth)  # type: ignore[method-assign]
        return auth

    def fetch_password(self) -> str:
        if self.password_fails:
            raise ConfigurationError("the secret manager is away")
        return self.password

    def renew_beside(self, auth: Any) -> bool:
        caller = Caller(self, auth, renew(auth._source, auth._settings), "renewal")
        caller.renewal_began = self.clock.monotonic
        for other in [*self.callers, *self.background]:
            if other.what == "renewal" and caller.renewal_began < other.renewal_began + TIMEOUT:
                self.wrong.append("F2: two renewals beside the requests")
        self.background.append(caller)
        return True

    def start_background(self) -> None:
        while self.background:
            caller = self.background.pop()
            self.callers.append(caller)
            caller.go(partial(next, caller.flow))

    # --- what callers do

    def by_requests(self, auth: Any, replayable: bool) -> Flow[Any]:
        """What the requests page does around a request."""
        source, options = auth._source, auth._settings
        login = auth._fresh()
        if login is None:
            login = yield from usable(source, options)
        if isinstance(login, Failure):
            return login
        status = yield Call(login=login)
        if status != 401:
            return status
        carried = login if source.login is login else None
        return (yield from recover(source, options, 401, carried, replayable=replayable))

    def by_httpx(self, auth: Any, replayable: bool) -> Flow[Any]:
        """What `sync_auth_flow` does, with its steps handed out instead of performed."""
        request = httpx.Request("POST", ME, content=b"x" if replayable else iter([b"x"]))
        conversation = auth._begin(request)
        if isinstance(conversation, Login):
            login = conversation
            try:
                response = yield request
            except Closed as closed:
                auth._after_close(login, closed.cause)
                raise
            if response.status_code != 401:
                login.accepted = login.accepted or response.status_code < 300
                return response.status_code
            conversation = auth._after_401(request, response, login, [])
        yield from conversation
        return "answered"

    def for_a_token(self, auth: Any, _: bool) -> Flow[Any]:
        """What `auth.token()` does."""
        login = auth._fresh()
        return login if login is not None else (yield from usable(auth._source, auth._settings))

    def begin(self, auth: Any, flow: Flow[Any], what: str) -> Caller:
        caller = Caller(self, auth, flow, what)
        self.callers.append(caller)
        caller.go(partial(next, flow))
        self.start_background()
        return caller

    # --- what the flows ask for, and what is true each time

    def asked(self, caller: Caller) -> None:
        step, now = caller.step, self.clock.monotonic
        if isinstance(step, AskPassword):
            caller.until, caller.flight = now + PASSWORD_TAKES, self.source._flight
        if isinstance(step, (Sleep, Wait)):
            caller.until = now + step.seconds
            if not 0 <= step.seconds <= TIMEOUT + GRACE + MOMENT:
                self.wrong.append(f"{caller} asks to pause for {step.seconds} s")
        if isinstance(step, Sleep) and caller.ahead:
            self.wrong.append("L6: a renewal ahead waits for nothing")
        if isinstance(step, (AskPassword, Wait)):
            caller.has_waited = True
            if caller.unanswered >= 2:
                self.wrong.append("S3: it goes on after two logins without an answer")
        if isinstance(step, Wait):
            leaders = [other for other in self.callers if other.flight is step.flight and other.login_began is not None]
            if any(now > leader.login_began + TIMEOUT + GRACE + MOMENT for leader in leaders):  # type: ignore[operator]
                self.wrong.append("S2: it waits for a login that is past its deadline")
        if caller.is_sending:
            caller.sends += 1
            if caller.sends > (1 if caller.ahead else 3):
                self.wrong.append(f"L6: send number {caller.sends} of one login")
            late = caller.login_began is None or now >= caller.login_began + TIMEOUT
            if late:
                self.wrong.append("L6: a send outside a login's deadline")
        login = self.login_used(caller)
        if login is not None:
            self.sends_its_request(caller, login)

    def sends_its_request(self, caller: Caller, login: Login) -> None:
        self.used(caller, login)
        if caller.carried is not None:
            if caller.sent_again == "waited for":
                self.wrong.append("J1: a request goes out again, after a token that it had waited for")
            caller.sent_again = "waited for" if caller.has_waited else "at hand"
            if login is caller.carried:
                self.wrong.append("J1: a request goes out again with the token that was just refused")
        caller.calls += 1
        if caller.calls > 3:
            self.wrong.append(f"J1: a request goes out {caller.calls} times")
        caller.carried = login
        caller.has_waited = caller.has_renewed = False
        caller.unanswered = 0

    def login_used(self, caller: Caller) -> Login | None:
        """Return the login whose token the caller's own request carries, if that is what it stands at."""
        step = caller.step
        if isinstance(step, (Call, Resend)):
            return step.login
        if isinstance(step, httpx.Request) and not isinstance(step, OneWay):
            header = step.headers["Authorization"]
            return next(login for login in reversed(self.installed) if login.header == header)
        return None

    def used(self, caller: Caller, login: Login) -> None:
        policy = caller.auth._settings.policy
        if self.clock.monotonic >= policy.stale_at(login):
            self.wrong.append(
                f"F1: {caller} uses a token {self.clock.monotonic - policy.stale_at(login)} s after its end"
            )

    def ended(self, caller: Caller) -> None:
        self.callers.remove(caller)
        outcome = caller.outcome
        if isinstance(outcome, Login):
            self.used(caller, outcome)
        if caller.login_began is not None:
            self.wrong.append(f"{caller.what} ended and its login did not")

    def heard(self, event: Event) -> None:
        caller, now = self.running, self.clock.monotonic
        if caller is None:
            return
        if isinstance(event, RefreshScheduled):
            caller.ahead = caller.has_renewed = True
            if now < self.renewal_rests_until:
                self.wrong.append("F2: a renewal ahead before its back-off was over")
            if self.current is None or now < caller.auth._settings.policy.due_at(self.current):
                self.wrong.append("F2: a renewal ahead before it is due")
        elif isinstance(event, LoginStarted):
            self.begun += 1
            caller.login_began, caller.sends = now, 0
            password, until = self.refused_until
            if password == caller.password and now < until - MOMENT:
                self.wrong.append(f"L7: a login {until - now} s too early")
        elif isinstance(event, LoginSucceeded):
            self.succeeded += 1
            self.has_logged_in(caller)
        elif isinstance(event, LoginFailed):
            self.failed += 1
            self.has_failed(caller, event)
        elif isinstance(event, TokenRejected):
            if caller.carried is not self.current:
                self.wrong.append("J1: a token is dropped that another request carried")
            self.current = None
            if event.accepted:
                return
            if now - self.rejected_at < caller.auth._settings.policy.min_interval:
                self.wrong.append("J4: two tokens that never worked were replaced within the interval")
            self.rejected_at = now

    def has_logged_in(self, caller: Caller) -> None:
        login = self.source.login
        assert login is not None
        caller.login_began, caller.ahead = None, False
        self.refused_until = ("", -inf)
        self.renewal_rests_until = -inf
        self.current = login
        self.installed.append(login)
        ends = self.server.ends[login.token.raw]
        if ends is None or not self.server.tells_time[login.token.raw]:
            return
        truly = self.clock.monotonic + (ends - self.clock.server())  # on the clock that cannot be set
        if login.expires > truly + 1 + MOMENT:
            self.wrong.append(f"T3: a token counts as good for {login.expires - truly} s more than it is")
        if self.clock.wrong_by == 0 and login.expires < login.sent_at + (ends - self.clock.server()) / 2 - MOMENT:
            self.wrong.append("T3: less than half of what is left")

    def has_failed(self, caller: Caller, event: LoginFailed) -> None:
        caller.login_began = None
        now = self.clock.monotonic
        if caller.ahead:
            caller.ahead = False
            self.renewal_rests_until = now + 2.5 - MOMENT
        if event.error == "InvalidCredentials":
            self.refused_until = (caller.password, now + 30)
        elif event.error == LoginThrottled.__name__:
            wait = 30.0 if caller.throttled_for is None else min(caller.throttled_for, 900.0)
            self.refused_until = (caller.password, now + wait)

    # --- how a step is performed

    def perform(self, caller: Caller, how: str, call: str) -> None:
        """Perform the step where a caller stands, and resume its flow with the answer."""
        step = caller.step
        if isinstance(step, AskPassword):
            try:
                secret = caller.auth._settings.credentials.password()
            except ConfigurationError as error:
                return caller.throw(error)
            caller.password = secret.reveal()
            caller.given_up = self.clock.monotonic > caller.until
            begun, now, (password, until) = self.begun, self.clock.monotonic, self.refused_until
            caller.answer(secret)
            blocked = password == caller.password and now < until + MOMENT
            if begun == self.begun and not blocked:
                self.wrong.append("L7: no login, though none with this password was refused of late")
            return None
        if isinstance(step, (Sleep, Wait)):
            if isinstance(step, Sleep) or step.flight.outcome is None:
                self.clock.advance(max(caller.until - self.clock.monotonic, 0))
            if isinstance(step, Wait):
                caller.unanswered += step.flight.outcome is Unsettled.UNANSWERED
            return caller.answer(None)
        if isinstance(step, Send):
            return caller.answer(self.sent(caller, step, how))
        if isinstance(step, OneWay):
            return self.sent_through_caller(caller, step, how)
        if isinstance(step, Read):
            return caller.answer(b"" if step.answer == 401 else step.answer.read())
        header = step.headers["Authorization"] if isinstance(step, httpx.Request) else step.login.header
        if call == "no network":
            return self.lose(caller)
        status = self.server.call(header, call)
        if isinstance(step, httpx.Request):
            return caller.answer(httpx.Response(status, request=step))
        step.login.accepted = step.login.accepted or status < 300
        return caller.answer(status if isinstance(step, Call) else (status, status == 401))

    def lose(self, caller: Caller) -> None:
        """The network fails the caller's own request."""
        if isinstance(caller.step, httpx.Request):
            caller.close(httpx.ConnectError("lost", request=caller.step))
        elif isinstance(caller.step, Call):
            caller.close()  # requests raises it outside of any flow
        else:
            caller.throw(Ended())

    def sent(self, caller: Caller, step: Send, how: str) -> Reply | Failure:
        if how == "late" or self.clock.monotonic > step.deadline:
            self.clock.advance(max(step.deadline - self.clock.monotonic, 0))
            return timed_out(step.request.url, TIMEOUT)
        if how == "no network":
            return unreachable(step.request.url, OSError(111, "refused"))
        status, body, headers = self.server.login(how, caller.password)
        caller.throttled_for = float(headers["retry-after"]) if "retry-after" in headers else None
        return Reply(status=status, headers=headers, body=body, trouble=None, late=False, last=False)

    def sent_through_caller(self, caller: Caller, step: OneWay, how: str) -> None:
        assert caller.login_began is not None
        if how == "late":
            self.clock.advance(TIMEOUT)
            return caller.close(httpx.ReadTimeout("late", request=step))
        if how == "no network":
            return caller.close(httpx.ConnectError("refused", request=step))
        status, body, headers = self.server.login(how, caller.password)
        caller.throttled_for = float(headers["retry-after"]) if "retry-after" in headers else None
        return caller.answer(httpx.Response(status, headers=headers, content=body, request=step))

    def present(self) -> list[Caller]:
        return [caller for caller in self.callers if not caller.vanished]

    def pick(self, number: int) -> Caller:
        present = self.present()
        return present[number % len(present)]

    # --- rules: what users do

    @precondition(lambda self: len(self.callers) < MOST_CALLERS)
    @rule(page=pages, replayable=st.sampled_from([True, True, True, False]))
    def a_call_begins(self, page: int, replayable: bool) -> None:
        way = (self.by_requests, self.by_httpx)[page]
        self.begin(self.auths[page], way(self.auths[page], replayable), ("requests call", "httpx call")[page])

    @precondition(lambda self: len(self.callers) < MOST_CALLERS)
    @rule(page=pages, when=moments, by=offsets, how=st.sampled_from(LOGIN_ANSWERS), call=st.sampled_from(CALL_ANSWERS))
    def a_call_is_made(self, page: int, when: str, by: float, how: str, call: str) -> None:
        """It begins at some moment, and goes on until it ends or must wait."""
        self.come_to(when, by)
        way = (self.by_requests, self.by_httpx)[page]
        caller = self.begin(self.auths[page], way(self.auths[page], True), ("requests call", "httpx call")[page])
        beside = [other for other in self.callers if other.what == "renewal" and other is not caller]
        for each in [*beside, caller]:
            while each.alive and not isinstance(each.step, Wait):
                self.perform(each, how, call)
        self.start_background()

    @precondition(lambda self: len(self.callers) < MOST_CALLERS)
    @rule(page=pages)
    def a_token_is_asked_for(self, page: int) -> None:
        self.begin(self.auths[0], self.for_a_token(self.auths[0], True), "token()")

    @rule(
        what=st.sampled_from(
            [
                *["invalidate", "a new object for requests", "a new object for httpx"],
                *["the password demo", "the password other", "no password", "no password", "a password again"],
            ]
        )
    )
    def the_user_changes(self, what: str) -> None:
        if what == "invalidate":
            self.auths[0].invalidate()
            self.refused_until, self.current = ("", -inf), None
        elif what.startswith("a new object"):
            page = what.endswith("httpx")
            self.auths[page] = self.open(("requests", "httpx")[page])
            assert self.auths[page]._source is self.source
        elif what.startswith("the password"):
            self.password = what.split()[-1]
        else:
            self.password_fails = what == "no password"

    # --- rules: what the server and time do

    @rule(
        what=st.sampled_from(
            [
                *["revokes all tokens", "refuses all tokens", "refuses all tokens", "takes tokens again"],
                *["the password demo", "the password other", "enforces exp", "ignores exp"],
            ]
        )
    )
    def the_server_changes(self, what: str) -> None:
        if what == "revokes all tokens":
            self.server.good.clear()
        elif what.startswith("the password"):
            self.server.password = what.split()[-1]
        elif what.endswith("exp"):
            self.server.enforces_exp = what.startswith("enforces")
        else:
            self.server.refuses_all = what.startswith("refuses")

    @initialize(page=pages)
    def a_first_call(self, page: int) -> None:
        self.a_call_is_made(page=page, when="now", by=0.0, how="token", call="fine")

    @rule(
        lifetime=st.sampled_from([300, 300, 60, 5, 2, 1, 0, -100, None]),
        says=st.sampled_from(["iat", "date", ""]),
        wrong_by=st.sampled_from([0.0, 0.5, -0.5, 7.0, -7.0, 3600.0, -3600.0, 1e8, -1e8]),
    )
    def tokens_and_clocks_change(self, lifetime: float | None, says: str, wrong_by: float) -> None:
        self.server.lifetime = lifetime
        self.server.says_iat, self.server.says_date = says == "iat", says == "date"
        self.clock.wrong_by = wrong_by

    @rule(when=moments, by=offsets)
    def a_moment_comes(self, when: str, by: float) -> None:
        self.come_to(when, by)

    def come_to(self, when: str, by: float) -> None:
        """Let time pass until something is due or over, or just before, or just after."""
        now, policy = self.clock.monotonic, self.auths[0]._settings.policy
        logins = [caller.login_began + TIMEOUT for caller in self.callers if caller.login_began is not None]
        found = {
            "due": [policy.due_at(self.current)] if self.current else [],
            "stale": [policy.stale_at(self.current)] if self.current else [],
            "over": [self.current.expires] if self.current else [],
            "no more refused": [self.refused_until[1]],
            "rested": [self.renewal_rests_until],
            "waited": [caller.until for caller in self.callers],
            "late": logins,
            "given up": [deadline + GRACE for deadline in logins],
            "half a minute later": [now + 25],
            "much later": [now + 1000],
            "a little later": [now + 1],
            "seconds later": [now + 4],
        }.get(when, [])
        ahead = [moment + by for moment in found if now < moment + by < inf]
        if ahead:
            self.clock.advance(min(ahead) - now)

    # --- rules: how callers go on

    @precondition(lambda self: self.present())
    @rule(
        number=st.integers(0, MOST_CALLERS),
        how=st.sampled_from(LOGIN_ANSWERS),
        call=st.sampled_from(CALL_ANSWERS),
        after=st.sampled_from([0.0, 0.0, 0.1, 0.1, 3.0, 11.0]),
    )
    def a_caller_goes_on(self, number: int, how: str, call: str, after: float) -> None:
        self.clock.advance(after)
        self.perform(self.pick(number), how, call)
        self.start_background()

    @precondition(lambda self: any(caller.is_sending for caller in self.present()))
    @rule(how=st.sampled_from(LOGIN_ANSWERS), after=st.sampled_from([0.0, 0.1, 3.0]))
    def a_login_is_answered(self, how: str, after: float) -> None:
        self.clock.advance(after)
        self.perform(next(caller for caller in self.present() if caller.is_sending), how, "fine")
        self.start_background()

    @precondition(lambda self: self.pausing())
    @rule(number=st.integers(0, MOST_CALLERS), seconds=st.sampled_from([1.0, 9.0, 12.0, 400.0]))
    def somebody_wakes_up_late(self, number: int, seconds: float) -> None:
        """From a pause, or from waiting for another's login: the machine was busy, or slept."""
        pausing = self.pausing()
        self.clock.advance(seconds)
        self.perform(pausing[number % len(pausing)], "token", "fine")
        self.start_background()

    def pausing(self) -> list[Caller]:
        """Return who sleeps, or else who waits."""
        sleeping = [caller for caller in self.present() if isinstance(caller.step, Sleep)]
        return sleeping or [caller for caller in self.present() if isinstance(caller.step, Wait)]

    @precondition(lambda self: self.present())
    @rule(
        number=st.integers(0, MOST_CALLERS),
        how=st.sampled_from(["cancelled", "interrupt", "error", "client's error", "hook"]),
    )
    def a_caller_is_ended(self, number: int, how: str) -> None:
        caller = self.pick(number)
        if how == "interrupt":
            caller.throw(KeyboardInterrupt())
        elif how == "error":
            caller.throw(Ended())
        elif how == "client's error":
            caller.close(Ended())
        elif how == "hook" and isinstance(caller.step, httpx.Request):
            response = httpx.Response(401, request=caller.step)
            caller.close(httpx.HTTPStatusError("401", request=caller.step, response=response))
        else:
            caller.close()
        self.start_background()

    @precondition(lambda self: self.present())
    @rule(number=st.integers(0, MOST_CALLERS))
    def a_caller_vanishes(self, number: int) -> None:
        """Its flow is kept by somebody, and never resumed; or later."""
        self.pick(number).vanished = True

    @precondition(lambda self: any(caller.vanished for caller in self.callers))
    @rule()
    def one_that_had_vanished_comes_back(self) -> None:
        next(caller for caller in self.callers if caller.vanished).vanished = False

    @precondition(lambda self: self.present())
    @rule(how=st.sampled_from(LOGIN_ANSWERS))
    def everybody_goes_on(self, how: str) -> None:
        """Each in turn, until all have an answer: nobody ever hangs (S2, S3)."""
        self.drain(how)
        assert not self.present()

    def drain(self, how: str) -> None:
        for _ in range(200):
            moved = False
            for caller in self.present():
                waits = isinstance(caller.step, Wait) and caller.step.flight.outcome is None
                if caller in self.callers and not (waits and self.clock.monotonic < caller.until):
                    if not isinstance(caller.step, (Sleep, Wait)):
                        self.clock.advance(0.01)
                    self.perform(caller, how, "fine")
                    moved = True
                self.start_background()
                self.all_holds()
            if not self.present():
                return
            if not moved:
                soonest = min(caller.until for caller in self.present())
                self.clock.advance(soonest - self.clock.monotonic)

    # --- what must hold

    @invariant()
    def all_holds(self) -> None:
        self.nothing_was_wrong()
        self.one_login_at_a_time()
        self.each_login_has_one_end()
        self.nothing_is_left_behind()

    def nothing_was_wrong(self) -> None:
        assert not self.wrong, self.wrong

    def one_login_at_a_time(self) -> None:
        """S1: but for a login that is past its deadline, and was given up for lost."""
        now = self.clock.monotonic
        under_way = [
            caller
            for caller in self.callers
            if caller.login_began is not None and now < caller.login_began + TIMEOUT and not caller.given_up
        ]
        assert len(under_way) <= 1, under_way

    def each_login_has_one_end(self) -> None:
        under_way = sum(caller.login_began is not None for caller in self.callers)
        assert self.begun - self.succeeded - self.failed == under_way

    def nothing_is_left_behind(self) -> None:
        if not self.callers:
            assert self.source._flight is None

    def teardown(self) -> None:
        """In the end everybody is answered, and with a server that is well a call is."""
        self.drain("token")
        assert not self.present()
        for caller in list(self.callers):
            caller.close()
        self.all_holds()
        self.password = self.server.password
        self.password_fails = False
        self.server.lifetime, self.server.says_iat, self.server.refuses_all = 300, True, False
        self.server.good.clear()
        self.the_user_changes("invalidate")
        self.clock.advance(10)
        for page, way in enumerate((self.by_requests, self.by_httpx)):
            caller = self.begin(self.auths[page], way(self.auths[page], True), "the last call")
            self.drain("token")
            assert caller.outcome in (200, "answered")
        self.all_holds()


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(25, 40, id="few"),
        pytest.param(1000, 60, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_an_account_holds_whatever_happens_in_whatever_order(examples: int, steps: int) -> None:
    """S1 to S3, L6, L7, J1, J4, T3, F1, F2."""
    run_state_machine_as_test(
        AccountMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
