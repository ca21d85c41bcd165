"""Mails of subscriptions, and alerts: a sensor looks what is due, and a job sends it in a process that knows pages, as the orchestrator
does not. Without a mail server alerts are evaluated all the same: their alarms stand on the page Alerts."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

from dagster import (
    DefaultSensorStatus,
    Failure,
    JobDefinition,
    OpExecutionContext,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    job,
    op,
    sensor,
)

from dagster_project.triggers import UNENDED
from dagster_project.workspace import Workspace

DELIVERIES_JOB = "send_mail"
# A run of which nothing was heard for so long was killed: it does not hold up the next one.
LONGEST_RUN = timedelta(hours=2)


def send_mail(workspace: Workspace) -> JobDefinition:
    """The job that sends what is due."""

    has_mail = workspace.config.mail is not None
    command = ["deliver", "--config", str(workspace.config.file)] if has_mail else ["alerts", "check"]

    @op(name="deliver", description=f"Runs clinicmart {' '.join(command[:1] if has_mail else command)}.")
    def deliver(context: OpExecutionContext) -> None:
        words = [sys.executable, "-P", "-m", "clinicmart.main", *command, "--home", str(workspace.home.path)]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
        context.log.info(ran.stdout)
        if ran.returncode:
            raise Failure(f"not everything was done: {ran.stderr.strip() or ran.stdout.strip()}")

    @job(name=DELIVERIES_JOB, description="The mails of subscriptions that are due.")
    def mails() -> None:
        deliver()

    return mails


def mails_due(workspace: Workspace) -> SensorDefinition:
    """Starts the job when a mail is due."""

    @sensor(
        name="mails_due",
        job_name=DELIVERIES_JOB,
        minimum_interval_seconds=300,
        default_status=DefaultSensorStatus.RUNNING,
        description="Looks every five minutes for mails that are due or can be tried again, and for alerts to evaluate.",
    )
    def look(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        from serving.people.due_alerts import any_alert_due
        from serving.people.due_mail import any_due

        has_mail = workspace.config.mail is not None
        now = datetime.now(UTC)
        under_way = RunsFilter(job_name=DELIVERIES_JOB, statuses=UNENDED, updated_after=now - LONGEST_RUN)
        if context.instance.get_runs_count(under_way):
            return SkipReason("mail is being sent")
        is_mail_due = has_mail and any_due(workspace.home, now)
        if not (is_mail_due or any_alert_due(workspace.home, now, with_mail=has_mail)):
            without = "no alert is due, and the configuration names no mail server"
            return SkipReason("no mail and no alert is due" if has_mail else without)
        # Without a key: an attempt that ended before it was counted is asked for again.
        return RunRequest()

    return look
