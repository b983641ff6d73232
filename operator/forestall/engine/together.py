"""Side by side."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once and return their results in order; one that is alone needs no task of its own."""
    each = list(coroutines)
    if len(each) <= 1:
        return [await one for one in each]
    return await asyncio.gather(*each)
