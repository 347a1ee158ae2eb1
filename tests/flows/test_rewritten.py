"""A run whose dates are written anew by another one begins again, a few times."""

from __future__ import annotations

import pytest

from catalog.errors import RewrittenError, StoreError
from flows.run import REWRITTEN, again_where_rewritten


def test_a_path_is_walked_again_until_what_it_read_stays() -> None:
    walks: list[int] = []

    @again_where_rewritten
    def path(number: int) -> int:
        walks.append(number)
        if len(walks) < 3:
            raise RewrittenError("a date was written anew")
        return number

    assert path(7) == 7
    assert walks == [7, 7, 7]


@pytest.mark.parametrize(("error", "times"), [(RewrittenError, REWRITTEN + 1), (StoreError, 1)])
def test_it_gives_up_after_some_times_and_at_once_for_other_errors(error: type[StoreError], times: int) -> None:
    walks: list[None] = []

    @again_where_rewritten
    def path() -> None:
        walks.append(None)
        raise error("no")

    with pytest.raises(error, match="no"):
        path()
    assert len(walks) == times
