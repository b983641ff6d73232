"""Runs coroutines concurrently; no task outlives the call that started it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, TypeVar

from forestall.errors import LostLease

P = ParamSpec("P")
T = TypeVar("T")


async def gather_all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all coroutines concurrently and return their results in order; a single one runs without a task.

    When one fails the others are cancelled and awaited, so that none can write in a later cycle. Raises the first
    error; `LostLease` before any other, because it ends the process.
    """
    coroutine_list = list(coroutines)
    if len(coroutine_list) <= 1:
        return [await coroutine for coroutine in coroutine_list]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutine_list]
    except BaseExceptionGroup as errors:
        raise _gravest(errors) from errors
    return [task.result() for task in tasks]


def at_most(seconds: float, until: float) -> float:
    """Return the time (s, of the event loop) in `seconds` from now, or `until` if that is earlier."""
    return min(asyncio.get_running_loop().time() + seconds, until)


async def within(until: float, coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T | None]:
    """Run all at once as `gather_all`; what has not ended at `until` (s, of the event loop) is cancelled and None."""
    return await gather_all(_until(until, coroutine) for coroutine in coroutines)


async def _until(until: float, coroutine: Coroutine[Any, Any, T]) -> T | None:
    limit = asyncio.timeout_at(until)
    try:
        async with limit:
            return await coroutine
    except TimeoutError:
        if not limit.expired():
            raise
        return None


async def aside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in a thread; when cancelled, wait for its end nevertheless, because it uses the caller's data."""
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):  # asked again: a thread can't be stopped
                await asyncio.wait((task,))
        raise


def _gravest(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    lost, other_errors = errors.split(LostLease)
    return _first(lost or other_errors or errors)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
