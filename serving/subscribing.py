"""What a person may do with pages by mail: with the own subscriptions, and an administrator with those of all people of the tenant."""

from foundation.errors import AccessError
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.store import AccessStore
from serving.people.subscriptions import NOT_SENT, Delivery, MailRule, Subscription


class Subscribing:
    """The subscriptions that a person may see and change. Every refusal is audited."""

    def __init__(self, access: AccessStore, principal: Principal) -> None:
        self._access, self._principal = access, principal
        self._store, self._tenant_id = access.subscriptions, principal.tenant_id

    @property
    def is_for_all(self) -> bool:
        """Whether the person subscribes others too, and sets the tenant's rule."""
        return ROLES[self._principal.role].administers

    @property
    def _whose(self) -> str | None:
        return None if self.is_for_all else self._principal.email

    def rule(self) -> MailRule:
        """What may leave the tenant by mail."""
        return self._store.rule(self._tenant_id)

    def people(self) -> tuple[str, ...]:
        """User names of those whom the person may subscribe: the own one first."""
        others = [person.email for person in self._access.users(self._tenant_id)] if self.is_for_all else []
        return tuple(dict.fromkeys([self._principal.email, *others]))

    def subscriptions(self) -> tuple[Subscription, ...]:
        """The subscriptions that go on."""
        kept = self._store.of_tenant(self._tenant_id, self._whose)
        return tuple(item for item in kept if item.ended_at is None)

    def ended(self) -> tuple[Subscription, ...]:
        """The subscriptions that have ended, the last one first."""
        kept = [item for item in self._store.of_tenant(self._tenant_id, self._whose) if item.ended_at is not None]
        return tuple(reversed(kept))

    def mails(self) -> tuple[Delivery, ...]:
        """The last mails, the newest first."""
        return self._store.deliveries(self._tenant_id, self._whose)

    def not_sent(self) -> tuple[Delivery, ...]:
        """The last mails that were not sent and whose subscription goes on, the newest first: the person can ask for them again."""
        return self._store.not_sent(self._tenant_id, self._whose, of_going_on=True)

    def count_not_sent(self) -> int:
        """How many mails were not sent."""
        return self._store.count_not_sent(self._tenant_id, self._whose)

    def not_sent_first(self) -> tuple[Delivery, ...]:
        """The last mails that were not sent, then the others of the last mails; the newest first each."""
        first = self._store.not_sent(self._tenant_id, self._whose)
        return (*first, *(mail for mail in self.mails() if mail.state not in NOT_SENT))

    def subscribe(
        self,
        email: str,
        *,
        page: str,
        report_id: str = "",
        every: str,
        delay_days: int,
        file_format: str,
        password: str = "",
    ) -> Subscription:
        """Subscribes a person to a page or a saved report. Raises as `Subscriptions.subscribe`, AccessError too for another person's
        subscription."""
        if email not in self.people():
            raise self._refused("subscription made", {"user": email, "page": page})
        return self._store.subscribe(
            self._access.principal(self._tenant_id, email),
            page=page,
            report_id=report_id,
            every=every,
            delay_days=delay_days,
            file_format=file_format,
            password=password,
            actor=self._principal.email,
        )

    def end(self, subscription_id: int) -> None:
        """Ends a subscription. Raises AccessError for one that the person may not end."""
        if all(item.subscription_id != subscription_id for item in self.subscriptions()):
            raise self._refused("subscription ended", {"subscription": subscription_id})
        because = f"ended by {self._principal.email}"
        self._store.end(self._tenant_id, subscription_id, because=because, actor=self._principal.email)

    def send_again(self, delivery_id: int) -> None:
        """A mail that was not sent is tried with the next sending. Raises AccessError for one that the person may not ask for."""
        if not self._store.is_to(self._tenant_id, delivery_id, self._whose):
            raise self._refused("mail asked again", {"delivery": delivery_id})
        self._store.send_again(self._tenant_id, delivery_id, actor=self._principal.email)

    def set_rule(self, domains: tuple[str, ...], content: str) -> MailRule:
        """Sets the tenant's rule. Raises AccessError for everybody but an administrator, ConfigurationError as the store."""
        if not self.is_for_all:
            raise self._refused("mail rule set", {})
        return self._store.set_rule(self._tenant_id, domains, content, actor=self._principal.email)

    def _refused(self, action: str, detail: dict[str, object]) -> AccessError:
        self._access.audit(self._tenant_id, self._principal.email, action, detail=detail, result="refused")
        return AccessError("your role does not do this for others; ask your administrator")
