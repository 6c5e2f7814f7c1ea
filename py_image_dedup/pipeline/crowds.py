"""Crowded candidates: a picture of a library of screenshots, forms or pages has many, and few of them are worth a look.

Nearly all candidates of such a picture share a template with it. Those that show the same are told apart by the
arrangement of the words that the others do not have (``features.arrangement``), before any pixels are compared.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from py_image_dedup.signature.blas import single_threaded_blas

if TYPE_CHECKING:
    from py_image_dedup.features.arrangement import PlacedWords

CROWD: Final = 16
"""Number of candidates from which on they are a crowd: a photo has fewer, copies apart, in a library of 100,000."""

OUTSTANDING: Final = 4
"""Number of a crowd that are kept by the arrangement of their words. The right one of hundreds of copies of documents,
photographed pages among them, was the first in all cases but three."""

NEAREST: Final = 2
"""Number of a crowd that are kept by the distance of their signatures."""

COPY_SHARE: Final = 0.4
"""Share of the words of either picture from which on those that agree on one transform make it a copy, of which a crowd
may have any number: pages of one form have 0.25."""

MIN_WORDS: Final = 40
"""Fewest words by which a picture is judged; smooth ones are judged by their signatures."""

_LOADED: Final = 4_000
"""Number of contents whose words stay in memory: 50 MB."""


class Crowds:
    """The choice among the candidates of crowded contents. Not thread-safe.

    Args:
        load: Function that returns the packed features of contents; contents without features are left out.
    """

    def __init__(self, load: Callable[[set[int]], Mapping[int, bytes]]) -> None:
        self._load = load
        self._words: OrderedDict[int, PlacedWords] = OrderedDict()

    def choose(self, content: int, sharing: Sequence[int], near: Sequence[int]) -> set[int]:
        """Return the candidates of a content that are worth verification: all of them unless they are a crowd.

        Args:
            content: The content.
            sharing: Contents that share visual words with it.
            near: Contents with a similar signature, the nearest first.

        Raises:
            StoreError: The index cannot be used.
        """
        every = {*sharing, *near}
        if len(every) <= CROWD:
            return every
        with single_threaded_blas:  # the other cores verify pairs
            return self._worth(content, every, near)

    def _worth(self, content: int, every: set[int], near: Sequence[int]) -> set[int]:
        # Imported late: it loads OpenCV, which runs without crowds do not need.
        from py_image_dedup.features.arrangement import PlacedWords, agreement
        from py_image_dedup.features.extract import unpack

        packed = self._load({content})
        if content not in packed:
            return every
        words = self._words_of({content, *every})
        own = words.pop(content)
        if len(own) < MIN_WORDS:
            return every
        judged = sorted(other for other, some in words.items() if len(some) >= MIN_WORDS)
        chosen = (every - set(judged)) | set(near[:NEAREST])
        if not judged:
            return chosen
        picture = [own, PlacedWords.of(unpack(packed[content]).mirrored())]
        found = agreement(picture, [words[other] for other in judged])
        weight, count = found.weight.tolist(), found.words.tolist()
        best = sorted(range(len(judged)), key=lambda row: (-weight[row], judged[row]))
        chosen |= {judged[row] for row in best[:OUTSTANDING]}
        return chosen | {
            other
            for other, shared in zip(judged, count, strict=True)
            if shared >= COPY_SHARE * min(len(own), len(words[other]))
        }

    def _words_of(self, contents: set[int]) -> dict[int, PlacedWords]:
        from py_image_dedup.features.arrangement import PlacedWords
        from py_image_dedup.features.extract import unpack

        missing = {content for content in contents if content not in self._words}
        for content, packed in sorted(self._load(missing).items()):
            self._words[content] = PlacedWords.of(unpack(packed))
        found = {}
        for content in sorted(contents & self._words.keys()):
            self._words.move_to_end(content)
            found[content] = self._words[content]
        while len(self._words) > _LOADED:
            self._words.popitem(last=False)
        return found
