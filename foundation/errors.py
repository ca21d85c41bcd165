"""The errors a person meets.

    ClinicmartError              a message for the reader, and the exit code of the command line
    +-- ConfigurationError       exit 2: names the file, line and key
    +-- FeedError                exit 1: names tenant, feed, file, position and what to do
    +-- DamagedFileError         exit 1: a file of the home lost bytes; says what is done about it
    +-- PublishError             exit 1: a gate stopped the run; the last published version stays
    +-- AccessError              exit 1: refused; says what is missing, never what is there

Messages never hold the content of a record.
"""


class ClinicmartError(Exception):
    """Base of all errors that are shown as one line, without a traceback."""

    exit_code = 1


class ConfigurationError(ClinicmartError):
    """The configuration, or an option of a command, is wrong."""

    exit_code = 2


class FeedError(ClinicmartError):
    """A feed, or one file of it, cannot be read. `code` is the code of the problem ("CM-FEED-011")."""

    def __init__(
        self, *, tenant: str, feed: str, unit: str, position: str, problem: str, remedy: str, code: str = ""
    ) -> None:
        self.tenant, self.feed, self.unit, self.position = tenant, feed, unit, position
        self.problem, self.remedy, self.code = problem, remedy, code
        place = f"{unit} ({position})" if position else unit
        super().__init__(f"{tenant}/{feed}: {place}: {problem}. {remedy}{f' ({code})' if code else ''}")


class DamagedFileError(ClinicmartError):
    """A file of the home does not hold the bytes that were written."""


class PublishError(ClinicmartError):
    """An audit failed; nothing was published."""


class AccessError(ClinicmartError):
    """A person asked for something outside their scope."""
