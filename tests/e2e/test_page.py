"""The search page as shoppers use it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import OpenPage
from tests.e2e.shop import BROKEN, COLOURS, draw_thing

GREEN_TENT = "tent-green"


def photo(thing: str = "Tent", colour: str = "Green") -> bytes:
    """A picture like a shop's own, but of another size, on another ground, as a JPEG."""
    out = io.BytesIO()
    draw_thing(thing, COLOURS[colour], background="#f4f1ea", side=500).save(out, "JPEG", quality=85)
    return out.getvalue()


def cards(page: Page) -> Locator:
    return page.locator(".card")


def ids(page: Page) -> list[str]:
    return [card.get_attribute("data-id") or "" for card in cards(page).all()]


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def search(page: Page, words: str) -> None:
    page.fill("#q", words)
    with page.expect_response(lambda reply: reply.request.headers.get("x-page-part") == "results"):
        page.press("#q", "Enter")
    expect(page.locator("#busy")).to_be_hidden()


def bring(page: Page, content: bytes, name: str = "photo.jpg") -> None:
    page.set_input_files("#picture-file", {"name": name, "mimeType": "image/jpeg", "buffer": content})


def test_words_find_the_thing_and_the_address_says_so(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator("h1")).to_contain_text("31 products")
    search(page, "blue box")
    assert ids(page)[0] == "box-blue"
    assert asked(page) == {"q": ["blue box"]}
    assert page.title().startswith("blue box")
    first = cards(page).first
    expect(first.locator(".price")).to_have_text("€16.00")
    expect(first.locator("[role=img].rating")).to_have_attribute("aria-label", "1.8 of 5 stars, 4 ratings")
    assert page.evaluate("document.querySelector('.card img').complete && document.querySelector('.card img').naturalWidth > 0")


def test_a_shared_address_shows_the_same_and_back_goes_back(open_page: OpenPage) -> None:
    page = open_page("/?q=red+ball")
    before = ids(page)
    search(page, "yellow rug")
    assert ids(page) != before
    page.go_back()
    expect(page.locator("#q")).to_have_value("red ball")
    expect(cards(page).first).to_have_attribute("data-id", before[0])
    page.reload()
    assert ids(page) == before


