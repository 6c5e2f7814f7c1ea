from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from py_image_dedup.store.base import Store
from py_image_dedup.store.elastic import ElasticStore
from tests.servers.sites import Site
from tests.store.contract import StoreContract, StoreOpener


@pytest.mark.elasticsearch
class TestElasticStore(StoreContract):
    examples: ClassVar[int] = 5

    @pytest.fixture
    def open_store(self, elastic_site: Site, emptied_index: str, tmp_path: Path) -> StoreOpener:
        def open_store() -> Store:
            return ElasticStore(replace(elastic_site.options(emptied_index), cache_directory=tmp_path))

        return open_store
