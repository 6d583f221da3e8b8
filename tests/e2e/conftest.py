"""A real server over a real index, and a real browser in front of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from hybrid_search.bootstrap import build, image_roots
from hybrid_search.settings import load_settings
from tests.e2e.shop import load_shop, write_catalogue

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

EXPECTED = ("Failed to load resource: the server responded with a status of 422", "Failed to load resource: net::ERR_CONNECTION_REFUSED")
"""What Chromium writes into its console when a test makes a request fail on purpose."""

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``hybrid-search serve`` over 31 products, embedded."""
    folder = tmp_path_factory.mktemp("shop")
    settings = load_settings(home=folder / "home")
    catalogue = write_catalogue(folder / "catalogue")
    image_roots(settings).add(catalogue)
    services = build(settings)
    try:
        load_shop(services, catalogue)
    finally:
        services.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "hybrid_search", "serve", "--port", str(port), "--home", str(settings.home)]
    log = (folder / "serve.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, folder / "serve.log")
        yield url
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/readyz", timeout=30).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the server did not answer:\n{log.read_text()[-3_000:]}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    path = os.environ.get("HYBRID_SEARCH_TEST_CHROMIUM") or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("no Chromium found: install it (apt-get install chromium), or set HYBRID_SEARCH_TEST_CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, shop: str) -> Iterator[OpenPage]:
    """Opens an address of the shop; at the end no page may have met a script error, a blocked resource or another host."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def watch(request_url: str) -> None:
        if not request_url.startswith((shop, "data:", "blob:")):
            faults.append(f"asked another host: {request_url}")

    def make(path: str = "/", *, width: int = 1280, height: int = 900, **options: Any) -> Page:
        options.setdefault("locale", "en-US")
        context = browser.new_context(viewport={"width": width, "height": height}, base_url=shop, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
        page.on(
            "console",
            lambda message: faults.append(message.text) if message.type == "error" and not message.text.startswith(EXPECTED) else None,
        )
        page.on("request", lambda request: watch(request.url))
        page.goto(path)
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []
