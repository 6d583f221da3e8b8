"""The one configuration object, read once at the edge (CLI, API factory, worker start) and passed in from there.

Values come, first wins, from arguments, from the environment (``HYBRID_SEARCH_<NAME>``; servers also from plain
``REDIS_URL``, ``OPENSEARCH_URL``, ``ELASTICSEARCH_URL``), from a
TOML file (``HYBRID_SEARCH_CONFIG``, else ``hybrid-search.toml`` in the working folder), from the defaults below. What may change
while everything runs is not here but in ``hybrid_search.control``.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from hybrid_search.errors import SettingsError

PREFIX = "HYBRID_SEARCH_"
CONFIG_VARIABLE = "HYBRID_SEARCH_CONFIG"
DEFAULT_CONFIG = Path("hybrid-search.toml")

Scope = Literal["search", "write", "admin", "metrics"]


class Settings(BaseSettings):
    """Everything that is fixed while a process lives. Every field's description is its reference documentation."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    # where things are
    home: Path = Field(
        Path("var/hybrid-search"), description="Folder of the embedded engine, fitted maps and thumbnails; created when missing."
    )
    engine: Literal["embedded", "opensearch", "elasticsearch"] = Field(
        "embedded", description="Search engine: `embedded` needs no server; the others need their `…_url`."
    )
    redis_url: str = Field(
        "",
        validation_alias=AliasChoices("redis_url", f"{PREFIX}REDIS_URL", "REDIS_URL"),
        description="Broker of the workers, as in redis://127.0.0.1:6379/0. Empty: `hybrid-search demo` starts a server of its own.",
    )

    # search server (engine = opensearch or elasticsearch)
    opensearch_url: str = Field(
        "",
        validation_alias=AliasChoices("opensearch_url", f"{PREFIX}OPENSEARCH_URL", "OPENSEARCH_URL"),
        description="Where OpenSearch is, as in https://search.example:9200; several nodes separated by commas.",
    )
    elasticsearch_url: str = Field(
        "",
        validation_alias=AliasChoices("elasticsearch_url", f"{PREFIX}ELASTICSEARCH_URL", "ELASTICSEARCH_URL"),
        description="Where Elasticsearch is, in the same form.",
    )
    index_prefix: str = Field(
        "hybrid", pattern=r"^[a-z0-9][a-z0-9_.-]{0,60}$", description="What the names of our indices and aliases on the server begin with."
    )
    attach: Path | None = Field(
        None, description="Attach file of a shop's own index: vectors are kept in place, inside its documents (docs/attach.md)."
    )
    server_user: str = Field(
        "", description="User of the search server; empty signs in with nothing, server_api_key or server_sigv4_region."
    )
    server_password: SecretStr = Field(SecretStr(""), description="Password of server_user.")
    server_api_key: SecretStr = Field(SecretStr(""), description="API key of the search server, as it gave it (base64 of id:key).")
    server_sigv4_region: str = Field(
        "", description="AWS region: requests to Amazon OpenSearch are signed with the environment's credentials."
    )
    server_ca: Path | None = Field(
        None, description="File with the certificate authority of the search server, where the system does not know it."
    )
    server_verify: bool = Field(True, description="Whether the server's certificate must be valid. Off only for trials.")
    server_timeout: float = Field(30.0, gt=0, description="Seconds one request to the search server may take, retries included.")
    server_pool: int = Field(16, ge=1, le=256, description="Connections kept open per node: at least the threads that search at once.")
    server_compress: bool = Field(False, description="Whether requests are gzipped: pays over slow networks, costs CPU on fast ones.")
    server_shards: int = Field(1, ge=1, le=1_024, description="Primary shards of a new products index.")
    server_replicas: int = Field(0, ge=0, le=20, description="Copies of each shard of a new index.")
    server_mappings: Path | None = Field(
        None, description="Folder with your own copies of mapping files; a file there stands in for ours of that name."
    )
    server_vector_codec: Literal["float", "sq", "fp16", "on_disk"] = Field(
        "float",
        description="How the server keeps the vectors it searches; what a server does not have is refused (docs/server-engines.md).",
    )
    knn_exact_up_to: int = Field(
        20_000, ge=0, description="Products up to which kNN on a server compares all vectors; beyond, its graph answers approximately."
    )

    # encoders
    text_encoder: str = Field("offline-e5", description="Text tower: `name` or `name:argument?key=value` (see docs/encoders.md).")
    image_encoder: str = Field(
        "offline-efficientnet-lab", description="Image tower, in the same form; an `open_clip:` model gives both towers one space."
    )
    vector_dtype: Literal["float16", "float32"] = Field(
        "float16", description="Precision of the searchable vectors; float16 halves memory at recall ≥ .999."
    )
    align_pairs: int = Field(50, ge=10, description="Products with words and a picture needed before the picture map is fitted by itself.")

    # embedding work
    chunk_size: int = Field(64, ge=1, le=1_000, description="Products per Celery task.")
    max_open_chunks: int = Field(1_000, ge=1, description="Chunks queued or running at once, at most; the rest waits in the index.")
    write_every: int = Field(8, ge=1, description="Products between two writes of vectors: what a killed task repeats at most.")
    max_attempts: int = Field(3, ge=1, le=20, description="Tries before a product is `failed`.")
    retry_pause: float = Field(2.0, ge=0, description="Seconds before the first retry of a product; doubles with each.")
    feed_every: float = Field(1.0, gt=0, description="Seconds between two rounds of the feeder.")
    chunk_silence: float = Field(12.0, gt=1, description="Seconds without a beat after which a running chunk counts as dead.")
    queue_silence: float = Field(30.0, gt=1, description="Seconds a chunk may wait in an emptied broker before it is sent again.")
    stuck_after: float = Field(
        120.0,
        gt=1,
        description="Seconds that one step of the embedding (a few texts, a picture) may take: then its process is killed and started again.",
    )
    stop_within: float = Field(
        10.0,
        gt=0,
        description="Seconds that a worker told to stop (SIGTERM) may take to finish its running chunks: then it gives them up and ends.",
    )
    worker_processes: int = Field(0, ge=0, description="Children per worker; 0 is one per core.")

    # image intake
    image_max_bytes: int = Field(10_000_000, ge=1_000, description="Largest image file or download, in bytes.")
    image_timeout: float = Field(10.0, gt=0, description="Seconds for one download, all redirects included.")
    image_max_redirects: int = Field(3, ge=0, le=10, description="Redirects followed, each checked anew.")
    image_max_jpeg_pixels: int = Field(200_000_000, ge=1, description="Largest JPEG, in pixels; decoded at a reduced scale.")
    image_max_decoded_bytes: int = Field(100_000_000, ge=1, description="Largest other image: width × height × channels.")
    image_allow_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated own hosts that may be private addresses."
    )
    image_proxy: str = Field("", description="HTTP proxy for downloads; environment proxies are ignored.")
    image_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Comma-separated folders that image paths may lie in; a loaded catalogue's folder is added by itself."
    )

    # HTTP
    host: str = Field("127.0.0.1", description="Address to serve on; anything but loopback needs api_keys.")
    port: int = Field(8080, ge=0, le=65_535, description="Port to serve on; 0 takes a free one.")
    api_keys: dict[str, tuple[Scope, ...]] = Field(
        default_factory=dict, description='JSON map of API key to scopes, as in {"long-secret": ["search", "write"]}.'
    )
    max_body_bytes: int = Field(64_000_000, ge=1_000, description="Largest request body, in bytes.")
    max_query_chars: int = Field(256, ge=1, description="Longest query text, in characters.")
    max_window: int = Field(
        1_000, ge=10, le=10_000, description="Deepest rank that can be paged to; a cursor of 10,000 characters may end earlier."
    )
    cursor_secret: SecretStr = Field(
        SecretStr(""),
        description="Signs page cursors. Empty: a random one kept in home; set the same on every machine that serves the API.",
    )
    search_timeout: float = Field(5.0, gt=0, description="Seconds one search may take.")

    # the rest
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log line that is written.")
    log_format: Literal["console", "json"] = Field("console", description="Log lines for people, or one JSON object per line for machines.")
    metrics: bool = Field(True, description="Whether the API answers `/metrics`; with api_keys it needs the scope `metrics` or `admin`.")
    worker_metrics_port: int = Field(0, ge=0, le=65_535, description="Port of a worker's own `/metrics`, which asks for no key; 0 is none.")
    worker_metrics_host: str = Field("127.0.0.1", description="Address of a worker's own `/metrics`.")
    otel_endpoint: str = Field(
        "",
        pattern=r"^(https?://.+)?$",
        description="OTLP/HTTP collector that traces are sent to, as in http://127.0.0.1:4318; empty sends none.",
    )
    otel_sample: float = Field(1.0, ge=0, le=1, description="Share of the traces begun here that are recorded.")

    @field_validator("image_allow_hosts", "image_roots", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
        if os.environ.get(CONFIG_VARIABLE) and not path.is_file():
            raise SettingsError(
                f"{CONFIG_VARIABLE} names {path}, which is not a file.",
                field=CONFIG_VARIABLE,
                value=str(path),
                remedy="Correct the path or unset it.",
            )
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path))


