"""Brands: colours that people can read, logos that hold a picture and nothing else, and who sees and sets them."""

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from dashboards import theme
from foundation.colours import contrast, is_colour, least_contrast, nearest_with_contrast
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.administration import Administration
from serving.brand_rules import (
    GROUNDS,
    LEAST_CONTRAST,
    LOGO_HEIGHT,
    LOGO_WIDTH,
    LONGEST_NAME,
    MOST_LOGO_BYTES,
    checked,
    contrast_on,
    logo_of,
    readable,
)
from serving.people.branding import PLAIN, Brand
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.removed_tenant import remove_people
from serving.people.store import AccessStore
from serving.platform import Platform
from tests.control_server import BOTH, home_with_people

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")
PASSWORD = "correct horse battery"


def picture(kind: str = "PNG", size: tuple[int, int] = (300, 100), **options: Any) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, "#7a1f5c").save(written, format=kind, **options)
    return written.getvalue()


def test_the_grounds_are_those_of_the_pages() -> None:
    for look in (theme.LIGHT, theme.DARK):
        ground = GROUNDS[look.name]
        assert ground.colour == look.ground
        assert set(ground.fills) == {look.ground, look.raised, look.shade}


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@given(COLOURS, st.sampled_from(sorted(GROUNDS)))
def test_every_colour_has_a_readable_neighbour_and_a_readable_one_stays(colour: str, name: str) -> None:
    ground = GROUNDS[name]
    near = readable(colour, ground)
    assert is_colour(near)
    assert contrast_on(near, ground) >= LEAST_CONTRAST
    assert readable(near, ground) == near
    if contrast_on(colour, ground) >= LEAST_CONTRAST:
        assert near == colour


@given(COLOURS)
def test_a_colour_is_kept_or_refused_with_one_that_passes(colour: str) -> None:
    try:
        kept = checked(Brand(accent=colour.upper()))
    except ConfigurationError as error:
        proposed = str(error).rpartition(" ")[2]
        assert contrast_on(colour, GROUNDS["light"]) < LEAST_CONTRAST
        kept = checked(Brand(accent=proposed))
    for look in (theme.branded(theme.LIGHT, kept), theme.branded(theme.DARK, kept)):
        for ground in (look.ground, look.raised, look.shade, look.accent_soft):
            assert contrast(look.accent, ground) >= LEAST_CONTRAST


@given(COLOURS, st.lists(COLOURS, min_size=1, max_size=3))
def test_the_nearest_colour_is_not_farther_than_any_other_of_its_hue(colour: str, grounds: list[str]) -> None:
    try:
        near = nearest_with_contrast(colour, grounds, 3)
    except ValueError:
        assert least_contrast("#000000", grounds) < 3
        assert least_contrast("#ffffff", grounds) < 3
        return
    assert least_contrast(near, grounds) >= 3
    if least_contrast(colour, grounds) >= 3:
        assert near == colour


@pytest.mark.parametrize(
    ("brand", "words"),
    [
        (Brand(accent="blue"), "not a colour"),
        (Brand(accent="#fff"), "not a colour"),
        (Brand(accent="#12345g"), "not a colour"),
        (Brand(accent="url(x)"), "not a colour"),
        (Brand(accent="#0f5f8c;}body{x"), "not a colour"),
        (Brand(accent_dark="#62b5e0"), "light grounds too"),
        (Brand(accent="#0f5f8c", accent_dark="#0f5f8c"), "on a dark ground"),
        (Brand(display_name="x" * (LONGEST_NAME + 1)), "display name"),
        (Brand(display_name="a\x1b[2Jb"), "display name"),
    ],
)
def test_what_cannot_be_a_brand_is_refused(brand: Brand, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        checked(brand)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(1, 1), (300, 100), (3000, 200), (50, 2000)])
def test_a_logo_is_drawn_again(kind: str, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(logo_of(picture(kind, size)))) as drawn:
        assert drawn.format == "PNG"
        assert drawn.width <= LOGO_WIDTH
        assert drawn.height <= LOGO_HEIGHT


def test_nothing_of_the_file_but_the_picture_is_left() -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "<script>alert(1)</script> Jane Doe")
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(1)</script> Jane Doe"
    polyglot = b"<script>alert(1)</script> Jane Doe"
    for sent in (
        picture(pnginfo=words),
        picture("JPEG", exif=exif),
        picture() + polyglot,
        picture("JPEG") + polyglot,
        picture(icc_profile=polyglot),
    ):
        drawn = logo_of(sent)
        assert b"script" in sent or b"JFIF" in sent or b"IHDR" in sent
        assert b"script" not in drawn
        assert b"Jane" not in drawn
        kinds = [drawn[at + 4 : at + 8] for at in _chunks(drawn)]
        assert set(kinds) <= {b"IHDR", b"IDAT", b"IEND"}


def _chunks(png: bytes) -> list[int]:
    places, at = [], 8
    while at < len(png):
        places.append(at)
        at += 12 + struct.unpack(">I", png[at : at + 4])[0]
    return places


