"""The dead man's switch: a service that raises its own alarm when the pings of the scheduled runs stay away."""

from __future__ import annotations

import logging
import urllib.request
from http.client import HTTPException
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Beat = Literal["start", "success", "fail"]
# Appended to the URL's path, as Healthchecks and its like take them.
PATHS: dict[Beat, str] = {"start": "/start", "success": "", "fail": "/fail"}
SECONDS = 5

log = logging.getLogger("bathtub")


def ping(url: str, beat: Beat) -> bool:
    """Tell the switch that a scheduled run starts, has succeeded or has failed; without a URL nothing is sent.

    A switch that cannot be reached stops nothing: it raises its alarm by itself. Returns whether it answered.
    """
    if not url:
        return False
    try:
        parts = urlsplit(url)
        asked = urlunsplit(parts._replace(path=parts.path.rstrip("/") + PATHS[beat]))
        with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
            return bool(200 <= answer.status < 300)
    except (OSError, ValueError, HTTPException) as error:
        # The URL is a secret, and the message of an error may hold it.
        log.warning("The dead man's switch (BATHTUB_HEARTBEAT_URL) did not answer: %s.", type(error).__name__)
        return False
