"""The look as values: tokens for light and dark, colours with a fixed meaning, Streamlit's options. One place.

Text colours keep a contrast of at least 4.5 : 1 on their ground (a test computes it). A tenant's branding replaces the
accent and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from serving.brand_rules import GROUNDS, soft
from serving.people.branding import Brand

ASSETS = Path(__file__).parent / "assets"
PERSON_HEADER = "X-Clinicmart-Person"
FONT = '"Source Sans", "Source Sans 3", "Segoe UI", "Helvetica Neue", Arial, sans-serif'


@dataclass(frozen=True)
class Tokens:
    """Colours of one ground. `ink` text, `soft` second text, `line` rules, `shade` a quiet fill, `accent` the one accent.

    `payers` has the colour of each payer class, the same on every page; `parts` colours other parts of a whole in a
    fixed order; `heat` goes from little to much in one hue.
    """

    name: str
    ground: str
    raised: str
    ink: str
    soft: str
    faint: str
    line: str
    shade: str
    accent: str
    accent_soft: str
    good: str
    bad: str
    parts: tuple[str, ...]
    heat: tuple[str, ...]


# Paul Tol's "muted" scheme, tuned to both grounds: seven hues that people with any colour blindness tell apart.
LIGHT = Tokens(
    name="light",
    ground="#ffffff",
    raised="#ffffff",
    ink="#14212b",
    soft="#51606c",
    faint="#65727e",
    line="#dfe4e8",
    shade="#f4f6f8",
    accent="#0f5f8c",
    accent_soft="#e3eff6",
    good="#17714f",
    bad="#b3261e",
    parts=("#332f87", "#2f8fbf", "#3fa796", "#1d7340", "#b9a23c", "#cc6677", "#882255", "#9aa5ae", "#c9d0d6"),
    heat=("#eef5f9", "#c4deec", "#8dbdd8", "#4d95bd", "#0f5f8c"),
)
DARK = Tokens(
    name="dark",
    ground="#10181f",
    raised="#182229",
    ink="#e8eef2",
    soft="#a9b6c0",
    faint="#8593a0",
    line="#2b3842",
    shade="#18232b",
    accent="#62b5e0",
    accent_soft="#17384b",
    good="#5cc79a",
    bad="#ff8f85",
    parts=("#8a86e8", "#6cc0ea", "#58c4b2", "#4fae75", "#dccb6b", "#e88d9b", "#c76a9c", "#7d8a95", "#55626c"),
    heat=("#17242d", "#1c4258", "#256386", "#3a8ab5", "#7cc6ec"),
)

PAYER_CLASSES = (
    "commercial",
    "medicare",
    "medicare_advantage",
    "medicaid",
    "tricare",
    "workers_compensation",
    "self_pay",
    "other",
    "unmapped",
)
PAYER_LABELS = {
    "commercial": "Commercial",
    "medicare": "Medicare",
    "medicare_advantage": "Medicare Advantage",
    "medicaid": "Medicaid",
    "tricare": "Tricare",
    "workers_compensation": "Workers' compensation",
    "self_pay": "Self-pay",
    "other": "Other",
    "unmapped": "Not mapped",
}


def tokens(kind: str | None) -> Tokens:
    """Tokens of `light` or `dark`; light until the browser has reported its setting."""
    return DARK if kind == "dark" else LIGHT


def payer_colour(payer_class: str, look: Tokens) -> str:
    """The colour of a payer class, grey for a class that nobody has named yet."""
    index = PAYER_CLASSES.index(payer_class) if payer_class in PAYER_CLASSES else len(PAYER_CLASSES) - 1
    return look.parts[index]


def payer_order(payer_class: str) -> int:
    """The place of a payer class in the fixed order of all pages; classes that nobody has named yet stand last."""
    return PAYER_CLASSES.index(payer_class) if payer_class in PAYER_CLASSES else len(PAYER_CLASSES)


def payer_label(payer_class: str) -> str:
    """The name of a payer class for people."""
    return PAYER_LABELS.get(payer_class, payer_class.replace("_", " ").capitalize())


def money_colours(look: Tokens) -> dict[str, str]:
    """Colour of each part of the billed amount, by metric."""
    return {
        "payer_paid_amount": look.parts[2],
        "patient_paid_amount": look.parts[3],
        "adjusted_amount": look.parts[8],
        "open_balance": look.accent,
    }


def branded(look: Tokens, brand: Brand) -> Tokens:
    """The tokens with the accent of an organization; the same where it chose none."""
    accent = brand.accent_dark if look.name == "dark" else brand.accent
    return replace(look, accent=accent, accent_soft=soft(accent, GROUNDS[look.name])) if accent else look


def variables(look: Tokens) -> str:
    """The tokens as CSS custom properties of `:root`."""
    lines = []
    for field in fields(look):
        value = getattr(look, field.name)
        if isinstance(value, str) and value.startswith("#"):
            lines.append(f"--cm-{field.name.replace('_', '-')}: {value};")
    return ":root {\n  color-scheme: " + look.name + ";\n  " + "\n  ".join(lines) + f"\n  --cm-font: {FONT};\n}}"


def stylesheet(look: Tokens) -> str:
    """The whole style sheet of the pages for one ground."""
    sheets = [(ASSETS / name).read_text(encoding="utf-8") for name in ("pages.css", "drawings.css")]
    return "\n".join([variables(look), *sheets])


def stylesheet_of_brand() -> str:
    """CSS: widgets of Streamlit in the accent of an organization. Streamlit's own theme is that of the process."""
    return (ASSETS / "brand.css").read_text(encoding="utf-8")


def _theme_options(prefix: str, look: Tokens) -> dict[str, object]:
    return {
        f"{prefix}.primaryColor": look.accent,
        f"{prefix}.backgroundColor": look.ground,
        f"{prefix}.secondaryBackgroundColor": look.shade,
        f"{prefix}.textColor": look.ink,
        f"{prefix}.borderColor": look.line,
        f"{prefix}.linkColor": look.accent,
    }


def streamlit_options() -> Mapping[str, object]:
    """Streamlit's configuration, so that the pages look and behave alike wherever the package is installed."""
    return {
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.enableAgentApi": False,
        # A live page belongs to one sign-in: the gate sets this header, and Streamlit resumes a page only where it is equal.
        "server.trustedUserHeaders": {PERSON_HEADER: "person"},
        # Megabytes: the only file that somebody sends is a logo.
        "server.maxUploadSize": 1,
        "server.showEmailPrompt": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.showSidebarNavigation": False,
        "client.disableDataExport": True,
        "runner.magicEnabled": False,
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
        "ui.hideTopBar": True,
        "theme.baseFontSize": 16,
        "theme.baseRadius": "6px",
        "theme.showWidgetBorder": True,
        **_theme_options("theme.light", LIGHT),
        **_theme_options("theme.dark", DARK),
    }
