"""One client, with patience: passing trouble is waited out, within bounds; lasting trouble is put into words."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from elastic_transport import ConnectionTimeout, ObjectApiResponse, TransportError
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError

from py_image_dedup.store.base import StoreError, StoreUnavailable
from py_image_dedup.store.elastic.explain import explain, is_passing
from py_image_dedup.store.elastic.options import ElasticOptions

T = TypeVar("T")
TROUBLE = (ApiError, TransportError, UnsupportedProductError)

# What the client tells its log about a node that is away, this program tells in its own words. Who wants to read it all
# the same gives that logger a handler.
logging.getLogger("elastic_transport").addHandler(logging.NullHandler())

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_OPENING_PATIENCE = 5.0


class Patience:
    """How long trouble has lasted, and how long to wait before the next attempt.

    Pauses double up to ten seconds; a random half of each keeps several programs from coming back at the same moment.

    Args:
        seconds: Before it ends.
        timeouts: How many requests without an answer may each be sent again although their time is longer than that.
    """

    def __init__(self, seconds: float, timeouts: int = 0) -> None:
        self._deadline = time.monotonic() + seconds
        self._timeouts = timeouts
        self._pause = _FIRST_PAUSE

    def wait(self, trouble: Exception) -> bool:
        """Wait a little. Returns ``False``, at once, when patience is at its end.

        Args:
            trouble: What there is to be patient with.
        """
        left = self._deadline - time.monotonic()
        if left <= 0 and self._timeouts and isinstance(trouble, ConnectionTimeout):
            # A timeout has cost all the time there was; one more attempt tells a hiccup from a server that hangs.
            self._timeouts -= 1
            left = _FIRST_PAUSE
        if left <= 0:
            return False
        pause = min(self._pause, left)
        time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter, no secret
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True


class Connection:
    """The client of one store.

    Thread-safety: any number of threads may call at once.
    """

    def __init__(self, options: ElasticOptions) -> None:
        self.options = options
        self._patience = min(options.patience_seconds, _OPENING_PATIENCE)
        self._timeouts = 0
        secure: dict[str, Any] = {}
        if options.scheme == "https" and options.ca_certificate is not None:
            if not options.ca_certificate.is_file():
                raise StoreError(f"elasticsearch.ca_certificate: there is no file {options.ca_certificate}")
            secure["ca_certs"] = str(options.ca_certificate)
        if options.api_key:
            secure["api_key"] = options.api_key
        elif options.username:
            secure["basic_auth"] = (options.username, options.password or "")
        try:
            self.client = Elasticsearch(
                list(options.urls),
                request_timeout=options.request_seconds,
                max_retries=0,  # retried here: with jitter, within bounds, and also what a bulk rejects in part
                retry_on_timeout=False,
                **secure,
            )
        except (ValueError, OSError) as error:
            raise StoreError(f"cannot use {options.place}: {error}") from error

    def opened(self) -> None:
        """Be patient from now on: the server has answered before, so it will come back."""
        self._patience = self.options.patience_seconds
        self._timeouts = 1

    def patience(self) -> Patience:
        """Patience for one request."""
        return Patience(self._patience, self._timeouts)

    def call(self, doing: str, request: Callable[[Elasticsearch], T]) -> T:
        """Send a request; again, while the server is busy or away.

        Args:
            doing: What it is for, for the message: "search", "write to".
            request: Sends it; must be one that may be sent twice.

        Raises:
            StoreUnavailable: The server stayed busy or away.
            StoreError: It refuses.
        """
        patience = self.patience()
        while True:
            try:
                return request(self.client)
            except TROUBLE as error:
                if is_passing(error) and patience.wait(error):
                    continue
                raise explain(error, self.options, doing) from error

    def close(self) -> None:
        """Give the sockets back."""
        self.client.close()


def whole(answer: ObjectApiResponse[Any] | Mapping[str, Any], options: ElasticOptions) -> None:
    """Refuse an answer that is not from every shard: a part of the truth is not the truth.

    Raises:
        StoreUnavailable: Some shards did not answer.
    """
    shards = answer.get("_shards") or {}
    if answer.get("timed_out") or shards.get("failed"):
        raise StoreUnavailable(
            f"{options.place} answered in part only ({shards.get('failed', 0)} of {shards.get('total', '?')} shards "
            "failed); run again when the cluster is whole"
        )
