"""The Bulk Data `$export` of a FHIR server into the inbox: kick-off, polling, manifest, files (Bulk Data Access IG 1.0 to 3.0).

Every step is on disk before the next: the status address as soon as the server gives it, the manifest before the first file,
each file as soon as it is complete. If a run ends early, the next run continues there: it uses the same export and fetches only
the missing files. Readers see the delivery once it is complete. An export that the server forgot, or whose files have expired,
is requested again.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from ingest.inbox.inbox import Inbox
from ingest.receive.fhir.download import fetch
from ingest.receive.fhir.export_status import EXPIRED, ExportFailed, poll, whole_manifest
from ingest.receive.fhir.http import Answer, Http, absolute, refused
from ingest.receive.fhir.known_ids import learn, resources
from ingest.receive.fhir.manifest import Manifest
from ingest.receive.fhir.problems import Forgotten, NotYet, Refused, ServerProblem, issues_of
from ingest.receive.fhir.state import ExportedFile, Job, State, instant

progress = logging.getLogger("clinicmart.progress")

KICK_OFFS = 3
GIB = 1 << 30
MAXIMUM_JOB_AGE = timedelta(days=14)
# Servers may refuse to export the same group again within a day.
SAME_DAY = timedelta(hours=26)
# Where a manifest gives no transaction time: how far before the kick-off the next export begins.
MARGIN = timedelta(hours=1)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_PATHS = {"system": "$export", "patient": "Patient/$export"}


@dataclass
class BulkExport:
    """One feed's exports. `types` are asked for, `offered` are those that the server lists; without `knows_since` each export
    is whole. `wanted_ids` are types whose ids searches name."""

    http: Http
    inbox: Inbox
    state: State
    feed: str
    types: tuple[str, ...]
    offered: frozenset[str]
    knows_since: bool
    wanted_ids: frozenset[str]

    def run(self, *, full_refresh: bool) -> None:
        """Brings one export, the one under way or a new one, and shows it to readers. Raises ServerProblem, NotYet."""
        self._delete_finished()
        job = self.state.job
        if job is not None and ((full_refresh and job.since is not None) or _is_old(job)):
            self._abandon(job)
        for _ in range(KICK_OFFS):
            try:
                if self.state.job is None and not self._kick_off(full_refresh):
                    return
                self._finish(self._listed(self._job()))
                return
            except Forgotten:
                self.state.note(
                    "export",
                    "export_started_again",
                    "the export or its files had expired at the server, so a new export was started",
                )
                self._abandon(self._job())
            except ExportFailed:
                self._abandon(self._job())
                raise
        raise ServerProblem(
            f"the server dropped {KICK_OFFS} exports in a row before they could be downloaded",
            "Ask the server's owner",
        )

    def _job(self) -> Job:
        assert self.state.job is not None
        return self.state.job

    def _abandon(self, job: Job) -> None:
        """Gives up an export and its files, and tells the server."""
        if job.folder is not None:
            self.inbox.discard(job.folder)
        self.state.job, self.state.to_delete = None, job.status_url
        self.state.save(self.inbox)
        self._delete_finished()

    def _delete_finished(self) -> None:
        """Tells the server that it may delete a finished export. Many servers do not support this, so a failure is ignored."""
        if self.state.to_delete is None:
            return
        try:
            self.http.ask("DELETE", self.state.to_delete, "the export's status", passing=frozenset())
        except ServerProblem:
            return
        self.state.to_delete = None
        self.state.save(self.inbox)

    def _since(self, types: tuple[str, ...], full_refresh: bool) -> str | None:
        """The time from which changes are requested; None requests everything: on demand, and if a type was not exported
        before."""
        if full_refresh or not self.knows_since or not set(types) <= set(self.state.types):
            return None
        return self.state.since

    def _kick_off(self, full_refresh: bool) -> bool:
        """Requests an export; False if the server refuses because it gave one within the day. If a server refuses unknown
        types, the export is requested again with the types that it lists.
        """
        listed = tuple(name for name in self.types if name in self.offered)
        answer = self._ask(self.types, full_refresh)
        if answer.status in (400, 422) and listed not in ((), self.types):
            left_out = [f"the server does not export {name}" for name in self.types if name not in listed]
            answer = self._ask(listed, full_refresh)
            if answer.status == 202:
                self.state.note_once("export_types_left_out", left_out)
        return self.state.job is not None or self._not_begun(answer)

    def _ask(self, types: tuple[str, ...], full_refresh: bool) -> Answer:
        """One kick-off; where the server takes it on, the export is on disk when this returns."""
        server, since = self.http.server, self._since(types, full_refresh)
        path = _PATHS.get(server.export) or f"Group/{quote(server.group or '', safe='')}/$export"
        query = {"_outputFormat": "application/fhir+ndjson", "_type": ",".join(types)} | (
            {"_since": since} if since else {}
        )
        url = f"{server.url}/{path}?" + "&".join(f"{name}={quote(value, safe=',')}" for name, value in query.items())
        asked_at = datetime.now(UTC)
        answer = self.http.ask("GET", url, "the export", headers={"Prefer": "respond-async"})
        location = answer.headers.get("content-location", "")
        if answer.status == 202 and location:
            status_url = absolute(url, location)
            self.http.check_address(status_url, "the export's status")
            self.state.job = Job(status_url=status_url, asked_at=asked_at.isoformat(), types=list(types), since=since)
            self.state.save(self.inbox)
            progress.info("%s: export asked for%s", self.feed, f", changes since {since}" if since else ", everything")
        return answer

    def _not_begun(self, answer: Answer) -> bool:
        last = instant(self.state.completed_at)
        if answer.status in (400, 403, 409, 422, 429) and last is not None and datetime.now(UTC) - last < SAME_DAY:
            self.state.note(
                "export",
                "export_refused",
                f"the server refused a new export with status {answer.status}; the last export is less than a day old",
            )
            self.state.save(self.inbox)
            return False
        if answer.status == 202:
            raise ServerProblem(
                "the server accepted the export but gave no address for its status", "Ask the server's owner"
            )
        raise refused(answer, "the export", with_text=True)

    def _listed(self, job: Job) -> Job:
        """The export with its files known: asks until the server is done."""
        if job.folder is None:
            self._take_manifest(job, whole_manifest(self.http, job, poll(self.http, job, self.feed)))
        return job

    def _take_manifest(self, job: Job, manifest: Manifest) -> None:
        """Puts the list of files on disk, and opens the delivery they go into."""
        moment = instant(manifest.transaction_time)
        if moment is not None and EARLIEST < moment < datetime.now(UTC) + timedelta(days=1):
            job.transaction_time = manifest.transaction_time
        else:
            detail = "the manifest has no valid transactionTime; the time of the request was used"
            self.state.note("manifest", "export_without_time", detail)
            moment = datetime.fromisoformat(job.asked_at) - MARGIN
            job.transaction_time = moment.isoformat()
        folder = self.state.next_folder(moment.astimezone(UTC), "export")
        job.requires_token, job.files = manifest.requires_token, _files(manifest, folder)
        if job.files:
            self.inbox.begin(folder)
        job.folder = folder
        self.state.save(self.inbox)

    def _finish(self, job: Job) -> None:
        """Fetches the missing files, and shows the delivery to readers."""
        self._fetch_all(job)
        assert job.folder is not None
        learn(self.inbox, job.folder, self.wanted_ids)
        self._note_outcomes(job)
        self.inbox.finish(job.folder)
        state = self.state
        state.since, state.types = job.transaction_time, sorted(job.types)
        if job.since is None:
            state.whole_folder = job.folder
        state.completed_at, state.job, state.to_delete = datetime.now(UTC).isoformat(), None, job.status_url
        state.save(self.inbox)
        for file in job.files:
            if file.kind == "errors":
                self.inbox.path(file.name).unlink(missing_ok=True)
        self._delete_finished()

    def _fetch_all(self, job: Job) -> None:
        if job.files:
            assert job.folder is not None
            self.inbox.begin(job.folder)
        problems: list[ServerProblem] = []
        is_fresh = False
        for number, file in enumerate(job.files):
            if self.inbox.path(file.name).exists():
                continue
            try:
                self._fetch(job, file)
            except Refused as error:
                if error.status not in EXPIRED or is_fresh:
                    if error.status in (404, 410):
                        raise Forgotten from None
                    problems.append(error)
                    continue
                # Addresses of storage services live for minutes: the same manifest gives new ones.
                is_fresh = True
                self._renew_addresses(job)
                try:
                    self._fetch(job, file)
                except Refused as again:
                    if again.status in (404, 410):
                        raise Forgotten from None
                    problems.append(again)
            except NotYet:
                raise
            except ServerProblem as error:
                problems.append(error)
            if (number + 1) % 25 == 0 or number + 1 == len(job.files):
                progress.info("%s: %d of %d files of the export", self.feed, number + 1, len(job.files))
        if problems:
            more = f" (and {len(problems) - 1} other files)" if len(problems) > 1 else ""
            raise ServerProblem(f"{problems[0].problem}{more}", problems[0].remedy)

    def _fetch(self, job: Job, file: ExportedFile) -> None:
        assert job.transaction_time is not None
        moment = instant(job.transaction_time)
        assert moment is not None
        what = f"file {file.name.partition('/')[2]} of the export"
        self.http.check_address(file.url, what)
        fetched = fetch(
            self.http,
            self.inbox,
            file.url,
            file.name,
            what=what,
            token=job.requires_token,
            content_at=moment,
            limit_bytes=self.http.server.maximum_file_gib * GIB,
        )
        if file.count is not None and fetched.records != file.count:
            detail = f"the manifest says {file.count:,} resources, but {fetched.records:,} arrived"
            self.state.note(file.name, "export_count_differs", detail, abs(fetched.records - file.count))
            self.state.save(self.inbox)

    def _renew_addresses(self, job: Job) -> None:
        """Asks for the manifest again. Raises Forgotten where it is gone or lists other files."""
        answer = self.http.ask("GET", job.status_url, "the export's status", accept="application/json")
        if answer.status != 200:
            raise Forgotten
        assert job.folder is not None
        files = _files(whole_manifest(self.http, job, answer), job.folder)
        if [(f.name, f.count) for f in files] != [(f.name, f.count) for f in job.files]:
            raise Forgotten
        job.files = files
        self.state.save(self.inbox)

    def _note_outcomes(self, job: Job) -> None:
        """Counts the failed exports in the OperationOutcomes of the server: words of FHIR value sets, no free text."""
        for file in job.files:
            if file.kind != "errors" or not self.inbox.path(file.name).exists():
                continue
            counted: Counter[tuple[str, str]] = Counter()
            for outcome in resources(self.inbox, file.name):
                severity, code, _ = next(issues_of(outcome), ("other", "other", ""))
                counted[severity, code] += 1
            for (severity, code), number in sorted(counted.items()):
                self.state.note(file.name, "export_outcome", f"the server reports: {severity} {code}", number)


def _is_old(job: Job) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(job.asked_at) > MAXIMUM_JOB_AGE


def _files(manifest: Manifest, folder: str) -> list[ExportedFile]:
    """Names for the files of a manifest, by kind and type in its order; an address that comes twice is one file."""
    numbers: Counter[tuple[str, str]] = Counter()
    seen, files = set(), []
    for item in manifest.files:
        if (item.kind, item.url) in seen:
            continue
        seen.add((item.kind, item.url))
        place = "" if item.kind == "output" else f"{item.kind}/"
        # Outcomes are no data: their suffix keeps readers off.
        suffix = "outcomes" if item.kind == "errors" else "ndjson"
        name = f"{folder}/{place}{item.type}.{numbers[item.kind, item.type]:04d}.{suffix}"
        numbers[item.kind, item.type] += 1
        files.append(ExportedFile(kind=item.kind, type=item.type, url=item.url, name=name, count=item.count))
    return files
