"""The MLLP listener: frames, acknowledgements, limits, TLS, and what is read of what it took."""

import asyncio
import resource
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.config import Feed
from foundation.errors import ConfigurationError
from ingest.inbox.mllp_journal import Journal, read_journal
from ingest.receive.mllp.acknowledgement import ACCEPTED, NOT_KEPT, acknowledgement, read_header
from ingest.receive.mllp.frames import Frames, FrameTooLarge
from ingest.receive.mllp.listener import Limits
from ingest.sources import source_for
from tests.certificates import certificate
from tests.receive.mllp_sender import END, START, Sender, admission, feed_of, inbox_of, listening


def stored(home: Path, feed: Feed) -> list[bytes | None]:
    return [entry.content for entry in read_journal(inbox_of(home, feed), None)]


def msh(kind: str = "ADT^A04^ADT_A01", *, control: str = "C1", version: str = "2.5.1", rest: str = "") -> bytes:
    return (
        f"MSH|^~\\&|SENDER|HARBOR|CM|HERE|20260309120000||{kind}|{control}|P|{version}{rest}\rPID|1||MRN77\r".encode()
    )


def test_a_message_is_acknowledged_in_the_words_of_its_sender_and_is_on_disk(tmp_path: Path) -> None:
    feed = feed_of()

    async def run() -> list[list[str]]:
        async with listening(tmp_path, feed), Sender(feed) as sender:
            return await sender.send(admission(1))

    head, msa = asyncio.run(run())
    assert head[:6] == ["MSH", "^~\\&", "CM", "HARBOR", "SENDER", "HARBOR"]
    assert (head[8], head[10:]) == ("ACK^A04^ACK", ["P", "2.5.1"])
    assert msa == ["MSA", "AA", "C1"]
    assert stored(tmp_path, feed) == [admission(1).rstrip(b"\r")]


def test_nothing_received_can_be_read_without_the_key(tmp_path: Path) -> None:
    feed = feed_of()

    async def run() -> None:
        async with listening(tmp_path, feed), Sender(feed) as sender:
            await sender.send(admission(77))
            for path in inbox_of(tmp_path, feed).folder.iterdir():
                for telling in (b"MRN77", b"JANE", b"V77", b"C77", b"SENDER"):
                    assert telling not in path.read_bytes(), path

    asyncio.run(run())


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (b"hello", ["", "AR", "", "100"]),
        (b"PID|1||MRN77", ["", "AR", "", "100"]),
        ("MSH|^~\\&|A".encode("utf-16"), ["", "AR", "", "100"]),
        (b"MSH", ["", "AR", "", "102"]),
        (b"MSHabcdef", ["", "AR", "", "102"]),
        (msh("ORU^R01"), ["SENDER", "AR", "C1", "200"]),
        (msh(""), ["SENDER", "AR", "C1", "101"]),
        (msh("ADT"), ["SENDER", "AR", "C1", "101"]),
        (msh(version="3.0"), ["SENDER", "AR", "C1", "203"]),
        (msh() + msh(control="C2"), ["SENDER", "AR", "C1", "100"]),
        (msh().replace(b"|CM|", b"|OTHER|"), ["SENDER", "AR", "C1", "103"]),
        (msh(), ["SENDER", "AA", "C1", ""]),
        (msh(version=""), ["SENDER", "AA", "C1", ""]),
    ],
)
def test_what_can_never_be_read_is_rejected_with_a_reason(tmp_path: Path, message: bytes, answer: list[str]) -> None:
    feed = feed_of(receiving_application="CM")

    async def run() -> list[list[str]]:
        async with listening(tmp_path, feed), Sender(feed) as sender:
            return await sender.send(message)

    head, msa, *err = asyncio.run(run())
    assert [head[4], msa[1], msa[2], err[0][3].split("^")[0] if err else ""] == answer
    assert "MRN77" not in str([head, msa, err])
    assert len(stored(tmp_path, feed)) == (answer[1] == "AA")


@pytest.mark.parametrize(
    ("rest", "accepted", "failed"),
    [
        ("", "AA", "AE"),
        ("|||AL|NE", "CA", "CE"),
        ("|||AL|AL", "CA", "CE"),
        ("|||ER|NE", None, "CE"),
        ("|||SU|NE", "CA", None),
        ("|||NE|AL", "AA", "AE"),
        ("|||NE|ER", None, "AE"),
        ("|||NE|NE", None, None),
        ("||||AL", "AA", "AE"),
    ],
)
def test_enhanced_mode_answers_only_what_is_asked_for(rest: str, accepted: str | None, failed: str | None) -> None:
    header, problem = read_header(msh(rest=rest))
    assert problem is None
    codes = []
    for outcome, why in ((ACCEPTED, None), ("E", NOT_KEPT)):
        answer = acknowledgement(header, outcome, why)
        codes.append(None if answer is None else answer.split(b"\r")[1].split(b"|")[1].decode())
    assert codes == [accepted, failed]


