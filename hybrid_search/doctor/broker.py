"""Checks of the broker: reachable, keeps what it is given, evicts nothing, has the right time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import redis

from hybrid_search.doctor.finding import Finding, clock, is_loopback
from hybrid_search.settings import Settings

OLDEST = (6, 2)
_SECONDS = 5.0


def check_redis(settings: Settings) -> Iterator[Finding]:
    """The server that ``redis_url`` names."""
    url = settings.redis_url
    if not url:
        yield Finding(
            "redis.reachable",
            "warn",
            "redis_url is empty: no worker can run.",
            "Set REDIS_URL, as in redis://127.0.0.1:6379/0; only `hybrid-search demo` brings its own.",
        )
        return
    if url.startswith("sentinel://"):
        yield Finding(
            "redis.reachable",
            "warn",
            "Sentinels are not asked by this command.",
            "Check the server behind them with its own address in REDIS_URL.",
        )
        return
    client = _client(url)
    try:
        yield from _checks(client, url)
    except redis.AuthenticationError as err:
        yield Finding(
            "redis.reachable",
            "fail",
            f"Redis refuses the sign-in: {err}.",
            "Put user and password into redis_url: redis://user:password@host:6379/0.",
        )
    except (redis.RedisError, OSError) as err:
        yield Finding("redis.reachable", "fail", f"Redis cannot be reached at {_shown(url)}: {err}.", "Start it, or correct redis_url.")
    finally:
        client.close()


def _checks(client: redis.Redis, url: str) -> Iterator[Finding]:
    before = time.time()
    seconds, micros = client.time()
    after = time.time()
    told = client.info("server")
    version = str(told.get("redis_version", "0"))
    yield Finding("redis.reachable", "ok", f"Redis {version} answers at {_shown(url)}.")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        yield Finding("redis.version", "fail", f"Redis {version} is too old.", "Use 6.2 or newer, or Valkey.")
    yield clock("redis.clock", "Redis", seconds + micros / 1e6 - (before + after) / 2)
    parts = urlsplit(url)
    if parts.scheme == "redis" and parts.hostname and not is_loopback(parts.hostname):
        yield Finding(
            "redis.tls",
            "warn",
            f"Redis at {parts.hostname} is reached without TLS.",
            "Use rediss:// and a certificate, or a private network that you trust.",
        )
    try:
        given = {key: client.config_get(key).get(key, "") for key in ("appendonly", "appendfsync", "maxmemory-policy", "maxmemory")}
    except redis.ResponseError as err:
        yield Finding(
            "redis.settings",
            "warn",
            f"Redis does not tell its settings: {err}.",
            "Check that appendonly is on and maxmemory-policy is noeviction.",
        )
        return
    if given["appendonly"] == "yes":
        yield Finding("redis.persistence", "ok", f"Writes are logged (appendfsync {given['appendfsync']}).")
    else:
        yield Finding(
            "redis.persistence",
            "warn",
            "appendonly is off: a restart empties the queue. Nothing is lost, but every chunk waits until it is sent again.",
            "CONFIG SET appendonly yes, and in redis.conf.",
        )
    policy = given["maxmemory-policy"]
    if policy == "noeviction":
        yield Finding("redis.eviction", "ok", "Nothing is evicted (noeviction).")
    else:
        yield Finding(
            "redis.eviction",
            "fail",
            f"maxmemory-policy is {policy}: Redis may throw queued work away.",
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf.",
        )


def _client(url: str) -> redis.Redis:
    if url.startswith("redis+socket://"):
        parts = urlsplit(url)
        url = f"unix://{parts.path}?db={parse_qs(parts.query).get('virtual_host', ['0'])[0]}"
    return redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, decode_responses=True)


def _shown(url: str) -> str:
    """Without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
