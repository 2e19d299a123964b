"""The lives of the made-up company's users: who signs up when, and who tests how often with what luck."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from pipelines.demo.calendar import DAY, HOUR, MINUTE, SECOND, Company
from pipelines.demo.camera import error_code
from pipelines.demo.events import Delivery, Event

LONGEST_LIFE = 365
FIRST_USER_ID = 1_001
EVENTS_A_USER = 10_000
FIRST_APP_OPENED = 5_000

MOST_TRIES = 5
OFFSETS = (0, 60, 120, -300)
SIGN_UP_RHYTHM = (1.15, 1.10, 1.05, 1.00, 0.95, 0.80, 0.95)
TEST_RHYTHM = (1.08, 1.05, 1.03, 1.02, 0.98, 0.90, 0.94)


@dataclass(frozen=True)
class Habit:
    """How likely somebody tests on a day: at first, and after how many days it has fallen to 37 %."""

    share: float
    at_first: float
    fades_after: float


NEVER = Habit(0.17, 0.0, 1.0)
HABITS = (NEVER, Habit(0.30, 0.40, 2.0), Habit(0.25, 0.70, 22.0), Habit(0.28, 0.75, 95.0))


def sign_ups(day: int) -> int:
    """So many users sign up on a day: ever more, up to a limit, with a weekly rhythm."""
    chance = Random(f"sign-ups {day}")
    level = (12.6 + 5.0 * (1 - math.exp(-day / 150))) * SIGN_UP_RHYTHM[day % 7]
    return max(0, round(chance.gauss(level, level**0.5)))


def deliveries(company: Company) -> Iterator[Delivery]:
    """Yield what the phones of all users sent: accounts, tests and app openings, each with its fate.

    Of users from before the first day that is written in full, their accounts and first tests are
    carried over, so that totals to date do not depend on where the files begin.
    """
    user_id = FIRST_USER_ID
    for day in range(company.last_day + 1):
        for _ in range(sign_ups(day)):
            yield from _life(company, user_id, day)
            user_id += 1


def _life(company: Company, user_id: int, day: int) -> Iterator[Delivery]:
    chance = Random(f"user {user_id}")
    offset = chance.choices(OFFSETS, (4, 5, 3, 2))[0]
    signed_up = company.start_of(day) + int(chance.triangular(3, 24, 11) * HOUR) - 1
    habit = chance.choices(HABITS, [each.share for each in HABITS])[0]
    has_account = habit is NEVER or chance.random() > 0.012
    is_struggling = chance.random() < 0.03
    ability = 0.12 if is_struggling else min(max(chance.gauss(0.74, 0.1), 0.4), 0.97)
    if has_account:
        account = Event(user_id * EVENTS_A_USER, "account_created", user_id, signed_up, 0, offset)
        yield from _delivered(company, chance, [account], 0)
    if habit is NEVER:
        return
    first_day = day + min(int(chance.expovariate(0.9)), 20)
    life = _Life(chance, company, user_id, offset, ability, is_struggling)
    is_first = True
    for today in range(first_day, min(first_day + LONGEST_LIFE, company.last_day + 1)):
        age = today - first_day
        likely = habit.at_first * math.exp(-age / habit.fades_after) * TEST_RHYTHM[today % 7]
        if age and chance.random() >= likely:
            continue
        # On the first day nobody tests before having signed up.
        earliest = signed_up + MINUTE if today == day else 0
        for session in life.sessions(today, earliest):
            delay = chance.randrange(1, 6) * DAY if chance.random() < 0.02 else 0
            sent = list(_delivered(company, chance, session, delay))
            is_old = session[-1].occurred < company.start_of(company.first_day)
            if not is_old:
                yield from sent
            elif is_first:
                yield next(line for line in sent if line.fate == "counted")
            is_first = False
        if first_day + LONGEST_LIFE < company.first_day:
            # Nothing but the first test of so long ago is told.
            return


@dataclass
class _Life:
    chance: Random
    company: Company
    user_id: int
    offset: int
    ability: float
    is_struggling: bool
    tests: int = 0
    opened: int = 0

    def sessions(self, day: int, earliest: int) -> Iterator[list[Event]]:
        """Yield the sessions of one day, each a list of events in the order in which they happened."""
        chance = self.chance
        starts = [self._start(day) for _ in range(1 if chance.random() < 0.86 else 2)]
        for start in sorted(starts):
            yield self._session(day, max(start, earliest))

    def _start(self, day: int) -> int:
        early = self.chance.random() < 0.65
        hours = self.chance.triangular(4, 11, 7) if early else self.chance.triangular(16, 24, 21.5)
        return self.company.start_of(day) + int(hours * HOUR) - 1

    def _session(self, day: int, start: int) -> list[Event]:
        chance, user_id, offset = self.chance, self.user_id, self.offset
        self.opened += 1
        session_id = f"{user_id}-{self.opened}"
        events = []
        if chance.random() < 0.3:
            event_id = user_id * EVENTS_A_USER + FIRST_APP_OPENED + self.opened
            events.append(Event(event_id, "app_opened", user_id, start - 20 * SECOND, 0, offset))
        for attempt in range(MOST_TRIES):
            # Who tries again knows better how to hold the camera.
            code = error_code(chance, day, min(self.ability + 0.07 * attempt, 0.98))
            self.tests += 1
            metadata = {"session_id": session_id, "status": "error" if code else "success"}
            if code:
                metadata["error_code"] = code
            event_id = user_id * EVENTS_A_USER + self.tests
            events.append(Event(event_id, "test_completed", user_id, start, 0, offset, metadata))
            gives_up = not self.is_struggling and chance.random() < 0.22
            if gives_up if code else chance.random() < 0.9:
                break
            start += int(chance.uniform(40, 240) * SECOND)
        return events


def _delivered(company: Company, chance: Random, events: list[Event], delay: int) -> Iterator[Delivery]:
    """Send events after a delay in ms; now and then one is sent twice. What lies ahead is not there yet.

    What is still on its way when the company is looked at comes in at that moment: so nothing that
    happened is missing, on whatever day one looks.
    """
    for event in events:
        received = event.occurred + delay + int(chance.expovariate(1 / 4) * SECOND) + 300
        is_sent_twice, copy_delay = chance.random() < 0.004, chance.expovariate(1 / 6) * HOUR
        if event.occurred >= company.now:
            continue
        has_role = event.event_key != "app_opened"
        # An event from before the first day that is written in full brings no copy: one line each is carried over.
        is_old = event.occurred < company.start_of(company.first_day)
        first = event._replace(received=min(received, company.now))
        yield Delivery(first.received, "counted" if has_role else "no_role", first)
        if is_sent_twice and not is_old:
            again = event._replace(received=min(received + int(copy_delay), company.now))
            yield Delivery(again.received, "duplicate", again)
