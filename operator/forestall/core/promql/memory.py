"""Remember what became of texts, within a bound of memory whatever their length."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_LEAST: Final = 64
"""What the shortest text weighs in memory, in characters."""


class Remembered(Generic[P, R]):
    """A function of texts that keeps its results, those that were used last, for so many characters of texts.

    What is kept of a text grows with its length, and anybody can write many long ones: so texts are not counted, but
    their characters. Called from one thread.
    """

    def __init__(self, function: Callable[P, R], characters: int) -> None:
        self._function = function
        self._most = characters
        self._weight = 0
        self._kept: OrderedDict[Hashable, tuple[R, int]] = OrderedDict()

    def __call__(self, *texts: P.args, **named: P.kwargs) -> R:
        """Return the function's result; what it raises is not kept."""
        key = (texts, tuple(named.items()))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        result = self._function(*texts, **named)
        weight = sum(_LEAST + len(str(text)) for text in (*texts, *named.values()))
        self._kept[key] = result, weight
        self._weight += weight
        while self._weight > self._most:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._weight -= oldest
        return result

    def cache_clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._weight = 0


def remember(characters: int) -> Callable[[Callable[P, R]], Remembered[P, R]]:
    """Return a decorator that keeps the results for so many characters of texts."""
    return lambda function: Remembered(function, characters)
