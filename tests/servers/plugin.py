"""Servers for tests: each is started when the first test asks, shared by all processes, stopped at the end.

The process that starts pytest makes a folder for the session and tells the others by an environment variable. Whoever
needs a server first starts it under a lock and writes its place into the folder; the first process stops all of them
when the session ends, and a guard process does so if the first process is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from filelock import FileLock

from py_image_dedup.store.elastic import ElasticStore
from tests.servers.cluster import ClusterSite, start_cluster
from tests.servers.distribution import NEWEST, OLDEST, Release, ServersMissingError
from tests.servers.node import Node, prepare, stop_all
from tests.servers.secured import SecuredSite, prepare_secured
from tests.servers.sites import NodeSite, Site, UrlSite

SESSION = "ELASTICSEARCH_TEST_SESSION"
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
RUNNING = os.environ.get("ELASTICSEARCH_URL", "")

_missing: pytest.StashKey[set[str]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the session's folder; it is made when a test asks for a server."""
    config.stash[_missing] = set()
    if SESSION not in os.environ:
        folder = Path(tempfile.gettempdir()) / f"py-image-dedup-servers-{uuid4().hex}"
        os.environ[SESSION] = str(folder)
        config.add_cleanup(lambda: _end(folder))


def _end(folder: Path) -> None:
    os.environ.pop(SESSION, None)
    stop_all(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud what was not tested."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and "Elasticsearch was not tested" in report.longrepr[2]
    ]
    if skipped:
        terminalreporter.section("ELASTICSEARCH WAS NOT TESTED", red=True, bold=True)
        for reason in sorted({report.longrepr[2] for report in skipped}):
            terminalreporter.write_line(f"{len(skipped)} tests: {reason}")


def session_folder() -> Path:
    """The folder of the session's servers."""
    folder = Path(os.environ[SESSION])
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # the servers run as another user
    return folder


def started(name: str, make: Callable[[Path], Node]) -> Node:
    """The session's server of this name; made and started by whoever comes first."""

    def start(session: Path) -> list[Node]:
        node = make(session)
        node.start()
        return [node]

    return all_started(name, start)[0]


def all_started(name: str, start: Callable[[Path], list[Node]]) -> list[Node]:
    """The session's servers of this name; started by whoever comes first."""
    session = session_folder()
    trouble = session / f"{name}.trouble"
    with FileLock(session / f"{name}.lock"):
        if trouble.exists():
            _give_up(trouble.read_text())
        places = sorted(session.glob(f"{name}.*.json"))
        if not places:
            try:
                _guard(session)
                nodes = start(session)
            except ServersMissingError as error:
                trouble.write_text(str(error))
                _give_up(str(error))
            places = [session / f"{name}.{number}.json" for number in range(len(nodes))]
            for node, place in zip(nodes, places, strict=True):
                node.save(place)
    return [Node.load(place) for place in places]


def _give_up(reason: str) -> None:
    if IN_CI:
        pytest.fail(f"Elasticsearch must be tested here: {reason}")
    pytest.skip(f"Elasticsearch was not tested: {reason}")


def _guard(session: Path) -> None:
    """Have the servers stopped even if this session is killed."""
    if (session / "guarded").exists():
        return
    first = (os.environ.get("PYTEST_XDIST_WORKER") and os.getppid()) or os.getpid()
    subprocess.Popen(
        [sys.executable, "-m", "tests.servers.guard", str(first), str(session)],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ).returncode = 0  # it outlives this process on purpose
    (session / "guarded").touch()


def _standard(release: Release) -> Site:
    if RUNNING:
        return UrlSite(RUNNING)
    return NodeSite(started(release.version, lambda session: prepare(release, session, release.version)))


_RELEASES = {"running": NEWEST} if RUNNING else {release.version: release for release in (NEWEST, OLDEST)}


@pytest.fixture(scope="session", params=list(_RELEASES))
def elastic_site(request: pytest.FixtureRequest) -> Site:
    """Every server version in turn, or the one that ``ELASTICSEARCH_URL`` names."""
    return _standard(_RELEASES[request.param])


@pytest.fixture(scope="session")
def newest_site() -> Site:
    """One server, for what does not depend on the version."""
    return _standard(NEWEST)


@pytest.fixture
def index_name() -> str:
    """A name that no other test has."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def elastic_index(elastic_site: Site, index_name: str) -> Iterator[str]:
    """A name for an index on ``elastic_site``; what is made under it is deleted afterwards."""
    yield index_name
    elastic_site.delete(index_name)


@pytest.fixture(scope="session")
def _shared_index(elastic_site: Site) -> Iterator[str]:
    index = f"test-{uuid4().hex[:12]}"
    yield index
    elastic_site.delete(index)


@pytest.fixture(scope="session")
def _newest_shared_index(newest_site: Site) -> Iterator[str]:
    index = f"test-{uuid4().hex[:12]}"
    yield index
    newest_site.delete(index)


@pytest.fixture
def emptied_index(elastic_site: Site, _shared_index: str) -> str:
    """An index on ``elastic_site`` that is empty. It is made once a process: making one takes half a second."""
    with ElasticStore(elastic_site.options(_shared_index)) as store:
        store.clear()
    return _shared_index


@pytest.fixture
def newest_emptied_index(newest_site: Site, _newest_shared_index: str) -> str:
    """The same on ``newest_site``."""
    with ElasticStore(newest_site.options(_newest_shared_index)) as store:
        store.clear()
    return _newest_shared_index


@pytest.fixture
def newest_index(newest_site: Site, index_name: str) -> Iterator[str]:
    """A name for an index on ``newest_site``; what is made under it is deleted afterwards."""
    yield index_name
    newest_site.delete(index_name)


@pytest.fixture(scope="session")
def secured_site() -> SecuredSite:
    """A server with https and users. It cannot make API keys: the distribution lacks the filters of their index."""
    return SecuredSite(started("secured", prepare_secured))


@pytest.fixture
def secured_index(secured_site: SecuredSite, index_name: str) -> Iterator[str]:
    """A name for an index on ``secured_site``; what is made under it is deleted afterwards."""
    yield index_name
    secured_site.delete(index_name)


@pytest.fixture(scope="session")
def _cluster() -> ClusterSite:
    def start(session: Path) -> list[Node]:
        site = start_cluster(session)
        return [site.master, site.other]

    return ClusterSite(*all_started("cluster", start))


@pytest.fixture
def cluster_site(_cluster: ClusterSite) -> Iterator[ClusterSite]:
    """A cluster of two nodes, whole at the test's beginning, for one test at a time."""
    with FileLock(session_folder() / "cluster.use"):
        _cluster.make_whole()
        yield _cluster


@pytest.fixture
def cluster_index(cluster_site: ClusterSite, index_name: str) -> Iterator[str]:
    """A name for an index on ``cluster_site``; what is made under it is deleted afterwards, if anybody is there."""
    yield index_name
    if cluster_site.master.pid is not None:
        cluster_site.delete(index_name)
