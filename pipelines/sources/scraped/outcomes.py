"""The four states of an observation, and the reasons for every one that holds no value.

Reasons are texts of ours. Nothing that a page says ever becomes part of one.
"""

from typing import Literal

State = Literal["ok", "broken", "blocked", "suspect"]

REASONS: dict[str, tuple[State, str]] = {
    # The page or the figure is not there, or not as declared.
    "unreachable": ("broken", "the host could not be reached"),
    "timeout": ("broken", "the answer took too long"),
    "not_found": ("broken", "the page is gone"),
    "client_error": ("broken", "the server does not understand the request (4xx)"),
    "bad_status": ("broken", "the server answered with an error"),
    "too_large": ("broken", "the answer is larger than 10 MiB"),
    "bad_encoding": ("broken", "the answer is packed in a way that was not asked for, or damaged"),
    "bad_redirect": ("broken", "the redirects lead nowhere, to another scheme, or on and on"),
    "empty_page": ("broken", "the answer is empty"),
    "no_match": ("broken", "nothing on the page matches; a count of zero needs zero_ok = true"),
    "several_matches": ("broken", "the matches hold different figures; narrow the selector"),
    "no_number": ("broken", "what matches holds no number"),
    "several_numbers": ("broken", "what matches holds several numbers; narrow it with pattern"),
    "ambiguous_number": ("broken", "the number can be read in two ways; declare decimal = '.' or ','"),
    "bad_number": ("broken", "the number is not written in a known way"),
    "inexact_number": (
        "broken",
        "the number is abbreviated or approximate (12.3k, 500+); declare inexact = true",
    ),
    "number_out_of_range": ("broken", "the number has more than 29 digits before the decimal mark"),
    "extractor_failed": ("broken", "the extractor cannot cope with the answer"),
    "not_json": ("broken", "the answer is not JSON"),
    "not_a_feed": ("broken", "the answer is neither RSS nor Atom"),
    "feed_continues": ("broken", "the feed goes on on a further page, so its entries here are not all"),
    "login_form_missing": ("broken", "the login page has no form with a password field, or several"),
    "login_form_unsupported": ("broken", "the login form cannot be sent (its fields, method or encoding)"),
    # The server does not want us to read it.
    "unauthorized": ("blocked", "the server refuses access"),
    "rate_limited": ("blocked", "the server asks for fewer requests"),
    "robots_disallowed": ("blocked", "the host's robots.txt disallows the page"),
    "robots_unavailable": ("blocked", "the host's robots.txt could not be read, so nothing is fetched"),
    "login_required": ("blocked", "the page asks for a password"),
    "login_failed": ("blocked", "the login was not accepted"),
    "login_elsewhere": ("blocked", "the login form sends its fields to another host or unencrypted"),
    # A number was read, and it cannot be right.
    "below_minimum": ("suspect", "the figure is below min"),
    "above_maximum": ("suspect", "the figure is above max"),
    "fell": ("suspect", "the figure fell though never_falls is declared"),
}


class NoValueError(Exception):
    """There is no value to store; `code` is one of REASONS."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    @property
    def state(self) -> State:
        """The state of the observation."""
        return REASONS[self.code][0]

    @property
    def reason(self) -> str:
        """The code and what it means, as stored."""
        return described(self.code)


def described(code: str) -> str:
    """Give a reason as it is stored: its code and what it means."""
    return f"{code}: {REASONS[code][1]}"
