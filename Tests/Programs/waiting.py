"""Waiting for a state: by looking again until a deadline, never by a fixed time."""

import time

POLL_SECONDS = 0.01


def eventually(condition, seconds=10.0, what="the condition"):
    """Returns the first true value of condition(); fails when there is none within the seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s; last: {value!r}")
        time.sleep(POLL_SECONDS)
