"""A server of PostgreSQL of the tests' own, from the system's package."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROLE = "exchange"
START_SECONDS = 60
SAID_CHARACTERS = 2000


def missing() -> str:
    """Return why there can be no server here; empty if there can."""
    if _programs() is None:
        return "PostgreSQL 14 or later is not installed: apt-get install postgresql"
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return "the driver is not installed: pip install '.[postgres]'"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is no user for it"
    return ""


def _programs() -> Path | None:
    """Return the folder of the newest server that is installed."""
    found = {
        int(path.parts[-3]): path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")
        if path.parts[-3].isdigit()
    }
    if (on_path := shutil.which("initdb")) is not None and not found:
        return Path(on_path).resolve().parent
    return found[max(found)] if found and max(found) >= 14 else None


def _user() -> pwd.struct_passwd | None:
    """Return whom root runs the server as."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


class PostgresServer:
    """A running server that is reached by a socket in a folder of its own."""

    def __init__(self) -> None:
        """Make a cluster and start it."""
        programs = _programs()
        assert programs is not None
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="biometrics-pg-"))
        self.data = self.folder / "data"
        self._user = _user() if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        subprocess.run(
            [
                *self._as_user(),
                *(str(programs / "initdb"), "--pgdata", str(self.data)),
                *("--username", ROLE, "--auth", "trust", "--encoding", "UTF8"),
                *("--locale", "C.UTF-8", "--no-sync"),
            ],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        self.start()

    def start(self) -> None:
        """Start, and return when it answers."""
        settings = (
            f"unix_socket_directories={self.folder}",
            "listen_addresses=",
            "max_connections=200",
            "shared_buffers=64MB",
        )
        arguments = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_user(),
                    *(str(self._programs / "postgres"), "-D", str(self.data)),
                    *arguments,
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            said = (self.folder / "server.log").read_text()[-SAID_CHARACTERS:]
            assert self._process.poll() is None, f"the database did not start: {said}"
            assert time.monotonic() < end, f"the database does not answer: {said}"
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop, whoever is connected."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_SECONDS)

    def kill(self) -> None:
        """Kill every process of the server at once."""
        number = self._process.pid
        # Stopped first: a process that it forks meanwhile would live on, and a server
        # does not start beside one that has the memory of the last.
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, number, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        told = Path(f"/proc/{number}/task/{number}/children").read_text()
        children = list(map(int, told.split()))
        for process in (number, *children):
            os.kill(process, signal.SIGKILL)
        self._process.wait(START_SECONDS)
        end = time.monotonic() + START_SECONDS
        while any(map(_is_running, children)) and time.monotonic() < end:
            time.sleep(0.01)
        # Or it would be another's whose process has that number by now.
        for path in (self.data / "postmaster.pid", *self.folder.glob("*.lock")):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop and leave nothing behind."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(START_SECONDS)
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return (
            f"postgresql://{ROLE}@/{database}?host={quote(str(self.folder), safe='')}"
        )

    def make(self) -> str:
        """Return the URL of an empty database."""
        if self._free:
            return self._free.pop()
        database = f"exchange_{next(self._numbers)}"
        self.run(self.url("postgres"), f"CREATE DATABASE {database}")
        return self.url(database)

    def take_back(self, url: str) -> None:
        """Empty a database that is no longer used: another one costs its megabytes."""
        ((name,),) = self.run(url, "SELECT current_database()")
        self.run(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        self.run(url, f"ALTER DATABASE {name} RESET ALL")
        self.run(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        self._free.append(url)

    @staticmethod
    def run(url: str, statement: str) -> list[tuple[Any, ...]]:
        """Run statements in a session of its own; return the last one's rows."""
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement, prepare=False)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        """Say whether it takes connections."""
        import psycopg  # noqa: PLC0415 - an extra

        try:
            self.run(self.url("postgres"), "SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _as_user(self) -> list[str]:
        """Return by what words its programs are run as somebody else, if they are.

        Not by `subprocess`: that would fork, and a process that has gRPC in it may not
        live until it is another program.
        """
        if self._user is None:
            return []
        user, group = self._user.pw_uid, self._user.pw_gid
        return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]


def _is_running(process: int) -> bool:
    """Say whether a process has not ended, waited for by its parent or not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
