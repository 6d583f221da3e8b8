"""Addresses, sign-in, retries and errors: what the transports of both products share."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import orjson
from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

from hybrid_search.engines.cluster.dialect import ProductName
from hybrid_search.engines.cluster.problems import problem
from hybrid_search.engines.cluster.transport import Reply, ServerError
from hybrid_search.errors import EngineUnavailable, SettingsError
from hybrid_search.telemetry.traces import span
from hybrid_search.waiting import left, waited

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds: the upper bound of the jittered pause before the first retry, which doubles, and its largest value."""
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_DEFAULT_PORTS = {"http": 9200, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """One node."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Access:
    """How a server is reached: the ``server_…`` settings. ``user`` and ``password`` may stand in the address as well.

    ``url_key`` and ``sign_in_keys`` are what errors call them, where they were not given as settings.
    """

    product: ProductName
    addresses: tuple[Address, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    sigv4_region: str = ""
    ca: Path | None = None
    verify: bool = True
    timeout: float = 30.0
    pool: int = 16
    compress: bool = False
    url_key: str = ""
    sign_in_keys: str = "server_user and server_password, server_api_key or server_sigv4_region"

    @property
    def url(self) -> str:
        return ",".join(address.url for address in self.addresses)


def access(product: ProductName, urls: str, *, user: str = "", password: str = "", url_key: str = "", **options: Any) -> Access:
    """Read comma-separated addresses; ``options`` are the other fields of ``Access``.

    Raises ``SettingsError`` for what is no address, a certificate file that is not there, and signing where the product takes none.
    """
    key = url_key or f"{product}_url"
    addresses: list[Address] = []
    for url in (part.strip() for part in urls.split(",") if part.strip()):
        try:
            split = urlsplit(url)
            port = split.port
        except ValueError:
            split, port = urlsplit(""), None
        if split.scheme not in _DEFAULT_PORTS or not split.hostname:
            shown = url.rsplit("@", 1)[-1]  # never a password
            raise SettingsError(
                f"{shown!r} is no address of a server.", field=key, value=shown, remedy="Write it as in https://search.example:9200."
            )
        addresses.append(Address(split.scheme, split.hostname, port or _DEFAULT_PORTS[split.scheme], split.path.rstrip("/")))
        if split.username and not user:
            user, password = unquote(split.username), unquote(split.password or "")
    if not addresses:
        raise SettingsError(f"{key} is not set.", field=key, value=urls, remedy="Give the server's address, as in http://127.0.0.1:9200.")
    if "ca" in options and options["ca"] is not None and not Path(options["ca"]).is_file():
        raise SettingsError(
            f"There is no certificate file {options['ca']}.",
            field="server_ca",
            value=str(options["ca"]),
            remedy="Give a PEM file that exists.",
        )
    if product == "elasticsearch" and options.get("sigv4_region"):
        raise SettingsError(
            "Requests to Elasticsearch cannot be signed for AWS.",
            field="server_sigv4_region",
            value=options["sigv4_region"],
            remedy="Leave it empty and set server_user or server_api_key, or use engine = opensearch.",
        )
    return Access(product, tuple(addresses), user, password, url_key=key, **options)


Trouble = Literal["refused", "timeout", "certificate", "not_tls", "tls"]


class Unreached(Exception):
    """A request got no answer. ``not_tls``: https was spoken to a server without it; ``tls``: the other way round, perhaps."""

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble


def trouble_of(text: str) -> Trouble:
    """What a client library's text of a failed connection points to."""
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text or "certificate verify failed" in text:
        return "certificate"
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text or "UNEXPECTED_EOF" in text:
        return "not_tls"
    if "BadStatusLine" in text or "RemoteDisconnected" in text or "Connection reset" in text or "Connection aborted" in text:
        return "tls"
    return "refused"


class _TryAgain(Exception):
    """Carries what to give or raise when there is no time for another try."""

    def __init__(self, outcome: Reply | Unreached) -> None:
        super().__init__()
        self.outcome = outcome


class RetryingTransport(ABC):
    """``Transport`` over one product's client, which sends a request once and gives whatever status came back."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.url = access.url

    @abstractmethod
    def _once(self, method: str, path: str, body: bytes | None, params: Mapping[str, str], timeout: float) -> Reply:
        """Raises ``Unreached``."""

    @abstractmethod
    def close(self) -> None: ...

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
        ignore: tuple[int, ...] = (),
    ) -> Reply:
        """``Transport.request``."""
        sent = body if body is None or isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        patience = self.access.timeout if timeout is None else timeout
        allowed = left()
        if allowed is not None:
            patience = min(patience, allowed)
            if not allowed:
                raise self._unreachable(Unreached("timeout", "what asks for this had waited for as long as it may"))
        started = time.monotonic()
        until = started + patience
        retrying = Retrying(
            stop=stop_before_delay(patience),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            retry=retry_if_exception_type(_TryAgain),
            reraise=True,
        )

        def attempt() -> Reply:
            try:
                with span(f"{self.access.product} {method} {_operation(path)}"):
                    reply = self._once(method, path, sent, params or {}, max(until - time.monotonic(), 0.001))
            except Unreached as unreached:
                if unreached.trouble in ("certificate", "not_tls"):
                    raise
                raise _TryAgain(unreached) from None
            if reply.status in _TRY_AGAIN and reply.status not in ignore and not _stays(reply):
                raise _TryAgain(reply)
            return reply

        try:
            reply = retrying(attempt)
        except Unreached as unreached:
            raise self._unreachable(unreached) from None
        except _TryAgain as given_up:
            if isinstance(given_up.outcome, Unreached):
                raise self._unreachable(given_up.outcome) from None
            reply = given_up.outcome
        finally:
            waited(time.monotonic() - started)
        if not reply.ok and reply.status not in ignore:
            raise self._refused(reply, f"{method} {path}")
        return reply

    def _unreachable(self, unreached: Unreached) -> EngineUnavailable:
        key = self.access.url_key
        other = "http" if self.access.addresses[0].scheme == "https" else "https"
        remedies: Mapping[Trouble, tuple[str, str]] = {
            "refused": ("does not answer", f"Start it, or correct {key}."),
            "timeout": ("did not answer in time", "See whether it is overloaded, or raise server_timeout."),
            "certificate": ("shows a certificate that is not valid here", "Set server_ca to the file of its certificate authority."),
            "not_tls": ("does not speak https", f"Write {key} with {other}://."),
            "tls": (
                "closed the connection without an answer",
                f"If it speaks {other}, write {key} with {other}://; otherwise look at its log.",
            ),
        }
        what, remedy = remedies[unreached.trouble]
        return EngineUnavailable(f"The search server at {self.url} {what}: {_short(unreached)}.", field=key, value=self.url, remedy=remedy)

    def _refused(self, reply: Reply, asked: str) -> EngineUnavailable | ServerError:
        found = problem(reply.body)
        if reply.status == 401:
            return EngineUnavailable(
                f"The search server at {self.url} refuses the sign-in (401): {found.sentence}.",
                field="server_user",
                remedy=f"Check {self.access.sign_in_keys}.",
            )
        if reply.status == 403 and found.type in ("", "security_exception"):
            return EngineUnavailable(
                f"The search server at {self.url} does not permit {asked} (403): {found.sentence}.",
                field="server_user",
                remedy="Give this user the rights listed in docs/server-engines.md.",
            )
        if reply.status in _TRY_AGAIN:
            what = "is overloaded" if reply.status == 429 and not _stays(reply) else "cannot do it now"
            return EngineUnavailable(
                f"The search server at {self.url} {what} ({reply.status}, {asked}): {found.sentence}.",
                remedy=found.remedy or "Try again later; if it lasts, give it more memory or nodes.",
            )
        return ServerError(
            f"The search server refused {asked} ({reply.status}): {found.sentence}.",
            status=reply.status,
            reason=found.type,
            remedy=found.remedy,
        )


def quiet(*loggers: str) -> None:
    """Client libraries log each refusal with a traceback; ours are errors that say so once. A level that somebody set is kept."""
    for name in loggers:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.ERROR)


def _operation(path: str) -> str:
    """``_search`` of ``/shop-products/_search``: what a path asks for, without names and ids."""
    return next((part.partition("?")[0] for part in path.split("/") if part.startswith("_")), "index")


def _stays(reply: Reply) -> bool:
    """A block (as of a full disk) is answered with 429 too, and is no matter of waiting."""
    return problem(reply.body).type == "cluster_block_exception" and reply.status == 429


def _short(unreached: Unreached) -> str:
    return " ".join(str(unreached).split())[:300].rstrip(".")