def _bomb(side: int = 40_000) -> bytes:
    """A PNG of a few hundred bytes that names more pixels than memory has room for."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GIF89a not a picture",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b'<?xml version="1.0"?><svg onload="alert(1)"/>',
        b"%PDF-1.7",
        picture("GIF"),
        picture("BMP"),
        picture("TIFF"),
        picture()[:60],
        picture("JPEG")[:200],
        _bomb(),
        _bomb(5_000),
        picture() + b"x" * MOST_LOGO_BYTES,
    ],
    ids=lambda sent: repr(sent[:12]),
)
def test_what_is_no_logo_is_refused_without_its_words(sent: bytes) -> None:
    with pytest.raises(ConfigurationError, match="the logo") as refused:
        logo_of(sent)
    assert "alert" not in str(refused.value)


# Who sets it, and who sees it.


@pytest.fixture(params=BOTH)
def home(request: pytest.FixtureRequest, tmp_path: Any) -> Home:
    """Two organizations with an administrator each; people in a file, and on a PostgreSQL server."""
    made = home_with_people(tmp_path, request.param, request)
    store = AccessStore.open(made)
    for tenant in ("harbor", "mesa", PLATFORM):
        store.ensure_tenant(tenant, tenant.title())
        role = Role.SUPER_ADMIN if tenant == PLATFORM else Role.ORGANIZATION_ADMIN
        store.add_user(tenant, f"admin@{tenant}", display_name="Ada", role=role, password=PASSWORD, must_change=False)
    return made


def administration(home: Home, tenant: str) -> Administration:
    store = AccessStore.open(home)
    return Administration(home, store, store.principal(tenant, f"admin@{tenant}"), units=(), providers=())


def test_a_brand_is_kept_for_one_organization_until_it_leaves(home: Home) -> None:
    store = AccessStore.open(home)
    kept = administration(home, "harbor").set_brand(Brand(display_name="  Harbor  Group ", accent="#7A1F5C"), picture())
    assert (kept.display_name, kept.accent) == ("Harbor Group", "#7a1f5c")
    assert store.brandings.shown("harbor") == kept
    assert kept.logo.startswith(b"\x89PNG")
    assert store.brandings.shown("mesa") == PLAIN
    row = store.audit_rows("harbor", action="branding changed")[0]
    assert (row.actor, row.detail["logo_bytes"]) == ("admin@harbor", len(kept.logo))
    # Without a file the logo stays; the console changes the same.
    platform = Platform(home, store, store.principal(PLATFORM, f"admin@{PLATFORM}"))
    changed = platform.set_brand("harbor", replace(kept, accent="#0f5f8c", accent_dark=""))
    assert changed.logo == kept.logo
    assert store.brandings.of_tenant("harbor") == changed
    assert administration(home, "mesa").brand() == PLAIN
    remove_people(home, "harbor")
    assert store.brandings.of_tenant("harbor") == PLAIN


def test_a_plan_without_branding_shows_none_and_takes_none(home: Home) -> None:
    store, mine = AccessStore.open(home), administration(home, "harbor")
    kept = mine.set_brand(Brand(display_name="Harbor Group"))
    for change in ({"granted": False}, {"granted": True, "enabled": False}):
        store.set_module("harbor", "branding", actor="test", **change)
        assert store.brandings.shown("harbor") == PLAIN
        assert mine.brand() == kept
        assert not mine.has_branding()
    store.set_module("harbor", "branding", granted=False, enabled=True, actor="test")
    with pytest.raises(AccessError, match="does not include branding"):
        mine.set_brand(Brand(display_name="Other"))
    # It can be taken back.
    assert mine.set_brand(PLAIN) == PLAIN
    store.set_module("harbor", "branding", granted=True, actor="test")
    assert store.brandings.shown("harbor") == PLAIN


def test_nobody_but_an_administrator_sets_it(home: Home) -> None:
    store = AccessStore.open(home)
    mine = administration(home, "harbor")
    store.add_user("harbor", "ceo@harbor", display_name="Cy", role=Role.EXECUTIVE, password=PASSWORD)
    store.add_user("harbor", "second@harbor", display_name="Al", role=Role.ORGANIZATION_ADMIN, password=PASSWORD)
    store.change_rights("harbor", "admin@harbor", role=Role.EXECUTIVE, actor="second@harbor")
    for act in (mine.brand, lambda: mine.set_brand(Brand(display_name="x")), mine.has_branding):
        with pytest.raises(AccessError):
            act()
    executive = store.principal("harbor", "ceo@harbor")
    for person in (executive, Principal(tenant_id="harbor", email="x", display_name="", role=Role.SUPPORT)):
        with pytest.raises(AccessError):
            Administration(home, store, person, units=(), providers=())
        with pytest.raises(AccessError):
            Platform(home, store, person)
    root = Platform(home, store, store.principal(PLATFORM, f"admin@{PLATFORM}"))
    with pytest.raises(AccessError, match="no such organization"):
        root.set_brand("nowhere", Brand(display_name="x"))
