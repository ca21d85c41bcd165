"""Asking a server how far an export is, and for its manifest once it is done."""

import logging

from ingest.receive.fhir.http import ATTEMPTS, PASSING, Answer, Http, origin, refused
from ingest.receive.fhir.manifest import Manifest, parse_manifest
from ingest.receive.fhir.pace import backoff
from ingest.receive.fhir.problems import Forgotten, Refused, ServerProblem, issues, plain
from ingest.receive.fhir.state import Job

progress = logging.getLogger("clinicmart.progress")

# The status of files and manifests that a server no longer keeps; storage services send 403.
EXPIRED = (403, 404, 410)
_STATUS = "the export's status"
# These concern the request, not the export, which may continue.
_NOT_ABOUT_THE_EXPORT = PASSING.union({401, 403}) - {500}


class ExportFailed(Refused):
    """The server gave the export up."""


def poll(http: Http, job: Job, feed: str) -> Answer:
    """The first page of the manifest, waited for. Raises Forgotten, ExportFailed, NotYet, ServerProblem."""
    asked, failures, last_progress = 0, 0, ""
    while True:
        answer = http.ask("GET", job.status_url, _STATUS, accept="application/json", passing=PASSING - {500})
        if answer.status == 200:
            return answer
        if answer.status in (404, 410):
            raise Forgotten
        if answer.status == 202:
            asked += 1
            now = plain(answer.headers.get("x-progress"))
            if now != last_progress:
                progress.info("%s: export under way: %s", feed, now)
            last_progress = now
            seconds = backoff(asked) if answer.retry_after is None else max(answer.retry_after, 0.5)
            more = f" ({now})" if now else ""
            http.pace.wait(seconds, f"the export asked for at {job.asked_at[:16]} UTC is under way{more}")
            continue
        failures += 1
        codes = {code for _, code, _ in issues(answer.content)}
        if answer.status in _NOT_ABOUT_THE_EXPORT:
            raise refused(answer, _STATUS, with_text=False)
        # A 500 without a reason, or one that the server calls transient, is no word on the export.
        if failures >= ATTEMPTS or answer.status != 500 or (codes and "transient" not in codes):
            problem = refused(answer, "the export failed at the server", with_text=False)
            raise ExportFailed(problem.status, problem.problem, "The next run asks for another; ask the server's owner")
        http.pace.wait(backoff(failures), "the status of the export could not be read")


def whole_manifest(http: Http, job: Job, answer: Answer) -> Manifest:
    """All pages of a manifest, from the answer that holds the first. Raises Forgotten, ServerProblem."""
    manifest = parse_manifest(answer.json("the manifest"), answer.url)
    seen, url = {job.status_url}, manifest.next_url
    while url is not None:
        if url in seen:
            raise ServerProblem("the pages of the manifest form a loop", "Ask the server's owner")
        if origin(url) != origin(job.status_url) and not http.may_have_token(url):
            raise ServerProblem(
                f"the next page of the manifest is on another host, {origin(url)[1]}",
                "If the host belongs to the server, add it to hosts of the feed's server",
            )
        http.check_address(url, "a page of the manifest")
        seen.add(url)
        answer = http.ask("GET", url, "a page of the manifest", accept="application/json")
        if answer.status in EXPIRED:
            raise Forgotten
        if answer.status != 200:
            raise refused(answer, "a page of the manifest", with_text=False)
        page = parse_manifest(answer.json("a page of the manifest"), answer.url)
        manifest.add(page)
        url = page.next_url
    return manifest
