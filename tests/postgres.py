"""A PostgreSQL server of Debian's for tests and benchmarks: made anew, on the loopback address, thrown away.

with Cluster() as cluster:
    store = Store(cluster.database())
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from backend.store import Store
from backend.store.database import metadata

KINDS = ("sqlite", "postgresql")
USER = "postgres"
PASSWORD = "only-for-tests"
DURABLE: Mapping[str, str] = {}
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""For tests that do not cut the power."""
ABSENT = (
    "PostgreSQL is not installed. Install it (Debian: apt-get install postgresql) for tests of the "
    "store on it."
)


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, the newest where there are several."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    kept = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: float(one.parent.name))
    return kept[-1] if kept else None


class Cluster:
    """One server.

    Parameters
    ----------
    settings : mapping
        As in postgresql.conf.
    folder : path, optional
        Where it keeps its files; a temporary folder by default.

    Raises
    ------
    FileNotFoundError
        If PostgreSQL is not installed.
    """

    def __init__(self, settings: Mapping[str, str] = DURABLE, folder: Path | None = None) -> None:
        programs = binaries()
        if programs is None:
            raise FileNotFoundError(ABSENT)
        self.programs = programs
        self.settings = dict(settings)
        self.folder = folder or Path(tempfile.mkdtemp(prefix="errorscope-postgres-"))
        self.folder.mkdir(exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self._emptied = ""
        # As root it would refuse to run.
        self._user: str | None = USER if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, USER, USER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        if self._user:
            shutil.chown(secret, USER, USER)
        self._run(
            "initdb", "-D", str(self.data), "-U", USER, "-A", "scram-sha-256", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", f"--pwfile={secret}",
        )  # fmt: skip

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def environment(self) -> dict[str, str]:
        """For PostgreSQL's own programs."""
        told = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": USER}
        return {**os.environ, **told, "PGPASSWORD": PASSWORD}

    def url(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self, *more: str) -> str:
        """The URL of a new database; ``more`` ends its CREATE DATABASE."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name} {' '.join(more) or 'TEMPLATE template0'}")
        return self.url(name)

    def emptied(self) -> str:
        """The URL of a database with Errorscope's tables, all empty: the same one each time."""
        if not self._emptied:
            self._emptied = self.database()
            Store(self._emptied).close()
        name = self._emptied.rpartition("/")[2]
        ended = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        tables = ", ".join(f'"{one}"' for one in metadata.tables)
        self.sql(
            f"{ended} AND datname = '{name}'", f"TRUNCATE {tables} RESTART IDENTITY", database=name
        )
        return self._emptied

    def sql(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each by itself."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for one in statements:
                connection.execute(one.encode())

    def start(self, *, wait_s: float = 60.0, **settings: str) -> None:
        """Start the server and wait until it answers."""
        command = [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        told = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            **self.settings,
            **settings,
        }
        for name, value in told.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", **self._as_user()
            )
        self.wait(wait_s)

    def wait(self, wait_s: float = 60.0) -> None:
        """Wait until the server answers.

        Raises
        ------
        RuntimeError
            If it ends instead, or does not within so many seconds.
        """
        import psycopg

        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                break
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL does not answer:\n{self.log[-2000:]}")

    def kill(self) -> None:
        """SIGKILL for the server and everything of it, as when its machine goes down."""
        import psutil

        if self.process is None:
            return
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for one in children:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(children, timeout=30)
        self.process.wait(timeout=30)
        self.process = None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGTERM waits for who is connected, SIGINT ends them, SIGQUIT all at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)
        self.process = None

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs against this server; what it printed."""
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            env=self.environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments],
            check=True, capture_output=True, cwd="/", **self._as_user(),
        )  # fmt: skip

    def _as_user(self) -> dict[str, Any]:
        return {"user": USER, "group": USER, "extra_groups": []} if self._user else {}

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def fresh(cluster: Cluster) -> Iterator[str]:
    """The URL of an empty database, which is gone afterwards."""
    url = cluster.database()
    yield url
    cluster.sql(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


@contextlib.contextmanager
def chosen(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the kind that a fixture's parameter names, in ``ERRORSCOPE_DATABASE``.

    For SQLite that is the file in the home folder, and the URL is empty.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "sqlite":
            patch.delenv("ERRORSCOPE_DATABASE", raising=False)
            yield ""
        else:
            url = request.getfixturevalue("cluster").emptied()
            patch.setenv("ERRORSCOPE_DATABASE", url)
            yield url
