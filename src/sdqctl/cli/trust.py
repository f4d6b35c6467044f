"""`sdqctl trust`: let a project's configuration file set what only the user may."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sdqctl.cli.context import App


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--remove", is_flag=True, help="Take the trust back.")
@click.option("--list", "show", is_flag=True, help="List the trusted files.")
@click.pass_obj
def trust(app: App, /, folder: Path, remove: bool, show: bool) -> None:
    """Trust the sdqctl.toml of the project in FOLDER, as it is now.

    A project's file may then set permissions, the runtime's path and the other settings of your
    own file. Read it first; when it changes, it has to be trusted again.
    """
    from sdqctl.cli.output import note, write_line
    from sdqctl.config import data_folder, project_file
    from sdqctl.errors import UsageError
    from sdqctl.model.terminal import one_line
    from sdqctl.trust import distrust, trusted_files
    from sdqctl.trust import trust as trust_file

    home = data_folder(app.environment)
    if show:
        for path in sorted(trusted_files(home)):
            write_line(one_line(path))
        return
    file = project_file(folder.absolute())
    if file is None:
        raise UsageError(f"there is no sdqctl.toml in or above {folder.absolute()}")
    if remove:
        known = distrust(home, file)
        note(f"{file} is {'no longer' if known else 'not'} trusted")
        return
    trust_file(home, file)
    note(f"{file} is trusted until it changes")
