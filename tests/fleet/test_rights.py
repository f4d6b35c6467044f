"""Who may do what with a store, and how connections to it are secured."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from tests.fleet.line import line
from tests.fleet.machines import Fleet
from tests.fleet.postgres import asked

_READER = """
    DROP ROLE IF EXISTS reader;
    CREATE ROLE reader LOGIN;
    GRANT USAGE ON SCHEMA sdqctl TO reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA sdqctl TO reader
"""


@pytest.fixture
def pushed(fleet: Fleet) -> Fleet:
    """A session `s` that machine `a` has pushed, and a run that waits."""
    one = fleet.machine("a")
    one.run("run", "-p", "say [[reply: A]]", "--session-name", "s")
    one.run("sessions", "push", "s")
    one.run("run", "-p", "say [[reply: A]]", "--session-name", "q", "--queue")
    return fleet


def test_who_may_only_read_lists_and_pulls_and_is_told_about_the_rest(pushed: Fleet) -> None:
    pushed.asked(_READER)
    two, reader = pushed.machine("b"), pushed.store.replace("postgres:@", "reader:@")
    try:
        seen = two.run("sessions", "list", "--store", SDQCTL_STORE=reader).out
        two.run("sessions", "pull", "s", SDQCTL_STORE=reader)
        assert "1 queued" in two.run("queue", "status", SDQCTL_STORE=reader).out
        two.run("resume", "s", "--prompt", "more [[reply: B]]")
        refused = [
            two.run(*command, code=9, SDQCTL_STORE=reader).err
            for command in (
                ("sessions", "push", "s"),
                ("resume", "s", "--store", "--prompt", "x"),
                ("queue", "cancel", "q"),
                ("worker", "--until-idle"),
            )
        ]
    finally:
        pushed.asked("DROP OWNED BY reader; DROP ROLE reader")
    assert "s" in seen
    assert all("permission denied" in err and "roles in docs/fleet.md" in err for err in refused)
    assert two.answers() == ["A", "B"]


def test_who_may_not_make_tables_is_told_so(fleet: Fleet) -> None:
    fleet.asked("DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN")
    store = fleet.store.replace("postgres:@", "nobody:@")
    try:
        done = fleet.machine("a").run("queue", "init", code=9, SDQCTL_STORE=store)
    finally:
        fleet.asked("DROP ROLE nobody")
    assert "permission denied for database" in done.err


def certificate(folder: Path) -> Path:
    """A certificate of this machine, and its key, in one file."""
    file = folder / "server.pem"
    how = ("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    names = ("-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1")
    output = ("-keyout", file, "-out", folder / "certificate", "-days", "2")
    subprocess.run(["openssl", *how, *names, *output], check=True, capture_output=True)
    with file.open("a") as stream:
        stream.write((folder / "certificate").read_text())
    return file


def test_tls_is_as_libpq_does_it(pushed: Fleet, tmp_path: Path) -> None:
    one, context = pushed.machine("a"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    root = f"sslrootcert={tmp_path / 'certificate'}"
    with line(pushed.store, tls=context) as way, line(pushed.store) as plain:
        one.run("sessions", "list", "--store", f"{way.store}?sslmode=verify-full&{root}")
        one.run("sessions", "push", "s", "--store", f"{way.store}?sslmode=require")
        bad = [
            one.run("sessions", "push", "s", "--store", store, code=9).err
            for store in (
                f"{way.store}?sslmode=verify-full&sslrootcert=system",
                f"{way.store.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&{root}",
                f"{way.store}?sslmode=verify-full&sslrootcert=/nowhere",
                f"{plain.store}?sslmode=require",
            )
        ]
    assert [err for err in bad if "sslmode and sslrootcert" not in err] == []
    assert asked(pushed.store, "SELECT count(*) FROM sdqctl.sessions") == [(1,)]