def test_delimiters_character_set_and_version_of_the_answer_are_the_senders() -> None:
    text = "MSH#!@\\&#SÜD!1#HARBOR#CM#HERE#20260309120000##ORU!R01#C!1#T#2.3######8859/1\r"
    header, problem = read_header(text.encode("latin-1"))
    answer = acknowledgement(header, "R", problem)
    assert answer is not None
    head, msa, err = (line.split("#") for line in answer.decode("latin-1").rstrip("\r").split("\r"))
    assert (head[1], head[4], head[8], head[10:12], head[17]) == (
        "!@\\&",
        "SÜD!1",
        "ACK!R01!ACK",
        ["T", "2.3"],
        "8859/1",
    )
    assert msa[1:3] == ["AR", "C!1"]
    assert err == ["ERR", "MSH!1!9!200&Unsupported message type&HL70357"]


def test_a_message_sent_again_is_accepted_again_and_kept_once(tmp_path: Path) -> None:
    feed = feed_of()

    async def run() -> tuple[list[str], dict[str, int]]:
        async with listening(tmp_path, feed) as (port,):
            codes = []
            for message in (admission(1), admission(1), admission(2, control="C1"), admission(1)):
                async with Sender(feed) as sender:
                    codes.append((await sender.send(message))[1][1])
            return codes, dict(port.counts)

    codes, counts = asyncio.run(run())
    assert codes == ["AA"] * 4
    assert (counts["stored"], counts["repeated"], counts["changed"]) == (1, 2, 1)
    assert stored(tmp_path, feed) == [admission(1).rstrip(b"\r"), admission(2, control="C1").rstrip(b"\r")]


