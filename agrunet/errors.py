"""What goes wrong in this library and can be acted on."""


class AgrunetError(Exception):
    """Says what was wrong (with the value), where, and what to do next; shown without a traceback."""
