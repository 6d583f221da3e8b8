"""The page for everybody: phone, keyboard, screen reader, English and Chinese."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage

PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}


def wide(page: Page) -> bool:
    """Whether something sticks out to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def focused(page: Page) -> Any:
    return page.evaluate(
        "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || document.activeElement.id || '').trim()"
    )


def test_on_a_phone_the_filters_are_a_drawer(open_page: OpenPage) -> None:
    page = open_page("/?q=ball", **PHONE)
    assert not wide(page)
    filters = page.locator("#filters")
    expect(filters).to_be_hidden()
    page.get_by_role("button", name="Filters").click()
    expect(filters).to_be_visible()
    expect(page.get_by_role("button", name="Close filters")).to_be_focused()
    page.get_by_role("checkbox", name="Red").check()
    expect(page.locator(".filters-foot button")).to_contain_text("Show")
    expect(filters).to_be_visible()
    page.locator(".filters-foot button").click()
    expect(filters).to_be_hidden()
    expect(page.get_by_role("button", name="Filters (1)")).to_be_focused()
    assert not wide(page)


def test_the_drawer_closes_with_escape_and_holds_the_focus(open_page: OpenPage) -> None:
    page = open_page(width=390, height=844)
    page.get_by_role("button", name="Filters").click()
    for _ in range(60):
        page.keyboard.press("Tab")
        inside = page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('#filters')")
        assert inside
    page.keyboard.press("Escape")
    expect(page.locator("#filters")).to_be_hidden()


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_nothing_sticks_out_at_any_width(open_page: OpenPage, width: int) -> None:
    for path in ("/", "/?like=ring-red&q=a+rather+long+question+about+rings", "/product/ball-yellow", "/?q=zzz&price_min=9000"):
        assert not wide(open_page(path, width=width, height=800)), path


def test_everything_can_be_done_with_the_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to results"
    page.keyboard.press("Enter")
    expect(page.locator("#results")).to_be_focused()
    page.locator("#q").focus()
    page.keyboard.type("ring")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("ring")
    expect(page.locator("#q")).to_be_focused()
    box = page.get_by_role("checkbox", name="Black")
    box.focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("link", name="Remove filter: Black")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Black")).to_be_focused()
    summary = page.locator(".card .why summary").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".card .legs").first).to_be_visible()
    similar = page.locator(".card .similar").first
    similar.focus()
    expect(similar).to_have_css("opacity", "1")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("similar to")


def test_the_focus_can_be_seen(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    style = page.evaluate("(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])(getComputedStyle(document.activeElement))")
    assert style == ["solid", "3px"]


def test_results_are_told_to_a_screen_reader(open_page: OpenPage) -> None:
    page = open_page()
    status = page.get_by_role("status")
    expect(status).to_have_attribute("aria-live", "polite")
    page.get_by_role("checkbox", name="Red").check()
    expect(status).to_have_text("5 products")
    for role in ("banner", "search", "main", "complementary", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role


@pytest.mark.parametrize(
    "path", ["/", "/?q=red+ball&color=Red", "/?like=ring-red", "/?q=lampshade", "/?price_min=9000", "/product/tent-blue", "/session"]
)
@pytest.mark.parametrize("look", ["light", "dark"])
def test_axe_finds_no_barrier(open_page: OpenPage, path: str, look: str) -> None:
    page = open_page(path, color_scheme=look, bypass_csp=True)
    for summary in page.locator(".why summary").all()[:1]:
        summary.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_axe_finds_no_barrier_on_a_phone(open_page: OpenPage) -> None:
    page = open_page("/", bypass_csp=True, **PHONE)
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Filters").click()
    page.wait_for_timeout(400)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_chinese_by_the_browsers_wish_and_by_choice(open_page: OpenPage) -> None:
    page = open_page(locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.locator("h1")).to_contain_text("31 件商品")
    expect(page.get_by_role("checkbox", name="红色")).to_be_visible()
    page.fill("#q", "黄色皮球")
    page.press("#q", "Enter")
    expect(page.locator(".card").first).to_have_attribute("data-id", "ball-yellow")
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#q")).to_have_value("黄色皮球")
    page.goto("/")
    expect(page.locator("h1")).to_contain_text("31 products")


def test_motion_is_left_out_where_it_is_unwanted(open_page: OpenPage) -> None:
    page = open_page(reduced_motion="reduce")
    duration = page.evaluate("getComputedStyle(document.querySelector('.card article')).transitionDuration.split(',')[0]")
    assert float(duration.rstrip("s")) < 0.001
