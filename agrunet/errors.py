"""The error of this library that can be acted on."""


class AgrunetError(Exception):
    """An error that says what was wrong (with the value), where, and what to do next; shown without a traceback."""
