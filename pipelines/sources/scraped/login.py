"""Signing in by a page's own form: its hidden fields and cookies kept, credentials from secrets."""

from urllib.parse import urlsplit

from dlt.sources.helpers.requests import Session
from form2request import form2request
from parsel import Selector

from pipelines.errors import SettingError
from pipelines.sources.scraped.client import Answer, PoliteClient
from pipelines.sources.scraped.outcomes import NoValueError
from pipelines.sources.scraped.targets import Login
from pipelines.warehouse import secret

_SECRET_FIELD = 'input[type="password" i]'  # noqa: S105 - a selector
_NAME_FIELD = 'input[type="text" i], input[type="email" i], input[type="tel" i], input:not([type])'


class Logins:
    """The sessions of one run: each login is done once, and once refused it is not tried again."""

    def __init__(self, client: PoliteClient) -> None:
        self._client = client
        self._sessions: dict[str, Session] = {}
        self._refused: dict[str, NoValueError] = {}

    def session(self, login: Login) -> Session:
        """Give the signed-in session of a login.

        Raises NoValueError where signing in fails and SettingError where credentials are missing.
        """
        if login.name in self._refused:
            raise NoValueError(self._refused[login.name].code)
        if login.name not in self._sessions:
            try:
                self._sessions[login.name] = self._sign_in(login)
            except NoValueError as error:
                self._refused[login.name] = error
                raise
        return self._sessions[login.name]

    def _sign_in(self, login: Login) -> Session:
        username, password = _credential(login, "username"), _credential(login, "password")
        session = self._client.session()
        page = self._client.fetch(session, login.url, stay_on_host=True).page
        form = _form(page.document, login)
        fields = {_username_field(form, login): username, _password_field(form, login): password}
        try:
            request = form2request(form, fields)
        except (ValueError, NotImplementedError) as error:
            raise NoValueError("login_form_unsupported") from error
        if request.method != "POST":
            # A password in an address ends up in logs on the way.
            raise NoValueError("login_form_unsupported")
        if _host(request.url) != _host(page.url):
            raise NoValueError("login_elsewhere")
        answer = self._send(session, request.url, dict(request.headers), request.body, page.url)
        if answer.page.asks_for_password:
            raise NoValueError("login_failed")
        return session

    def _send(self, session: Session, url: str, headers: dict[str, str], body: bytes, referer: str) -> Answer:
        try:
            return self._client.fetch(
                session, url, headers | {"Referer": referer}, method="POST", body=body, stay_on_host=True
            )
        except NoValueError as error:
            # A form with a token that is refused answers with any of these.
            if error.code in {"unauthorized", "client_error"}:
                raise NoValueError("login_failed") from error
            raise


def _credential(login: Login, name: str) -> str:
    value = secret(f"sources.scraped.logins.{login.name}.{name}")
    if value is None:
        raise SettingError(
            f"The {name} of login {login.name} is not set.",
            f"Set SOURCES__SCRAPED__LOGINS__{login.name.upper()}__{name.upper()}, or {name} under "
            f"[sources.scraped.logins.{login.name}] in .dlt/secrets.toml.",
        )
    return value


def _form(document: Selector, login: Login) -> Selector:
    forms = [form for form in document.css(login.form or "form") if form.css(_SECRET_FIELD)]
    if len(forms) != 1:
        raise NoValueError("login_form_missing")
    return forms[0]


def _password_field(form: Selector, login: Login) -> str:
    name = login.password_field or form.css(_SECRET_FIELD)[0].attrib.get("name")
    if not name:
        raise NoValueError("login_form_unsupported")
    return name


def _username_field(form: Selector, login: Login) -> str:
    names = [field.attrib.get("name") for field in form.css(_NAME_FIELD) if field.attrib.get("name")]
    name = login.username_field or (names[0] if names else None)
    if not name:
        raise NoValueError("login_form_unsupported")
    return name


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
