"""`sdqctl status`: what is installed, signed in, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sdqctl.cli.options import examples, format_option

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command(epilog=examples("sdqctl status", "sdqctl status --adapters --auth"))
@click.option("--sessions", is_flag=True, help="The sessions, as a table.")
@click.option("--adapters", is_flag=True, help="Which runtimes were found, and by what.")
@click.option("--auth", is_flag=True, help="Which model provider or account is used; no secrets.")
@click.option("--models", is_flag=True, help="The models; this may start the runtime.")
@format_option("text", "json")
@click.pass_obj
def status(
    app: App, /, sessions: bool, adapters: bool, auth: bool, models: bool, output_format: str
) -> None:
    """Show how things stand. Without options nothing is started."""
    from sdqctl.cli.telling import StatusRequest, report_status

    request = StatusRequest(
        sessions=sessions,
        adapters=adapters,
        auth=auth,
        models=models,
        as_json=output_format == "json",
    )
    report_status(app, request)
