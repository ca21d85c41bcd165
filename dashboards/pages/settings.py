"""Settings: how the organization is set up, read only, for a support session."""

from dashboards import blocks, markup, served_home, shell
from dashboards import format as fmt
from dashboards.pages.administration.people import role_name
from dashboards.shell import PageContext
from serving.modules import MODULES_BY_NAME
from serving.organization_settings import OrganizationSettings, settings_of
from serving.people.rights import ROLES
from serving.people.roster import Person


def draw(context: PageContext) -> None:
    """Draws the page Settings: rules, modules and people. Nothing can be changed."""
    source = context.source
    settings = settings_of(served_home.access(), source.principal)
    finding = f"{fmt.plural(len(settings.people), 'person', 'people')} and {_modules(settings)}"
    context.html(
        markup.heading(finding, ["How the organization is set up, read only"], shell.whose(source)), key="cm_head"
    )
    blocks.section("Rules")
    facts = (
        ("Sign-in", f"With {settings.provider}" if settings.provider else "With a password"),
        ("Second factor", "Everybody needs one" if settings.requires_second_factor else "For those who set one up"),
        ("De-identification", settings.deidentification_rule.replace("_", " ").capitalize()),
        ("Smallest group shown", f"{settings.smallest_cell} people"),
        ("Sites of others", str(settings.sites)),
        ("Time zone", source.time_zone),
    )
    context.html(
        markup.table(
            [markup.Column("Rule"), markup.Column("Setting")],
            [markup.Row(fact) for fact in facts],
            caption="Rules of the organization",
        ),
        key="cm_settings_rules",
    )
    blocks.section("Modules")
    rows = [markup.Row((MODULES_BY_NAME[name].title, _state(*states))) for name, *states in settings.modules]
    context.html(
        markup.table([markup.Column("Module"), markup.Column("State")], rows, caption="Modules"),
        key="cm_settings_modules",
    )
    blocks.section("People")
    names = ("User name", "Role", "Sees", "Status", "Second factor")
    context.html(
        markup.table(
            [markup.Column(name) for name in names],
            [markup.Row(_person(person)) for person in settings.people],
            caption="People",
        ),
        key="cm_settings_people",
    )


def _modules(settings: OrganizationSettings) -> str:
    used = sum(is_granted and is_enabled for _, is_granted, is_enabled in settings.modules)
    return fmt.plural(used, "module")


def _state(is_granted: bool, is_enabled: bool) -> str:
    if not is_granted:
        return "Not in the plan"
    return "In use" if is_enabled else "Switched off by the organization"


def _person(person: Person) -> tuple[str, ...]:
    units = fmt.plural(len(person.unit_ids), "service unit") if person.unit_ids else ""
    rule = ROLES[person.role]
    sees = units or ("Nothing: no unit is assigned" if rule.needs == "units" else rule.sees)
    return (
        person.email,
        role_name(person.role),
        sees,
        person.status.capitalize(),
        "Set up" if person.has_second_factor else "",
    )
