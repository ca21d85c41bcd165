"""Who there is, who may sign in, and what was done: `access.sqlite` of a home.

Of a session only the SHA-256 of its token is kept, and its rights are looked up on every request, so that a change of
role or a lock takes effect at once. Sign-in answers the same, and takes the same time, for an unknown user and for a
wrong password. Every sign-in and every change of rights is an audit row.
"""

from datetime import timedelta

from foundation.keys import Keys
from serving.people.alarm_mails import AlarmMails
from serving.people.alerts import Alerts
from serving.people.annotations import Annotations
from serving.people.announcements import Announcements
from serving.people.api_tokens import ApiTokens
from serving.people.audit_store import AuditStore
from serving.people.branding import Brandings
from serving.people.embedding_sites import EmbeddingSites
from serving.people.embedding_tickets import Ticket, signed, ticket_of
from serving.people.forecast_log import ForecastLog
from serving.people.oidc_store import OidcStore
from serving.people.passkey_store import PasskeyStore
from serving.people.provisioning_store import ProvisioningStore
from serving.people.removal_requests import RemovalRequests
from serving.people.reports import Reports
from serving.people.saved_queries import Queries
from serving.people.subscriptions import Subscriptions
from serving.people.support_sessions import SupportSessions
from serving.people.targets import Targets
from serving.people.work_entries import Entries


class AccessStore(ProvisioningStore, PasskeyStore, OidcStore, AuditStore):
    """The access database of one home. Thread-safe; open it as often as you like."""

    @property
    def targets(self) -> Targets:
        """What tenants want figures to be."""
        return Targets(reading=self._reading, writing=self._writing, audit=self._audit)

    @property
    def api_tokens(self) -> ApiTokens:
        """The tokens with which programs ask in the name of people."""
        return ApiTokens(reading=self._reading, writing=self._writing, audit=self._audit)

    @property
    def announcements(self) -> Announcements:
        """What the platform announces on the pages of all organizations."""
        return Announcements(reading=self._reading, writing=self._writing, audit=self._audit)

    @property
    def removal_requests(self) -> RemovalRequests:
        """Organizations that shall leave for ever."""
        return RemovalRequests(reading=self._reading, writing=self._writing, audit=self._audit)

    @property
    def brandings(self) -> Brandings:
        """How organizations show themselves on their pages."""
        return Brandings(reading=self._reading, writing=self._writing, audit=self._audit)

    @property
    def support_sessions(self) -> SupportSessions:
        """When administrators of the platform looked at the pages of an organization."""
        return SupportSessions(reading=self._reading, writing=self._writing, audit=self._audit)

    @property
    def embedding_sites(self) -> EmbeddingSites:
        """The sites of others that show figures."""
        return EmbeddingSites(reading=self._reading, writing=self._writing, audit=self._audit)

    def signed_ticket(self, ticket: Ticket, life: timedelta) -> str:
        """A ticket for one view in a site, as a token that expires."""
        return signed(ticket, self._key, life)

    def ticket_of(self, token: str) -> Ticket:
        """The ticket of a token. Raises AccessError where it is not one of ours."""
        return ticket_of(token, self._key)

    @property
    def subscriptions(self) -> Subscriptions:
        """Who gets pages by mail, and which mails were sent."""
        return Subscriptions(reading=self._reading, writing=self._writing, audit=self._audit, key=self._key)

    @property
    def alerts(self) -> Alerts:
        """Rules on metrics, and what they said of each period."""
        return Alerts(reading=self._reading, writing=self._writing, audit=self._audit, key=self._key)

    @property
    def alarm_mails(self) -> AlarmMails:
        """The mails with alarms."""
        return AlarmMails(reading=self._reading, writing=self._writing, audit=self._audit, key=self._key)

    def reports(self, keys: Keys, tenant_id: str, email: str, *, actor: str = "") -> Reports:
        """The reports that a person built and saved. `actor` is who changes them where it is another person."""
        return Reports(
            keys=keys,
            tenant_id=tenant_id,
            email=email,
            reading=self._reading,
            writing=self._writing,
            audit=self._audit,
            actor=actor,
        )

    def queries(self, keys: Keys, tenant_id: str, email: str, *, actor: str = "") -> Queries:
        """The SQL that a person ran and saved. `actor` is who changes saved queries where it is another person."""
        return Queries(
            keys=keys,
            tenant_id=tenant_id,
            email=email,
            reading=self._reading,
            writing=self._writing,
            audit=self._audit,
            actor=actor,
        )

    def annotations(self, keys: Keys, tenant_id: str) -> Annotations:
        """What people of a tenant wrote about days."""
        return Annotations(
            keys=keys, tenant_id=tenant_id, reading=self._reading, writing=self._writing, audit=self._audit
        )

    def forecasts(self, tenant_id: str) -> ForecastLog:
        """The forecasts of a tenant as they were made."""
        return ForecastLog(tenant_id=tenant_id, reading=self._reading, writing=self._writing, audit=self._audit)

    def work_entries(self, keys: Keys, tenant_id: str, list_name: str) -> Entries:
        """What people noted on the rows of a worklist."""
        return Entries(
            keys=keys,
            tenant_id=tenant_id,
            list_name=list_name,
            reading=self._reading,
            writing=self._writing,
            audit=self._audit,
        )
