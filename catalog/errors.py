"""The errors that a user sees. Each message says what was wrong (with the value), where, and what to do next."""


class CroplineError(Exception):
    """Base of every error that the cause of which a user can act on; its text is shown without a traceback."""


class RequestError(CroplineError):
    """The request itself is wrong: an area, a year, a name, a path."""


class SourceError(CroplineError):
    """A source of products can't be reached or read."""


class AccessError(SourceError):
    """A source refuses these credentials, or none: asking again changes nothing."""


class ProductError(CroplineError):
    """One product is unusable. The product is dropped with this reason; the request goes on while enough is left."""


class NotEnoughAcquisitionsError(CroplineError):
    """Fewer clear acquisitions than `min_acquisitions`; the message lists the dates and their fractions."""


class ModelError(CroplineError):
    """No model fits the request, or a checkpoint can't be applied to it."""


class StoreError(CroplineError):
    """The store can't be written, or holds something that isn't what its name says."""


class StoreUnreachableError(StoreError):
    """The object store of the cubes doesn't answer; it may come back."""


class DeliveryError(CroplineError):
    """The delivery folder can't be written or belongs to another request."""


class WorkerError(CroplineError):
    """A process that worked for this one died, or failed with an error of its own."""
