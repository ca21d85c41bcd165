"""Mails of subscriptions: a sensor looks what is due, and a job sends it in a process that knows pages, as the orchestrator does not."""

import hashlib
import subprocess
import sys
from datetime import UTC, datetime

from dagster import (
    DefaultSensorStatus,
    Failure,
    JobDefinition,
    OpExecutionContext,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    job,
    op,
    sensor,
)

from dagster_project.workspace import Workspace

DELIVERIES_JOB = "send_mail"


def send_mail(workspace: Workspace) -> JobDefinition:
    """The job that sends what is due."""

    @op(name="deliver", description="Runs clinicmart deliver: the mails of subscriptions that are due.")
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
        description="Looks every five minutes for mails of subscriptions that are due or can be tried again.",
    )
    def look(_: SensorEvaluationContext) -> RunRequest | SkipReason:
        from serving.people.due_mail import any_due

        if workspace.config.mail is None:
            return SkipReason("the configuration names no mail server")
        due = any_due(workspace.home, datetime.now(UTC))
        if not due:
            return SkipReason("no mail is due")
        # What is due changes with each attempt, so that one attempt is asked for once.
        return RunRequest(run_key=hashlib.sha256(due.encode()).hexdigest())

    return look