def test_frames_come_whole_however_the_bytes_arrive(tmp_path: Path) -> None:
    feed = feed_of()
    messages = [admission(n) for n in range(6)]
    stream = (
        b"\r\n"
        + START
        + messages[0]
        + b"\x1c"
        + START
        + messages[1]
        + END
        + b"\n"
        + messages[2]
        + END
        + START
        + messages[3][:40]
        + START
        + messages[3]
        + END
        + START
        + messages[4]
        + END
        + START
        + messages[5]
    )

    async def run() -> list[str]:
        async with listening(tmp_path, feed), Sender(feed) as sender:
            for at in range(0, len(stream), 7):
                await sender.put(stream[at : at + 7])
            return [(await sender.answer())[1][2] for _ in range(5)]

    assert asyncio.run(run()) == ["C0", "C1", "C2", "C3", "C4"]
    assert stored(tmp_path, feed) == [message.rstrip(b"\r") for message in messages[:5]], "the last one never ended"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_frames_are_the_same_for_every_way_to_cut_the_stream(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(START + part + END for part in parts)
    whole = Frames(1_000)
    at, expected, cut, found = 0, whole.feed(stream), Frames(1_000), []
    for size in cuts * (len(stream) // len(cuts) + 1):
        found += cut.feed(stream[at : at + size])
        at += size
    assert found == expected
    assert cut.held_bytes == whole.held_bytes


def test_a_frame_without_an_end_is_refused_at_its_limit() -> None:
    frames = Frames(100)
    assert [frames.feed(b"x" * 10) for _ in range(10)] == [[]] * 10
    with pytest.raises(FrameTooLarge):
        frames.feed(b"x")
    with pytest.raises(FrameTooLarge):
        Frames(100).feed(START + b"x" * 101 + END)


def test_limits_on_size_idle_time_and_connections(tmp_path: Path) -> None:
    feed = feed_of()
    limits = Limits(connections=2, message_bytes=2_000, idle_seconds=0.5, message_seconds=0.5, drain_seconds=0.2)

    async def run() -> dict[str, int]:
        async with listening(tmp_path, feed, limits=limits) as (port,):
            async with Sender(feed) as sender:
                await sender.put(START + admission(1) + b"x" * 2_000)
                answer = await sender.answer()
                assert (answer[1][1:3], answer[2][8]) == (
                    ["AR", "C1"],
                    "the message is larger than this listener takes",
                )
                assert await sender.reader.read() == b"", "and the connection ends"
            async with Sender(feed) as idle, Sender(feed) as slow:
                await slow.put(START + b"MSH|")
                async with Sender(feed) as third:
                    assert await third.reader.read() == b""
                assert await idle.reader.read() == b""
                assert await slow.reader.read() == b""
            return dict(port.counts)

    counts = asyncio.run(run())
    assert (counts["connections refused"], counts["connections idle too long"], counts["refused"]) == (1, 2, 1)
    assert stored(tmp_path, feed) == []


def test_too_many_unfinished_messages_are_put_off_not_rejected(tmp_path: Path) -> None:
    feed = feed_of()

    async def run() -> list[list[str]]:
        limits = Limits(held_bytes=200_000, drain_seconds=0.2)
        async with listening(tmp_path, feed, limits=limits), Sender(feed) as first, Sender(feed) as second:
            await first.put(START + admission(1) + b"x" * 150_000)
            await asyncio.sleep(0.2)
            await second.put(START + admission(2) + b"x" * 150_000)
            return await second.answer()

    _, msa, err = asyncio.run(run())
    assert (msa[1], err[3].split("^")[0]) == ("AE", "207")


def test_a_disk_that_refuses_is_told_to_the_sender_and_later_it_works(tmp_path: Path) -> None:
    feed = feed_of()

    async def run() -> list[str]:
        async with listening(tmp_path, feed), Sender(feed) as sender:
            codes = [(await sender.send(admission(1)))[1][1]]
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            big = admission(2) + b"NTE|1||" + b"x" * 3_000_000
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
            try:
                codes.append((await sender.send(big))[1][1])
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            codes.append((await sender.send(big))[1][1])
            return codes

    assert asyncio.run(run()) == ["AA", "AE", "AA"]
    assert [len(content or b"") for content in stored(tmp_path, feed)][1] > 3_000_000
    assert len(stored(tmp_path, feed)) == 2


def test_a_stop_lets_a_message_that_has_begun_end(tmp_path: Path) -> None:
    feed = feed_of()

    async def run() -> str:
        async with listening(tmp_path, feed, limits=Limits(drain_seconds=5)):
            sender = await Sender(feed).__aenter__()
            idle = await Sender(feed).__aenter__()
            await sender.put(START + admission(1)[:50])
            await asyncio.sleep(0.1)

            async def rest() -> str:
                assert await idle.reader.read() == b"", "idle connections end at once"
                await sender.put(admission(1)[50:] + END)
                return (await sender.answer())[1][1]

            answering = asyncio.create_task(rest())
        return await answering

    assert asyncio.run(run()) == "AA"
    assert len(stored(tmp_path, feed)) == 1


def test_one_listener_a_feed_and_many_feeds_a_listener(tmp_path: Path) -> None:
    one, other = feed_of("one"), feed_of("other")

    async def run() -> None:
        async with listening(tmp_path, one, other):
            for feed in (one, other):
                async with Sender(feed) as sender:
                    assert (await sender.send(admission(1)))[1][1] == "AA"
            with pytest.raises(ConfigurationError, match="another listener"):
                async with listening(tmp_path, one):
                    pass
            with pytest.raises(ConfigurationError, match="cannot listen on"):
                async with listening(tmp_path / "elsewhere", one):
                    pass

    asyncio.run(run())
    assert len(stored(tmp_path, one)) == len(stored(tmp_path, other)) == 1


def test_a_message_altered_on_disk_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    feed = feed_of()
    journal = Journal(inbox_of(tmp_path, feed))
    for number in range(3):
        journal.put(b"S", b"C%d" % number, admission(number)).result()
    journal._connection.execute("update message set payload = zeroblob(length(payload)) where sequence = 2")
    journal.close()
    (unit,) = source_for("hl7v2").discover(feed, inbox_of(tmp_path, feed))
    (chunk,) = source_for("hl7v2").read(unit)
    assert (chunk.records_read, chunk.records_used, (chunk.cursor or "").split(":")[1]) == (3, 2, "3")
    assert [(refusal.position, refusal.reason) for refusal in chunk.refusals] == [("message 2", "seal_broken")]


def test_landed_messages_are_removed_after_their_time_and_numbers_never_come_again(tmp_path: Path) -> None:
    feed = feed_of()
    inbox = inbox_of(tmp_path, feed)
    journal = Journal(inbox)
    for number in range(4):
        journal.put(b"S", b"C%d" % number, admission(number)).result()
    cursors = {entry.sequence: entry.cursor for entry in read_journal(inbox, None)}
    assert journal.remove_landed(cursors[4], 60).result() == 0, "not yet"
    assert journal.remove_landed(None, 0).result() == 0, "nothing is landed"
    journal._connection.execute("update message set received_at = received_at - 100")
    assert journal.remove_landed(cursors[3], 60).result() == 3
    assert [entry.sequence for entry in read_journal(inbox, None)] == [4]
    assert journal.remove_landed(cursors[4], 60).result() == 1
    journal.close()
    journal = Journal(inbox)
    journal.put(b"S", b"C9", admission(9)).result()
    journal.close()
    assert [entry.sequence for entry in read_journal(inbox, None)] == [5]


def test_a_journal_put_in_the_place_of_another_is_read_from_its_beginning(tmp_path: Path) -> None:
    feed, cursors = feed_of(), []
    for home in ("one", "other"):
        journal = Journal(inbox_of(tmp_path / home, feed))
        for number in range(3):
            journal.put(b"S", b"C%d" % number, admission(number)).result()
        journal.close()
        cursors.append([entry.cursor for entry in read_journal(inbox_of(tmp_path / home, feed), None)])
    one = inbox_of(tmp_path / "one", feed)
    assert [entry.sequence for entry in read_journal(one, cursors[0][1])] == [3]
    assert [entry.sequence for entry in read_journal(one, cursors[1][1])] == [1, 2, 3]
    later = cursors[0][1].split(":")[0] + ":9"
    assert [entry.sequence for entry in read_journal(one, later)] == [1, 2, 3], "restored to an earlier state"


def test_tls_takes_senders_of_its_authority_and_refuses_others(tmp_path: Path) -> None:
    authority, stranger = certificate(tmp_path, "authority"), certificate(tmp_path, "stranger")
    certificate(tmp_path, "server", authority)
    certificate(tmp_path, "sender", authority)
    certificate(tmp_path, "intruder", stranger)
    files = {"certificate": "server.pem", "key": "server.key", "client_authorities": "authority.pem"}
    feed = feed_of(**{name: tmp_path / file for name, file in files.items()})

    def context(name: str | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        if name is not None:
            made.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        return made

    async def send(name: str | None, number: int) -> str:
        assert feed.listen is not None
        by_name = replace(feed, listen=replace(feed.listen, host="localhost"))
        async with Sender(by_name, context(name)) as sender:
            return (await sender.send(admission(number)))[1][1]

    async def run() -> None:
        async with listening(tmp_path / "home", feed):
            assert await send("sender", 1) == "AA"
            for name in ("intruder", None):
                with pytest.raises((ssl.SSLError, OSError, asyncio.IncompleteReadError)):
                    await send(name, 2)
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                async with Sender(feed) as plain:
                    await plain.send(admission(3))
            assert await send("sender", 4) == "AA", "and goes on"

    asyncio.run(run())
    assert len(stored(tmp_path / "home", feed)) == 2


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    feed = feed_of(certificate=tmp_path / "bad.pem", key=tmp_path / "bad.pem")

    async def run() -> None:
        async with listening(tmp_path / "home", feed):
            pass

    with pytest.raises(ConfigurationError, match=r"bad\.pem"):
        asyncio.run(run())


def content_of(read: Callable[[], list[dict[str, pl.DataFrame]]]) -> dict[str, list[tuple[object, ...]]]:
    """Rows by entity without their positions, sorted."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for rows in read():
        for entity, frame in rows.items():
            kept = frame.drop("source_position")
            found.setdefault(entity, []).extend(kept.select(sorted(kept.columns)).rows())
    return {entity: sorted(rows, key=repr) for entity, rows in found.items()}


@pytest.mark.real_data
def test_real_messages_give_the_same_rows_over_the_wire_as_from_files(tmp_path: Path, real_data: Path) -> None:
    source, feed = source_for("hl7v2"), feed_of()
    file = tmp_path / "all.hl7"
    accepted = []

    async def run() -> None:
        async with listening(tmp_path / "home", feed), Sender(feed) as sender:
            for path in sorted((real_data / "hl7v2" / "converter").glob("*.hl7")):
                message = path.read_bytes().removeprefix(b"\xef\xbb\xbf").strip()
                if b"|NE|NE" in message.splitlines()[0]:
                    await sender.put(START + message + END)  # it wants no answer, and its order is kept
                elif (await sender.send(message))[1][1] != "AA":
                    continue
                accepted.append(message)

    asyncio.run(run())
    assert len(accepted) > 30
    file.write_bytes(b"\r".join(accepted))
    files = replace(feed, listen=None, path=str(file))
    inbox = inbox_of(tmp_path / "home", feed)
    of_files = content_of(lambda: [c.rows for unit in source.discover(files) for c in source.read(unit)])
    of_wire = content_of(lambda: [c.rows for unit in source.discover(feed, inbox) for c in source.read(unit)])
    assert of_files["encounter"]
    assert of_wire == of_files
