"""The part of the console about how one organization shows itself."""

from markupsafe import Markup

from dashboards import markup
from dashboards.server.plain_html import hidden
from serving.brand_rules import LONGEST_NAME, MOST_LOGO_BYTES
from serving.people.branding import Brand

ADDRESS = "/console/branding"


def section(tenant_id: str, brand: Brand, *, token: str) -> Markup:
    """What the organization chose, and the form to change it."""
    logo = Markup("")
    if brand.logo:
        logo = Markup(
            '<p>{}</p><label class="choice"><input type="checkbox" name="remove_logo" value="yes"> Remove the logo</label>'
        ).format(markup.logo(brand.logo))
    return Markup(
        '<section id="branding"><h2>Branding</h2><p class="lead">What people of the organization see on its pages, at sign-in, in PDFs '
        "and in mails. Its own administrators can change it on the page Administration.</p>"
        '<form method="post" action="{}" enctype="multipart/form-data">{}{}<div class="fields">'
        '<div><label for="display_name">Display name</label>'
        '<input id="display_name" name="display_name" value="{}" maxlength="{}" autocomplete="off"></div>'
        '<div><label for="accent">Accent colour</label>'
        '<input id="accent" name="accent" value="{}" maxlength="7" placeholder="#0f5f8c" autocomplete="off"></div>'
        '<div><label for="accent_dark">On dark pages</label>'
        '<input id="accent_dark" name="accent_dark" value="{}" maxlength="7" placeholder="#62b5e0" autocomplete="off">'
        '<p class="hint">Empty: the nearest that people can read</p></div>'
        '<div><label for="logo">Logo</label><input id="logo" name="logo" type="file" accept="image/png,image/jpeg">'
        '<p class="hint">PNG or JPEG, at most {} kB</p></div></div>{}'
        '<button type="submit">Save the branding</button></form></section>'
    ).format(
        ADDRESS,
        hidden("token", token),
        hidden("tenant", tenant_id),
        brand.display_name,
        LONGEST_NAME,
        brand.accent,
        brand.accent_dark,
        MOST_LOGO_BYTES // 1000,
        logo,
    )
