"""`clinicmart keys`: keys for processes that may not hold the master key, and new keys in place of old ones."""

import base64

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_json, print_table, recorded
from foundation.home import Home


@click.group()
def keys() -> None:
    """List keys, print the key of a process that may read only a part of the home, and rotate keys."""


@keys.command()
@home_option
@json_option
@existing_home
def serving(home: Home, as_json: bool) -> None:
    """Print the key for `clinicmart serve`, to give it as CLINICMART_SERVING_KEY.

    It opens published files, closed months, sessions and the audit log. It does not open landed files, the patient vault, the
    inbox or the warehouse. Printing it is recorded in the audit log.
    """
    from foundation.key_masters import SERVING

    _print_key(home, SERVING, as_json)


@keys.command()
@home_option
@json_option
@existing_home
def ingest(home: Home, as_json: bool) -> None:
    """Print the key of a process that reads landed data and publishes nothing, to give it as CLINICMART_INGEST_KEY.

    It opens the inbox, landed files, the patient vault and the warehouse. It does not open published files, closed months, sessions
    or the audit log. Printing it is recorded in the audit log.
    """
    from foundation.key_masters import INGEST

    _print_key(home, INGEST, as_json)


@keys.command("list")
@home_option
@json_option
@recorded
def list_keys(home: Home, as_json: bool) -> None:
    """List whose keys the home holds, and what opens them. No key is shown."""
    from clinicmart.key_rotation import key_list

    listed = key_list(home)
    if as_json:
        print_json(listed)
        return
    print_table(
        ["Tenant", "Grant", "Opened by", "Generations", "Fingerprint", "From an earlier release"],
        [
            [
                item["tenant_id"] or "(home)",
                item["grant"],
                ", ".join(item["masters"]),  # type: ignore[arg-type]
                ", ".join(str(number) for number in item["generations"]),  # type: ignore[attr-defined]
                item["fingerprint"],
                "yes" if item["follows_from_earlier_master"] else "",
            ]
            for item in listed
        ],
    )


@keys.command()
@click.option("--tenant", metavar="TENANT", help="Give this tenant new keys, and write its files again under them.")
@click.option("--finish", is_flag=True, help="End a rotation: the earlier master key opens nothing any more.")
@click.option("--aws-kms-ingest", metavar="KEY", help="Let this AWS KMS key (id or ARN) open the ingest grant.")
@click.option("--aws-kms-serving", metavar="KEY", help="Let this AWS KMS key (id or ARN) open the serving grant.")
@click.option("--aws-region", default="", help="Region of the KMS keys. Default: that of the environment.")
@click.option("--aws-endpoint", default="", metavar="URL", help="Address of the KMS. Default: that of AWS.")
@home_option
@json_option
@existing_home
def rotate(
    home: Home,
    tenant: str | None,
    finish: bool,
    aws_kms_ingest: str | None,
    aws_kms_serving: str | None,
    aws_region: str,
    aws_endpoint: str,
    as_json: bool,
) -> None:
    """Replace the master key, or with --tenant the keys of a tenant, while runs and pages go on.

    The new master key and the earlier one open the home until you run the command again with --finish. If the master key comes from
    CLINICMART_MASTER_KEY, the new one is printed once: give it to every process, then finish. With --aws-kms-ingest and
    --aws-kms-serving, keys in AWS KMS replace the master key.

    With --tenant, every landed and published file, the vault and the closed months of the tenant are written again, step by step. Then
    its earlier keys are destroyed. If the command is killed, run it again.
    """
    from clinicmart import key_rotation
    from foundation.errors import ConfigurationError
    from foundation.key_masters import AWS_KMS, Provider
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    if tenant is not None:
        if finish or aws_kms_ingest or aws_kms_serving:
            raise ConfigurationError(
                "use --tenant without the other options: rotate the master key with another command"
            )
        _rotate_tenant(home, tenant, as_json)
        return
    if finish:
        done = key_rotation.finish(home)
        AccessStore.open(home).audit(PLATFORM, operator(), "master key finished", detail={"closed": list(done.closed)})
        if as_json:
            print_json({"files": done.files, "closed": list(done.closed)})
        else:
            click.echo(
                f"{', '.join(done.closed)} no longer opens this home: {done.files} key files."
                if done.closed
                else "No earlier master key opens this home."
            )
        return
    if bool(aws_kms_ingest) != bool(aws_kms_serving) or (aws_kms_ingest and aws_kms_ingest == aws_kms_serving):
        raise ConfigurationError("give two different KMS keys: --aws-kms-ingest and --aws-kms-serving")
    provider = None
    if aws_kms_ingest and aws_kms_serving:
        provider = Provider(
            provider=AWS_KMS, ingest=aws_kms_ingest, serving=aws_kms_serving, region=aws_region, endpoint=aws_endpoint
        )
    rotated = key_rotation.rotate(home, provider)
    AccessStore.open(home).audit(PLATFORM, operator(), "master key rotated", detail={"masters": dict(rotated.masters)})
    if as_json:
        print_json({"files": rotated.files, "masters": dict(rotated.masters), "new_key": rotated.new_key or None})
        return
    if rotated.new_key:
        click.echo(rotated.new_key)
    click.echo(
        f"{rotated.files} key files open with the new key and with the earlier one. Give the new key to every process"
        + (" (CLINICMART_MASTER_KEY is printed above, once)" if rotated.new_key else "")
        + ", and new serving keys to web servers; restart them; then run clinicmart keys rotate --finish.",
        err=True,
    )


def _rotate_tenant(home: Home, tenant: str, as_json: bool) -> None:
    from clinicmart.tenant_rotation import rotate_tenant
    from serving.people.store import AccessStore

    done = rotate_tenant(home, tenant, lambda text: click.echo(f"{tenant}: {text}", err=True))
    detail = {"files": done.files, "destroyed": list(done.destroyed)}
    AccessStore.open(home).audit(tenant, operator(), "tenant keys rotated", detail=detail)
    if as_json:
        print_json({"tenant_id": tenant} | detail)
    else:
        click.echo(f"{tenant}: {done.files:,} files are under new keys; the earlier keys are destroyed")


def _print_key(home: Home, grant: str, as_json: bool) -> None:
    from foundation.keys import INGEST_VARIABLE, SERVING_VARIABLE, Keys
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    held = Keys.of(home)
    # The key first: a process that holds the serving key alone is refused before anything is recorded.
    key = base64.b64encode(held.grant_key(grant)).decode()
    held.add_tenants(home.published_tenants())
    AccessStore.open(home).audit(PLATFORM, operator(), f"{grant} key printed")
    if as_json:
        print_json({"variable": {"serving": SERVING_VARIABLE, "ingest": INGEST_VARIABLE}[grant], "key": key})
    else:
        click.echo(key)