def test_filters_narrow_count_and_can_be_taken_off(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("checkbox", name="Red").check()
    expect(page.locator("h1")).to_contain_text("5 products")
    page.get_by_role("checkbox", name="Blue").check()
    expect(page.locator("h1")).to_contain_text("10 products")
    assert asked(page)["color"] == ["Red", "Blue"] or asked(page)["color"] == ["Blue", "Red"]
    page.get_by_role("radio", name="Home").check()
    expect(page.locator("h1")).to_contain_text("4 products")
    page.get_by_role("radio", name="Textiles").check()
    expect(page.locator("h1")).to_contain_text("2 products")
    assert set(ids(page)) == {"rug-red", "rug-blue"}
    page.get_by_role("link", name="Remove filter: Blue").click()
    expect(page.locator("h1")).to_contain_text("1 product")
    page.get_by_role("link", name="Clear all filters").click()
    expect(page.locator("h1")).to_contain_text("31 products")


def test_price_rating_and_sort(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_label("Highest price").fill("12")
    page.get_by_label("Highest price").press("Enter")
    expect(page.locator("h1")).to_contain_text("3 products")
    page.get_by_label("Sort by").select_option("-price")
    expect(cards(page).first).to_have_attribute("data-id", "ball-green")
    assert ids(page) == ["ball-green", "ball-blue", "ball-red"]
    page.goto("/?rating=4&sort=price")
    assert ids(page)[0] == "ball-black"
    expect(page.locator("h1")).to_contain_text("10 products")


def test_a_photo_finds_what_it_shows_and_its_address_can_be_shared(open_page: OpenPage) -> None:
    page = open_page()
    bring(page, photo())
    expect(page.locator('[data-chip="picture"] img')).to_be_visible()
    expect(cards(page).first).to_have_attribute("data-id", GREEN_TENT)
    page.reload()
    assert ids(page)[0] == GREEN_TENT
    expect(page.locator('[data-chip="picture"] img')).to_be_visible()
    page.get_by_role("link", name="Remove picture").click()
    expect(page.locator('[data-chip="picture"]')).to_have_count(0)
    assert "picture" not in asked(page)


def test_a_photo_and_words_together(open_page: OpenPage) -> None:
    page = open_page()
    bring(page, photo())
    expect(page.locator('[data-chip="picture"]')).to_be_visible()
    search(page, "purple tent")
    assert set(asked(page)) == {"q", "picture"}
    assert {GREEN_TENT, "tent-purple"} <= set(ids(page)[:4])


def drop_script(event: str) -> str:
    return f"""(content) => {{
        const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "photo.jpg", {{ type: "image/jpeg" }}));
        const options = {{ bubbles: true, cancelable: true }};
        const made = "{event}" === "paste"
            ? new ClipboardEvent("paste", {{ ...options, clipboardData: transfer }})
            : new DragEvent("{event}", {{ ...options, dataTransfer: transfer }});
        document.body.dispatchEvent(made);
    }}"""


def test_a_picture_can_be_dropped_and_pasted(open_page: OpenPage) -> None:
    page = open_page()
    content = base64.b64encode(photo()).decode()
    page.evaluate(drop_script("dragenter"), content)
    expect(page.locator("#drop")).to_be_visible()
    page.evaluate(drop_script("drop"), content)
    expect(page.locator("#drop")).to_be_hidden()
    expect(cards(page).first).to_have_attribute("data-id", GREEN_TENT)
    page.goto("/")
    page.evaluate(drop_script("paste"), base64.b64encode(photo("Ring", "Red")).decode())
    expect(cards(page).first).to_have_attribute("data-id", "ring-red")


def test_a_file_that_is_no_picture_is_refused_with_its_reason(open_page: OpenPage) -> None:
    page = open_page()
    bring(page, b"GIF89a, but not really")
    expect(page.get_by_role("alert")).to_be_visible()
    assert len(page.get_by_role("alert").inner_text()) > 20
    assert cards(page).count() > 0


def test_similar_products(open_page: OpenPage) -> None:
    page = open_page("/?q=red+ring")
    first = cards(page).first
    first.hover()
    first.get_by_role("link", name="Show products similar to Red Ring").click()
    expect(page.locator("h1")).to_contain_text("similar to Red Ring")
    found = ids(page)
    assert "ring-red" not in found
    assert found[0].startswith("ring-")
    assert asked(page)["like"] == ["ring-red"]
    page.get_by_role("link", name="Remove: similar to Red Ring").click()
    expect(page.locator("h1")).to_contain_text("31 products")


def test_show_more_appends_moves_the_focus_and_tells_it(open_page: OpenPage) -> None:
    page = open_page()
    assert cards(page).count() == 24
    page.get_by_role("button", name="Show more").click()
    expect(cards(page)).to_have_count(31)
    assert len(set(ids(page))) == 31
    assert [card.get_attribute("data-rank") for card in cards(page).all()] == [str(rank) for rank in range(1, 32)]
    assert page.evaluate("document.activeElement.closest('.card').dataset.rank") == "25"
    expect(page.get_by_role("status")).to_have_text("7 more products shown.")
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)


def test_why_this_rank_has_a_bar_per_leg_that_adds_up(open_page: OpenPage) -> None:
    page = open_page("/?q=green+tent")
    why = cards(page).first.locator(".why")
    expect(why.locator(".legs")).to_be_hidden()
    why.locator("summary").click()
    expect(why.locator(".legs")).to_be_visible()
    names = why.locator(".leg-name").all_inner_texts()
    assert {"Words", "Meaning"} <= set(names)
    widths = [float(bar.get_attribute("width") or "0") for bar in why.locator(".fill").all()]
    assert abs(sum(widths) - 100) < 0.5
    assert why.locator(".bar").count() == len(names)


def test_a_picture_that_failed_is_told_on_its_card(open_page: OpenPage) -> None:
    page = open_page("/?q=lampshade")
    card = page.locator(f'[data-id="{BROKEN}"]')
    expect(card.locator(".badge-failed")).to_contain_text("Picture failed")
    expect(card.locator(".flag")).to_have_text("Sold out")


def test_nothing_found_says_so_and_shows_a_way_out(open_page: OpenPage) -> None:
    page = open_page("/?q=ball&price_min=9000")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    expect(page.locator("h1")).to_contain_text("0 products")
    page.locator(".empty").get_by_role("link", name="Clear all filters").click()
    expect(cards(page).first).to_be_visible()
    expect(page.locator("#q")).to_have_value("ball")


def test_a_product_has_a_page_of_its_own(open_page: OpenPage) -> None:
    page = open_page("/?q=blue+rug")
    page.get_by_role("link", name="Blue Rug", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Blue Rug")
    expect(page.get_by_role("heading", name="Similar products")).to_be_visible()
    assert "rug-blue" not in ids(page)


def test_a_shop_that_cannot_be_reached_is_told_and_can_be_tried_again(open_page: OpenPage) -> None:
    page = open_page()
    page.route("**/?q=*", lambda route: route.abort("connectionrefused"))
    page.fill("#q", "ball")
    page.press("#q", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.unroute("**/?q=*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("h1")).to_contain_text("ball")


def test_without_a_script_words_filters_pictures_and_more_still_work(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(java_script_enabled=False)
    page.fill("#q", "ball")
    page.get_by_role("checkbox", name="Red").check()
    page.get_by_role("button", name="Apply").click()
    assert asked(page)["color"] == ["Red"]
    assert ids(page)[0] == "ball-red"
    page.goto("/")
    page.get_by_role("button", name="Show more").click()
    assert cards(page).count() == 7
    (tmp_path / "photo.jpg").write_bytes(photo())
    page.goto("/")
    page.locator(".plain-upload input[type=file]").set_input_files(tmp_path / "photo.jpg")
    page.get_by_role("button", name="Search with this picture").click()
    assert ids(page)[0] == GREEN_TENT
