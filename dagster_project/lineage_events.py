"""OpenLineage events of a run (spec 2-0-2): jobs start, complete and fail, and say what they read and wrote.

Jobs, in the configuration's namespace: `run`, and below it (parent facet) `<tenant>/land/<feed>`, `load`, `dbt` with a
`dbt/<model>` and a `dbt/test/<model>` each, and `<tenant>/publish`. Datasets: `<tenant>/feed/<feed>`,
`<tenant>/landing/<entity>`, `warehouse.raw.<entity>`, `warehouse.<schema>.<model>` and `<tenant>/published`.

Events hold names of our own things, counts and times: no name of a file or host, no message of a database or test (which may
quote a value), no row. The first event that cannot be written or sent is logged; the run goes on without further events.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from foundation.lineage_target import ENDPOINT, LineageTarget

if TYPE_CHECKING:
    # Imported where an event is sent: most configurations want none.
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import parent_run
    from openlineage.client.transport.transport import Transport

PRODUCER = "https://pypi.org/project/clinicmart"
RUN = "run"
DBT = "dbt"
# Names of `openlineage.client.event_v2.RunState`.
START, COMPLETE, FAIL = "START", "COMPLETE", "FAIL"
TIMEOUT_SECONDS = 5.0
_RETRIES = {"total": 2, "backoff_factor": 0.3, "status_forcelist": [500, 502, 503, 504], "allowed_methods": ["POST"]}
progress = logging.getLogger("clinicmart.progress")


def run_id_of(run_id: str, job: str) -> str:
    """The run id of a job within a run: the same however often it is asked for."""
    return run_id if job == RUN else str(uuid5(NAMESPACE_URL, f"clinicmart/{run_id}/{job}"))


@dataclass(kw_only=True)
class Told:
    """The facts that a job reports before it ends. `problem` marks it as failed, in words without content of a record; `shortcoming`
    describes a problem of a job that succeeded."""

    inputs: "list[InputDataset]" = field(default_factory=list)
    outputs: "list[OutputDataset]" = field(default_factory=list)
    problem: str = ""
    shortcoming: str = ""


class Emitter:
    """Sends events to the configuration's target; without one, does nothing."""

    def __init__(self, target: LineageTarget | None) -> None:
        self.target = target
        self.namespace = target.namespace if target is not None else ""
        self._transport: Transport | None = None
        self._failed = False

    @property
    def is_on(self) -> bool:
        """Whether events are wanted and the target has not failed."""
        return self.target is not None and not self._failed

    @contextmanager
    def job(
        self, run_id: str, name: str, *, about: str, kind: str = "TASK", parent: str | None = RUN
    ) -> Iterator[Told]:
        """START, the block, then COMPLETE; FAIL where it raises or names a problem."""
        facts = Told()
        self.state(START, run_id, name, about=about, kind=kind, parent=parent)
        try:
            yield facts
        except BaseException as error:
            # The message of an error may quote what it met; its kind does not.
            facts.problem = facts.problem or f"stopped by {type(error).__name__}; the log of the run says where"
            self.ended(run_id, name, facts, about=about, kind=kind, parent=parent)
            raise
        self.ended(run_id, name, facts, about=about, kind=kind, parent=parent)

    def ended(
        self,
        run_id: str,
        name: str,
        facts: Told,
        *,
        about: str,
        kind: str = "TASK",
        parent: str | None = RUN,
        at: datetime | None = None,
    ) -> None:
        """COMPLETE or FAIL, with the datasets and numbers that the job reported."""
        state = FAIL if facts.problem else COMPLETE
        self.state(state, run_id, name, about=about, kind=kind, parent=parent, facts=facts, at=at)

    def state(
        self,
        state: str,
        run_id: str,
        name: str,
        *,
        about: str,
        kind: str = "TASK",
        parent: str | None = RUN,
        facts: Told | None = None,
        at: datetime | None = None,
    ) -> None:
        """One event of a job: START, COMPLETE or FAIL. `parent` is the job it belongs to, None for the run itself; `at` (UTC) is now
        where absent."""
        if not self.is_on:
            return
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import (
            JobFacet,
            RunFacet,
            documentation_job,
            error_message_run,
            job_type_job,
            set_producer,
        )

        set_producer(PRODUCER)
        facts = facts or Told()
        facets: dict[str, RunFacet] = {}
        if parent is not None:
            facets["parent"] = self._parent(run_id, parent)
        if facts.problem or facts.shortcoming:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=facts.problem or facts.shortcoming, programmingLanguage="Python"
            )
        integration = "DBT" if name.split("/")[0] == "dbt" else "CLINICMART"
        job_facets: dict[str, JobFacet] = {
            "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration=integration, jobType=kind),
            "documentation": documentation_job.DocumentationJobFacet(description=about),
        }
        self._emit(
            RunEvent(
                eventTime=(at or datetime.now(UTC)).isoformat(),
                eventType=RunState[state],
                run=Run(runId=run_id_of(run_id, name), facets=facets),
                job=Job(namespace=self.namespace, name=name, facets=job_facets),
                inputs=facts.inputs,
                outputs=facts.outputs,
                producer=PRODUCER,
            )
        )

    def _parent(self, run_id: str, parent: str) -> "parent_run.ParentRunFacet":
        from openlineage.client.facet_v2 import parent_run

        return parent_run.ParentRunFacet(
            run=parent_run.Run(runId=run_id_of(run_id, parent)),
            job=parent_run.Job(namespace=self.namespace, name=parent),
            root=parent_run.Root(
                run=parent_run.RootRun(runId=run_id), job=parent_run.RootJob(namespace=self.namespace, name=RUN)
            ),
        )

    def _emit(self, event: "RunEvent") -> None:
        assert self.target is not None
        try:
            if self._transport is None:
                self._transport = _transport(self.target)
            self._transport.emit(event)
        except Exception as error:
            self._failed = True
            progress.warning(
                "lineage: events cannot go to %s (%s): the run goes on without them; check the section lineage of the "
                "configuration, and that its file or address can be written to from here",
                self.target.shown,
                type(error.__cause__ or error).__name__,
            )

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Surrounds the code that works out a job's datasets: a fault there is logged once, and never fails a run."""
        try:
            yield
        except Exception as error:
            self._failed = True
            progress.warning(
                "lineage: what the run read and wrote cannot be told (%s): it goes on without further events; this is a "
                "mistake of Clinicmart, please report it",
                type(error).__name__,
            )


def _transport(target: LineageTarget) -> "Transport":
    """The client's own transports, fully configured: nothing comes from the environment or a configuration file of the client."""
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

    if target.file is not None:
        _prepare(target.file)
        return FileTransport(FileConfig(log_file_path=str(target.file), append=True))
    assert target.url is not None
    parts = urlsplit(target.url)
    token = ApiKeyTokenProvider({"api_key": target.api_key}) if target.api_key else TokenProvider({})
    config = HttpConfig(
        url=f"{parts.scheme}://{parts.netloc}",
        endpoint=parts.path.strip("/") or ENDPOINT,
        timeout=TIMEOUT_SECONDS,
        auth=token,
        retry=dict(_RETRIES),
    )
    return HttpTransport(config)


def _prepare(file: Path) -> None:
    """Makes the file, readable by its owner alone."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
