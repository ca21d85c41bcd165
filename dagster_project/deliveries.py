"""Mails of subscriptions, and alerts: a sensor looks what is due, and a job sends it in a process that knows pages, as the orchestrator
does not."""

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

    @op(name="deliver", description="Runs clinicmart deliver: the mails that are due, and alerts.")
    def deliver(context: OpExecutionContext) -> None:
        words = [sys.executable, "-P", "-m", "clinicmart.main", "deliver", "--home", str(workspace.home.path)]
        words += ["--config", str(workspace.config.file)]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
        context.log.info(ran.stdout)
        if ran.returncode:
            raise Failure(f"not every mail was sent: {ran.stderr.strip() or ran.stdout.strip()}")

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

        if workspace.config.mail is None:
            return SkipReason("the configuration names no mail server")
        now = datetime.now(UTC)
        under_way = RunsFilter(job_name=DELIVERIES_JOB, statuses=UNENDED, updated_after=now - LONGEST_RUN)
        if context.instance.get_runs_count(under_way):
            return SkipReason("mail is being sent")
        if not (any_due(workspace.home, now) or any_alert_due(workspace.home, now)):
            return SkipReason("no mail and no alert is due")
        # Without a key: an attempt that ended before it was counted is asked for again.
        return RunRequest()

    return look
