from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from py_image_dedup.store.base import StoreError, StoreUnavailable
from py_image_dedup.store.elastic import ElasticOptions, ElasticStore
from tests.servers.node import free_port
from tests.servers.proxy import Trouble, always, proxy_to
from tests.servers.secured import DEDUP, READER, WORKER, SecuredSite
from tests.servers.sites import Site
from tests.store.samples import entry_of, found_pairs, random_signatures

SECRETS = ("sesame-admin", "sesame-dedup", "wrong-secret", "c2VjcmV0")


def no_secret(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


def test_the_repr_of_the_options_has_no_secret() -> None:
    options = ElasticOptions(username="me", password="wrong-secret", api_key="c2VjcmV0")  # noqa: S106 - no secret
    assert no_secret(repr(options))
    assert no_secret(options.place)


@pytest.mark.parametrize(
    ("hosts", "urls"),
    [
        (("es1", "es2:9201"), ("https://es1:9200", "https://es2:9201")),
        (("::1", "[::1]:9201"), ("https://[::1]:9200", "https://[::1]:9201")),
    ],
)
def test_every_host_has_an_address(hosts: tuple[str, ...], urls: tuple[str, ...]) -> None:
    assert ElasticOptions(hosts=hosts, scheme="https").urls == urls


def test_an_api_key_goes_before_user_and_password() -> None:
    # The servers of the tests cannot make keys (they lack a module that the index of keys needs), only refuse them.
    with proxy_to(free_port()) as proxy:
        proxy.script = always("", Trouble(status=401, body="{}"))
        options = ElasticOptions(port=proxy.port, username="me", password="wrong-secret", api_key="c2VjcmV0")  # noqa: S106
        with pytest.raises(StoreError, match="does not accept the credentials"):
            ElasticStore(options)
        assert [request.authorization for request in proxy.seen] == ["ApiKey c2VjcmV0"]


@pytest.mark.elasticsearch
class TestSecuredServer:
    @pytest.fixture(autouse=True)
    def _no_secret_is_logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        with caplog.at_level(logging.DEBUG):
            yield
        assert no_secret(caplog.text)

    @pytest.mark.parametrize("user", [DEDUP, WORKER], ids=["makes-the-index", "uses-it"])
    def test_a_user_with_the_documented_rights_can_do_everything(
        self, secured_site: SecuredSite, secured_index: str, user: tuple[str, str]
    ) -> None:
        values = random_signatures(1, 3)
        ElasticStore(secured_site.options(secured_index, DEDUP)).close()
        with ElasticStore(secured_site.options(secured_index, user)) as store:
            store.put([entry_of(f"/a/{place}.jpg", signature=one) for place, one in enumerate([*values, values[0]])])
            assert store.count(None) == 4
            assert len(found_pairs(store, 0.1, None)) == 1
            assert (store.size() is None) == (user is WORKER)
            assert store.remove([entry_of("/a/1.jpg").stat.path]) == 1
            store.clear()
            assert list(store.entries(None)) == []

    @pytest.mark.parametrize(
        "wrong",
        [{"password": "wrong-secret"}, {"username": None}, {"api_key": "c2VjcmV0OmtleQ=="}],
        ids=["password", "nobody", "key"],
    )
    def test_wrong_credentials_are_named_and_not_shown(
        self, secured_site: SecuredSite, secured_index: str, wrong: dict[str, str]
    ) -> None:
        with pytest.raises(StoreError, match="does not accept the credentials") as caught:
            ElasticStore(replace(secured_site.options(secured_index), **wrong))
        assert not isinstance(caught.value, StoreUnavailable)
        assert no_secret(str(caught.value))
        assert no_secret(repr(caught.value.__cause__))

    def test_the_error_of_a_read_only_user_names_the_missing_privilege(
        self, secured_site: SecuredSite, secured_index: str
    ) -> None:
        with pytest.raises(StoreError, match="the user may not do that"):
            ElasticStore(secured_site.options(secured_index, READER))
        with ElasticStore(secured_site.options(secured_index)) as store:
            store.put([entry_of("/a/x.jpg")])
            store.count(None)
        with ElasticStore(secured_site.options(secured_index, READER)) as store:
            assert store.get(entry_of("/a/x.jpg").stat.path) == entry_of("/a/x.jpg")
            with pytest.raises(StoreError, match=r"the user may not do that .*docs/scaling\.md"):
                store.put([entry_of("/a/y.jpg")])

    def test_a_certificate_of_an_unknown_authority_is_refused(
        self, secured_site: SecuredSite, secured_index: str
    ) -> None:
        with pytest.raises(StoreError, match=r"no trusted https connection .*elasticsearch\.ca_certificate") as caught:
            ElasticStore(replace(secured_site.options(secured_index), ca_certificate=None))
        assert not isinstance(caught.value, StoreUnavailable)

    def test_http_to_a_server_that_speaks_https_says_so(self, secured_site: SecuredSite, secured_index: str) -> None:
        with pytest.raises(StoreError, match=r"speaks https \(elasticsearch\.scheme\)"):
            ElasticStore(replace(secured_site.options(secured_index), scheme="http", patience_seconds=0.5))

    def test_https_to_a_server_that_speaks_http_says_so(self, newest_site: Site, index_name: str) -> None:
        options = newest_site.options(index_name)
        if options.scheme == "https":
            pytest.skip("the running server speaks https")
        with pytest.raises(StoreError, match=r"elasticsearch\.scheme to http"):
            ElasticStore(replace(options, scheme="https", patience_seconds=0.5))
