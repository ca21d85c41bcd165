"""The tables of the access database: `access.sqlite`, or a PostgreSQL database (`serving.people.engines` opens them).

Texts are compared and sorted by code point, and numbers have 64 bits, on both.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    event,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from foundation.migrations import Store

METADATA = MetaData()
NUL, REPLACED = "\0", "\ufffd"
_Integer = Integer().with_variant(BigInteger(), "postgresql")


class Utc(TypeDecorator[datetime]):
    """An aware UTC timestamp; SQLite keeps it without the offset."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: object) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: object) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Text(TypeDecorator[str]):
    """A text of any length. PostgreSQL keeps none with the character NUL: there it becomes the replacement character U+FFFD."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String(collation="C") if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace(NUL, REPLACED) if value and dialect.name == "postgresql" else value


def _text(name: str, *, key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=nullable)


def _token_end() -> tuple[Column[str] | Column[datetime], ...]:
    """The last columns of each table of tokens: with `name` they are what `secret_tokens.shared_fields` reads."""
    return (
        _text("created_by"),
        Column("created_at", Utc, nullable=False),
        Column("expires_at", Utc, nullable=False),
        Column("last_used_at", Utc),
        Column("ended_at", Utc),
    )


TENANT = Table(
    "tenant",
    METADATA,
    _text("tenant_id", key=True),
    _text("name"),
    # Raised by every change of what a role or a module means for the tenant: it is part of each scope's hash.
    Column("policy_version", _Integer, nullable=False),
    Column("created_at", Utc, nullable=False),
    # The rule of de-identification in the configuration; empty before the first run.
    _text("deidentification_rule", nullable=True),
    Column("smallest_cell", _Integer),
    # Whether everybody with a password must have a second factor; empty means no.
    Column("requires_second_factor", Boolean),
    # Whether the platform's administrators may look at its pages (`serving.people.support_sessions`); empty means the usual rule.
    _text("support_policy", nullable=True),
)
MODULE = Table(
    "module",
    METADATA,
    _text("tenant_id", key=True),
    _text("module", key=True),
    Column("is_granted", Boolean, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
# How a tenant shows itself on its pages (`serving.people.branding`).
BRANDING = Table(
    "branding",
    METADATA,
    _text("tenant_id", key=True),
    _text("display_name"),
    _text("accent"),
    _text("accent_dark"),
    Column("logo", LargeBinary, nullable=False),
    _text("set_by"),
    Column("set_at", Utc, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
USER = Table(
    "user",
    METADATA,
    _text("tenant_id", key=True),
    _text("email", key=True),
    _text("display_name"),
    _text("role"),
    _text("provider_id", nullable=True),
    _text("password_hash"),
    Column("must_change_password", Boolean, nullable=False),
    # A one-time password counts until then; of a link to choose a password the hash is kept.
    Column("one_time_until", Utc),
    _text("reset_hash", nullable=True),
    Column("reset_until", Utc),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Utc, nullable=False),
    # What an identity provider that keeps accounts (SCIM) says: its own id; since when groups give the rights; whether it locked the
    # person; when it removed the person.
    _text("external_id", nullable=True),
    Column("provisioned_at", Utc),
    Column("locked_by_provider", Boolean),
    Column("left_at", Utc),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
USER_UNIT = Table(
    "user_unit",
    METADATA,
    _text("tenant_id", key=True),
    _text("email", key=True),
    _text("service_unit_id", key=True),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
)
SESSION = Table(
    "session",
    METADATA,
    _text("token_hash", key=True),
    _text("tenant_id"),
    _text("email"),
    Column("created_at", Utc, nullable=False),
    Column("last_seen_at", Utc, nullable=False),
    _text("address", nullable=True),
    _text("browser", nullable=True),
    # When this session passed its second factor; empty where it did not, or where none was asked for.
    Column("second_factor_at", Utc),
    # The provider's name of its session where this one began at an identity provider, empty text where it gave none.
    _text("oidc_session", nullable=True),
    # The support session that this one opened; empty for every other sign-in.
    _text("support_id", nullable=True),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
)
# An authenticator app of a person (RFC 6238). It counts once it is confirmed. `last_step` is the last time step whose code was taken:
# a code is taken once. `failures` are wrong codes since the last right one.
TOTP = Table(
    "totp",
    METADATA,
    _text("tenant_id", key=True),
    _text("email", key=True),
    _text("sealed_secret"),
    Column("offered_at", Utc, nullable=False),
    Column("confirmed_at", Utc),
    Column("last_step", _Integer, nullable=False),
    Column("failures", _Integer, nullable=False),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
)
RECOVERY_CODE = Table(
    "recovery_code",
    METADATA,
    _text("tenant_id", key=True),
    _text("email", key=True),
    _text("code_hash", key=True),
    Column("used_at", Utc),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
)
# The identity provider of a tenant (OpenID Connect). The client's secret is sealed, or read at each sign-in from `secret_from`.
OIDC_PROVIDER = Table(
    "oidc_provider",
    METADATA,
    _text("tenant_id", key=True),
    _text("issuer"),
    _text("client_id"),
    _text("name"),
    _text("sealed_secret", nullable=True),
    _text("secret_from", nullable=True),
    Column("links_by_email", Boolean, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
OIDC_LINK = Table(
    "oidc_link",
    METADATA,
    _text("tenant_id", key=True),
    _text("issuer", key=True),
    _text("subject", key=True),
    _text("email"),
    Column("linked_at", Utc, nullable=False),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    UniqueConstraint("tenant_id", "issuer", "email"),
)
# A passkey of a person (WebAuthn): it counts at the host of one tenant's address. Ids and keys are hexadecimal; nothing of it is secret.
PASSKEY = Table(
    "passkey",
    METADATA,
    _text("credential_id", key=True),
    _text("tenant_id"),
    _text("email"),
    _text("host"),
    _text("public_key"),
    Column("sign_count", _Integer, nullable=False),
    _text("name"),
    Column("created_at", Utc, nullable=False),
    Column("last_used_at", Utc),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    Index("passkey_by_person", "tenant_id", "email"),
)
# Challenges whose answers were taken: each answer counts once.
PASSKEY_CHALLENGE = Table(
    "passkey_challenge",
    METADATA,
    _text("challenge_hash", key=True),
    Column("used_at", Utc, nullable=False),
)
# Tokens of identity providers that keep accounts (SCIM), their groups, and what groups give here (`serving.people.group_rights`). The
# units of a group are ids, one a line.
SCIM_TOKEN = Table(
    "scim_token",
    METADATA,
    _text("token_hash", key=True),
    _text("tenant_id"),
    _text("name"),
    *_token_end(),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
SCIM_GROUP = Table(
    "scim_group",
    METADATA,
    _text("tenant_id", key=True),
    _text("group_id", key=True),
    _text("name"),
    _text("external_id", nullable=True),
    Column("created_at", Utc, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    UniqueConstraint("tenant_id", "name"),
)
SCIM_MEMBER = Table(
    "scim_member",
    METADATA,
    _text("tenant_id", key=True),
    _text("group_id", key=True),
    _text("email", key=True),
    ForeignKeyConstraint(["tenant_id", "group_id"], ["scim_group.tenant_id", "scim_group.group_id"]),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
)
GROUP_RIGHT = Table(
    "group_right",
    METADATA,
    _text("tenant_id", key=True),
    _text("group_name", key=True),
    _text("role"),
    _text("unit_ids"),
    _text("set_by"),
    Column("set_at", Utc, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
# Sites of others that show figures, and the tickets that were used (`serving.people.embedding_sites`). Pages and units are separated by
# commas.
EMBEDDING_SITE = Table(
    "embedding_site",
    METADATA,
    _text("token_hash", key=True),
    _text("tenant_id"),
    _text("name"),
    _text("origin"),
    _text("pages"),
    _text("unit_ids"),
    *_token_end(),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
EMBEDDING_TICKET = Table(
    "embedding_ticket",
    METADATA,
    _text("ticket_hash", key=True),
    Column("used_at", Utc, nullable=False),
)
# Times in which an administrator of the platform looked, or asked to look, at the pages of a tenant. Of the link that opens one the hash is
# kept.
SUPPORT_SESSION = Table(
    "support_session",
    METADATA,
    _text("support_id", key=True),
    _text("tenant_id"),
    _text("asked_by"),
    _text("reason"),
    Column("minutes", _Integer, nullable=False),
    Column("asked_at", Utc, nullable=False),
    _text("decided_by", nullable=True),
    Column("decided_at", Utc),
    Column("is_refused", Boolean),
    Column("began_at", Utc),
    Column("until", Utc),
    Column("ended_at", Utc),
    _text("ended_by", nullable=True),
    _text("ticket_hash", nullable=True),
    Column("ticket_until", Utc),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
# Tenants that shall leave for ever. The column is not called tenant_id: the row and its certificate stay when the tenant has left.
REMOVAL_REQUEST = Table(
    "removal_request",
    METADATA,
    Column("request_id", _Integer, primary_key=True),
    _text("organization"),
    _text("name"),
    _text("reason"),
    _text("asked_by"),
    Column("asked_at", Utc, nullable=False),
    Column("ended_at", Utc),
    _text("problem", nullable=True),
    _text("certificate", nullable=True),
)
# What the platform announces to everybody. It belongs to no tenant.
ANNOUNCEMENT = Table(
    "announcement",
    METADATA,
    Column("announcement_id", _Integer, primary_key=True),
    _text("sentence"),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    _text("made_by"),
    Column("made_at", Utc, nullable=False),
    Column("ended_at", Utc),
)
# Who was tried is kept as a keyed hash: people type passwords into the field above.
SIGN_IN_FAILURE = Table(
    "sign_in_failure",
    METADATA,
    Column("id", _Integer, primary_key=True),
    _text("subject"),
    Column("failed_at", Utc, nullable=False),
    Index("sign_in_failure_by_subject", "subject", "failed_at"),
)
AUDIT = Table(
    "audit",
    METADATA,
    Column("sequence", _Integer, primary_key=True),
    Column("at", Utc, nullable=False),
    _text("tenant_id"),
    _text("actor"),
    _text("action"),
    _text("scope_hash"),
    _text("detail"),
    _text("result"),
    _text("channel", nullable=True),
    _text("address", nullable=True),
    _text("session", nullable=True),
    _text("os_user", nullable=True),
    _text("previous_mac"),
    _text("mac"),
    Index("audit_by_tenant", "tenant_id", "sequence"),
)
# A row a version: nothing is overwritten. The unit is empty for the whole tenant; the value is a decimal as text, empty where the
# target ends.
TARGET = Table(
    "target",
    METADATA,
    Column("target_id", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("metric"),
    _text("service_unit_id"),
    Column("valid_from", Date, nullable=False),
    _text("value", nullable=True),
    _text("set_by"),
    Column("set_at", Utc, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    Index("target_by_tenant", "tenant_id", "metric"),
)
# What people noted on rows of worklists, a row a version. The row's id and the note are sealed (`serving.people.work_entries`).
WORK_ENTRY = Table(
    "work_entry",
    METADATA,
    Column("entry_id", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("list"),
    _text("row_id"),
    _text("state"),
    _text("owner"),
    _text("outcome"),
    _text("note"),
    Column("due", Date),
    _text("set_by"),
    Column("set_at", Utc, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    Index("work_entry_by_list", "tenant_id", "list", "row_id"),
)
# What people wrote about days, a row a version. The sentence is sealed (`serving.people.annotations`).
ANNOTATION = Table(
    "annotation",
    METADATA,
    Column("version_id", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("annotation_id"),
    _text("service_unit_id"),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    _text("page"),
    _text("metric"),
    _text("sentence"),
    _text("author"),
    _text("set_by"),
    Column("set_at", Utc, nullable=False),
    Column("is_removed", Boolean, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    Index("annotation_by_tenant", "tenant_id", "annotation_id"),
)
# Tokens of programs that ask in the name of a person: hashes, and what each is allowed (`serving.people.api_tokens`).
API_TOKEN = Table(
    "api_token",
    METADATA,
    _text("token_hash", key=True),
    _text("tenant_id"),
    _text("email"),
    _text("name"),
    _text("allowed"),
    *_token_end(),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    Index("api_token_by_person", "tenant_id", "email"),
)
# What may leave by mail: the domains of recipients, separated by commas, and one of `serving.people.subscriptions.CONTENTS`.
MAIL_RULE = Table(
    "mail_rule",
    METADATA,
    _text("tenant_id", key=True),
    _text("domains"),
    _text("content"),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
)
# Who gets a page by mail, and how often (`serving.people.subscriptions`). The password of a PDF is sealed.
SUBSCRIPTION = Table(
    "subscription",
    METADATA,
    Column("subscription_id", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("email"),
    _text("page"),
    _text("every"),
    Column("delay_days", _Integer, nullable=False),
    _text("file_format"),
    _text("sealed_password", nullable=True),
    _text("made_by"),
    Column("made_at", Utc, nullable=False),
    Column("ended_at", Utc),
    _text("ended_because"),
    # The saved report that is sent, where `page` is that of built reports.
    Column("report_id", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    Index("subscription_by_person", "tenant_id", "email"),
)
# One mail of a subscription: a row for each period, written before the mail is made.
DELIVERY = Table(
    "delivery",
    METADATA,
    Column("delivery_id", _Integer, primary_key=True),
    Column("subscription_id", _Integer, nullable=False),
    _text("tenant_id"),
    Column("period_start", Date, nullable=False),
    Column("period_end", Date, nullable=False),
    _text("message_id"),
    _text("state"),
    Column("attempts", _Integer, nullable=False),
    _text("reason"),
    Column("noted_at", Utc, nullable=False),
    Column("next_at", Utc),
    Column("sent_at", Utc),
    ForeignKeyConstraint(["subscription_id"], ["subscription.subscription_id"]),
    UniqueConstraint("subscription_id", "period_start"),
    Index("delivery_by_tenant", "tenant_id", "noted_at"),
)
# SQL that people ran and saved. Texts and names are sealed (`serving.people.saved_queries`).
QUERY_HISTORY = Table(
    "query_history",
    METADATA,
    Column("query_id", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("email"),
    _text("sql"),
    Column("at", Utc, nullable=False),
    _text("outcome"),
    Column("rows", _Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    Index("query_history_by_person", "tenant_id", "email"),
)
SAVED_QUERY = Table(
    "saved_query",
    METADATA,
    Column("query_id", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("email"),
    _text("name"),
    _text("sql"),
    Column("is_shared", Boolean, nullable=False),
    Column("saved_at", Utc, nullable=False),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    UniqueConstraint("tenant_id", "email", "name"),
)
# Rules on metrics (`serving.people.alerts`). `threshold` is a decimal as text, in the metric's unit.
ALERT_BUDGET = Table(
    "alert_budget",
    METADATA,
    _text("tenant_id", key=True),
    _text("email", key=True),
    Column("alarms_a_week", _Integer, nullable=False),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
)
ALERT = Table(
    "alert",
    METADATA,
    Column("alert_id", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("email"),
    _text("metric"),
    _text("service_unit_id"),
    Column("with_units_below", Boolean, nullable=False),
    _text("every"),
    _text("kind"),
    _text("side"),
    _text("threshold", nullable=True),
    _text("volume_metric"),
    Column("least_volume", _Integer, nullable=False),
    Column("late_days", _Integer, nullable=False),
    _text("made_by"),
    Column("made_at", Utc, nullable=False),
    Column("snoozed_until", Date),
    Column("ended_at", Utc),
    _text("ended_because"),
    _text("checked_for"),
    _text("problem"),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    Index("alert_by_person", "tenant_id", "email"),
)
# One mail with alarms to a person, written before the mail is made (`serving.people.alarm_mails`).
ALARM_MAIL = Table(
    "alarm_mail",
    METADATA,
    Column("mail_id", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("email"),
    _text("message_id"),
    _text("state"),
    Column("attempts", _Integer, nullable=False),
    _text("reason"),
    Column("may_have_arrived", Boolean, nullable=False),
    Column("noted_at", Utc, nullable=False),
    Column("next_at", Utc),
    Column("sent_at", Utc),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    Index("alarm_mail_by_person", "tenant_id", "email"),
)
# What a rule said of a unit and a period: one row each. Figures are decimals as text. Notes are sealed.
ALERT_EVALUATION = Table(
    "alert_evaluation",
    METADATA,
    Column("evaluation_id", _Integer, primary_key=True),
    Column("alert_id", _Integer, nullable=False),
    _text("tenant_id"),
    _text("service_unit_id"),
    Column("period_start", Date, nullable=False),
    Column("period_end", Date, nullable=False),
    _text("value", nullable=True),
    _text("base", nullable=True),
    _text("volume", nullable=True),
    _text("verdict"),
    _text("reason"),
    _text("figures_mark"),
    Column("size", Float, nullable=False),
    Column("data_as_of", Date, nullable=False),
    Column("evaluated_at", Utc, nullable=False),
    Column("mail_id", _Integer),
    _text("acknowledged_by", nullable=True),
    Column("acknowledged_at", Utc),
    _text("sealed_note", nullable=True),
    ForeignKeyConstraint(["alert_id"], ["alert.alert_id"]),
    ForeignKeyConstraint(["mail_id"], ["alarm_mail.mail_id"]),
    UniqueConstraint("alert_id", "service_unit_id", "period_start"),
    Index("alert_evaluation_by_tenant", "tenant_id", "evaluated_at"),
)
# Reports that people built. Names and definitions are sealed (`serving.people.reports`).
SAVED_REPORT = Table(
    "saved_report",
    METADATA,
    _text("report_id", key=True),
    _text("tenant_id"),
    _text("email"),
    _text("name"),
    _text("definition"),
    Column("is_shared", Boolean, nullable=False),
    Column("saved_at", Utc, nullable=False),
    # The page of figures on which it stands; empty for none.
    Column("pinned_to", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    UniqueConstraint("tenant_id", "email", "name"),
)
# Forecasts as they were made (`serving.people.forecast_log`). Numbers are decimals as text; `points` is JSON. An audit row holds the digest
# of each issue.
FORECAST_ISSUE = Table(
    "forecast_issue",
    METADATA,
    Column("issue_number", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("issue_id"),
    _text("version"),
    Column("data_as_of", Date, nullable=False),
    _text("model"),
    _text("made_by"),
    Column("made_at", Utc, nullable=False),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    UniqueConstraint("tenant_id", "issue_id"),
    UniqueConstraint("tenant_id", "version", "model"),
)
FORECAST = Table(
    "forecast",
    METADATA,
    Column("forecast_number", _Integer, primary_key=True),
    _text("tenant_id"),
    _text("issue_id"),
    Column("position", _Integer, nullable=False),
    _text("metric"),
    _text("grain"),
    _text("service_unit_id"),
    _text("definition"),
    Column("is_shown", Boolean, nullable=False),
    _text("reason"),
    Column("origins", _Integer, nullable=False),
    Column("outcomes", _Integer, nullable=False),
    _text("held", nullable=True),
    _text("scaled_error", nullable=True),
    _text("obvious_scaled_error", nullable=True),
    _text("points"),
    ForeignKeyConstraint(["tenant_id", "issue_id"], ["forecast_issue.tenant_id", "forecast_issue.issue_id"]),
    UniqueConstraint("tenant_id", "issue_id", "position"),
)
# One row: how many audit rows there are, and a mac over that, so that cutting off the end of the chain is found too.
AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", _Integer, primary_key=True),
    Column("sequence", _Integer, nullable=False),
    _text("mac"),
)
_APPEND_ONLY = "audit rows are append-only"
_OF_SQLITE = [
    f"create trigger audit_no_{operation} before {operation} on audit begin select raise(abort, '{_APPEND_ONLY}'); end"
    for operation in ("update", "delete")
]
_OF_POSTGRESQL = [
    "create or replace function audit_is_append_only() returns trigger language plpgsql as "
    f"$$ begin raise exception '{_APPEND_ONLY}'; end $$",
    "create trigger audit_no_change before update or delete on audit for each row execute function audit_is_append_only()",
    "create trigger audit_no_truncate before truncate on audit for each statement execute function audit_is_append_only()",
]
for _dialect, _statements in (("sqlite", _OF_SQLITE), ("postgresql", _OF_POSTGRESQL)):
    for _statement in _statements:
        event.listen(AUDIT, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]


ACCESS = Store(
    metadata=METADATA, steps=Path(__file__).parent / "migrations" / "versions", unnumbered="0001", keeps_copy=True
)
