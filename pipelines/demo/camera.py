"""How tests go wrong: the camera's own troubles by day, and everything else."""

from random import Random

# The camera model ages as new phones come out, until a release teaches it about them.
RELEASE_EVERY, FIRST_RELEASE = 120, 78
# A code that nobody has planned for, on four days of every window but of none before.
UNKNOWN_CODE = "light_too_dim"
UNKNOWN_EVERY, UNKNOWN_FIRST, UNKNOWN_DAYS = 120, 134, 4

OTHER_CODES = (
    ("camera_too_close", 0.26),
    ("analysis_error", 0.14),
    ("test_lines_not_found", 0.30),
    ("test_not_found", 0.22),
    ("no_period_history", 0.08),
)


def too_far(day: int) -> float:
    """How likely a test fails because the camera is held too far away: 0.05 after a release, then up to 0.17."""
    since_release = (day - FIRST_RELEASE) % RELEASE_EVERY
    return 0.05 + 0.12 * since_release / RELEASE_EVERY


def error_code(chance: Random, day: int, ability: float) -> str | None:
    """Let one test happen: None for a success, else the code of what went wrong."""
    if chance.random() < too_far(day):
        return "camera_too_far"
    if chance.random() < ability:
        return None
    drawn = chance.random()
    if day >= UNKNOWN_FIRST and (day - UNKNOWN_FIRST) % UNKNOWN_EVERY < UNKNOWN_DAYS and drawn < 0.06:
        return UNKNOWN_CODE
    for code, share in OTHER_CODES:
        drawn -= share
        if drawn < 0:
            return code
    return OTHER_CODES[-1][0]
