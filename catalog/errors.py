"""The errors that a user sees. Each message says what was wrong (with the value), where, and what to do next."""

from enum import StrEnum

from catalog.quoting import presentable


class CroplineError(Exception):
    """Base of every error that the cause of which a user can act on; its text is shown without a traceback.

    What it quotes may be anybody's: its text is made presentable, whoever raises it.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(presentable(text))


class RequestError(CroplineError):
    """The request itself is wrong: an area, a year, a name, a path."""


class SourceError(CroplineError):
    """A source of products can't be reached or read."""


class AccessError(SourceError):
    """A source refuses these credentials, or none: asking again changes nothing."""


class NoProductError(SourceError):
    """A source answers, and holds nothing that can be taken: asking again changes nothing."""


class Reason(StrEnum):
    """The kinds of reasons for leaving out a product, a band or an acquisition. Code reads these; the text beside is for people."""

    OTHER_LEVEL = "other_level"
    OUTSIDE = "outside"
    """Footprint that covers nothing of the area."""
    TOO_CLOUDY = "too_cloudy"
    DUPLICATE = "duplicate"
    """Version of a product of which a newer one is taken."""
    OLDER_TAKEN = "older_taken"
    """Newest version of a product, which can't be read: an older one is taken."""
    NOT_UNDERSTOOD = "not_understood"
    """Description that is damaged, or isn't what such descriptions are."""
    LOST_ON_BOARD = "lost_on_board"
    NOT_THERE_YET = "not_there_yet"
    ACCESS_DENIED = "access_denied"
    """Refusal by the source with these credentials, or without any."""
    NOT_ALLOWED = "not_allowed"
    """Address or file that who named it may not name."""
    NOT_REACHABLE = "not_reachable"
    """Failure that may pass at another attempt: a service too busy, a connection that broke."""
    NOT_THERE = "not_there"
    """File that is listed and doesn't exist."""
    UNREADABLE = "unreadable"
    """File that is damaged, or isn't what it should be."""
    OVER_LIMIT = "over_limit"
    """File whose reading took more time or memory than is allowed."""
    ENDED_PROCESS = "ended_process"
    """File that ended the process that read it."""
    MISPLACED = "misplaced"
    """File that lies elsewhere than its product."""
    OFFSET_REFUSED = "offset_refused"
    """Numbers that contradict the radiometric offset."""
    OFFSET_SUSPICIOUS = "offset_suspicious"
    """Numbers that look as if a radiometric offset were missing, which nothing says."""
    LACKS_BANDS = "lacks_bands"
    """Lack of bands that are needed."""
    NO_DATA = "no_data"
    NOT_MASKED = "not_masked"
    """Lack of a mask of the clear pixels."""
    UNKNOWN = "unknown"
    """Record of before there were kinds."""

    @property
    def words(self) -> str:
        """Kind as a text shows it."""
        return self.value.replace("_", " ")


class ProductError(CroplineError):
    """One product is unusable. The product is dropped with this reason; the request goes on while enough is left."""

    def __init__(self, text: str, kind: Reason = Reason.UNREADABLE) -> None:
        super().__init__(text)
        self.kind = kind


class NotEnoughAcquisitionsError(CroplineError):
    """Fewer clear acquisitions than `min_acquisitions`; the message lists the dates and their fractions."""

    def __init__(self, text: str, *, without_data: bool = False, usable: int = 0) -> None:
        super().__init__(text)
        self.without_data = without_data
        """True where none of them has any pixel in the area."""
        self.usable = usable
        """Number of those that can be used."""


class ModelError(CroplineError):
    """No model fits the request, or a checkpoint can't be applied to it."""


class StoreError(CroplineError):
    """The store can't be written, or holds something that isn't what its name says."""


class RewrittenError(StoreError):
    """A date of the cubes was written anew since a season was chosen: what was read of it is of two versions. Choose again."""


class StoreUnreachableError(StoreError):
    """The object store of the cubes doesn't answer; it may come back."""


class DeliveryError(CroplineError):
    """The delivery folder can't be written or belongs to another request."""


class WorkerError(CroplineError):
    """A process that worked for this one died, or failed with an error of its own."""