def load_settings(**overrides: Any) -> Settings:
    """Read the settings. Raises ``SettingsError`` that names each wrong key, its value and what is allowed."""
    refuse_unknown_variables(os.environ)
    try:
        return Settings(**overrides)
    except ValidationError as err:
        lines = [_complaint(str(e["loc"][0]) if e["loc"] else "", e.get("input"), e["msg"]) for e in err.errors()]
        raise SettingsError("Wrong settings: " + "; ".join(lines) + ".", remedy="See docs/reference/settings.md for every key.") from err
    except ValueError as err:
        raise SettingsError(f"The settings cannot be read: {err}.", remedy="Check the TOML file and the JSON-valued variables.") from err


def refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """Raises ``SettingsError`` for a variable with our prefix that is no setting; those of the tests (``HYBRID_SEARCH_TEST_…``) are let be."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {CONFIG_VARIABLE}
    for name in environment:
        if name.startswith(PREFIX) and name.upper() not in known and not name.startswith(f"{PREFIX}TEST_"):
            near = difflib.get_close_matches(name, known, n=1)
            raise SettingsError(
                f"{name} is no setting.",
                field=name,
                remedy=f"Did you mean {near[0]}?" if near else "See docs/reference/settings.md for every key.",
            )


def _complaint(key: str, value: object, message: str) -> str:
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
    if key == "api_keys":
        shown = "(hidden)"
    return f"{key} = {shown} ({PREFIX}{key.upper()}): {message}"
