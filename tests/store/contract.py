"""The contract of the index as tests: every store passes all of them.

A store's test module has a subclass of ``StoreContract`` whose name begins with ``Test`` and a fixture ``open_store``:
a function that opens one and the same index, empty at the beginning of the test, every time it is called.
"""

from __future__ import annotations

from tests.store.contract_entries import EntriesContract, StoreOpener
from tests.store.contract_inspections import InspectionContract
from tests.store.contract_search import SearchContract
from tests.store.contract_verdicts import VerdictsContract

__all__ = ["StoreContract", "StoreOpener"]


class StoreContract(EntriesContract, SearchContract, VerdictsContract, InspectionContract):
    """What every store does; set ``examples`` to try the properties with fewer or more random cases."""
