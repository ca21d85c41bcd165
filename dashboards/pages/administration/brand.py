"""How the organization shows itself on its pages: display name, accent colour and logo."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st
from markupsafe import Markup

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.brand_rules import GROUNDS, LONGEST_NAME, MOST_LOGO_BYTES, contrast_on
from serving.people.branding import PLAIN, Brand
from serving.people.roster import Person

KEY = "cm_admin_brand"
NO_MODULE = "Branding is not in your plan, or it is switched off: pages show the name of the organization and the colour of the product."


def draw(context: PageContext, _everybody: tuple[Person, ...]) -> None:
    """Draws the tab with the brand as it is, and the form to change it."""
    administration = context.source.administration
    brand = administration.brand()
    blocks.section(
        "Branding",
        "What people of your organization see on the pages, on its sign-in page, in PDFs and in mails. No other organization sees it",
    )
    if not administration.has_branding():
        context.html(markup.notice([NO_MODULE]), key=f"{KEY}_none")
    context.html(_shown(brand), key=f"{KEY}_now")
    with st.container(key=KEY):
        # After each change the form begins with what is kept.
        with st.form(f"{KEY}_form", border=False):
            name = st.text_input(
                "Display name (empty: the name of the organization)",
                brand.display_name,
                max_chars=LONGEST_NAME,
                key=f"{KEY}_name",
            )
            columns = st.columns(2)
            accent = columns[0].text_input(
                "Accent colour (empty: that of the product)", brand.accent, placeholder="#0f5f8c", key=f"{KEY}_accent"
            )
            dark = columns[1].text_input(
                "On dark pages (empty: the nearest that people can read)",
                brand.accent_dark,
                placeholder="#62b5e0",
                key=f"{KEY}_dark",
            )
            file = st.file_uploader(
                f"Logo: PNG or JPEG, at most {MOST_LOGO_BYTES // 1000} kB",
                type=["png", "jpg", "jpeg"],
                key=f"{KEY}_logo",
            )
            is_saved = st.form_submit_button("Save", type="primary")
        removes_logo = bool(brand.logo) and st.button("Remove the logo", key=f"{KEY}_remove")
    # A colour for dark pages that followed from the old accent follows from the new one.
    follows = dark == brand.accent_dark and accent != brand.accent
    wanted = replace(brand, display_name=name, accent=accent, accent_dark="" if follows else dark)
    if is_saved:
        _carry_out(lambda: administration.set_brand(wanted, file.getvalue() if file else None))
    elif removes_logo:
        _carry_out(lambda: administration.set_brand(replace(brand, logo=b"")))


def _carry_out(act: Callable[[], Brand]) -> None:
    """Does it and draws the page again in the new look; says why where it was refused."""
    try:
        act()
    except ClinicmartError as error:
        st.error(fmt.sentence(str(error)))
        return
    st.rerun()


def _shown(brand: Brand) -> Markup:
    """The brand as it is, with the contrast of its colours."""
    if brand == PLAIN:
        return markup.state(
            "Nothing is chosen", "Pages show the name of the organization and the colour of the product."
        )
    rows = [("Display name", brand.display_name or fmt.DASH)]
    for ground, colour in ((GROUNDS["light"], brand.accent), (GROUNDS["dark"], brand.accent_dark)):
        words = f"{colour}, contrast {contrast_on(colour, ground):.1f} to 1" if colour else fmt.DASH
        rows.append((f"Accent on {ground.name} pages", words))
    rows.append(("Logo", f"{len(brand.logo) / 1000:.0f} kB, shown beside the name" if brand.logo else fmt.DASH))
    return markup.table(
        [markup.Column("Part"), markup.Column("Now")], [markup.Row(row) for row in rows], caption="Branding"
    )
