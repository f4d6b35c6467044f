"""The topics of `sdqctl help` that are a page: settings, permissions, templates, CI, sessions."""

from __future__ import annotations

import re
from textwrap import fill

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_WIDTH = 79
_PERMISSIONS = """\
What the agent's tools may do is decided beforehand; nobody is asked without
--ask. Without a rule it reads files in the working directory. By MODE:

{modes}

Rules add to that; a denial always wins. --allow-tool and --deny-tool on the
command line, allow_tools and deny_tools in sdqctl.toml:

{forms}

  shell(npm test)     exactly this command
  shell(npm test:*)   with any words after it
  read(~/notes/**)    files outside of the working directory

What was refused is said at the end, with the rule that would allow it;
`sdqctl sessions show NAME --audit` has every request and what decided it.
--sandbox makes the operating system hold the same bounds. What a repository
brings (sdqctl.toml, hooks, servers) counts only after `sdqctl trust`."""

_CI = """\
A run in CI asks nothing, and its exit code says how it ended.

  sdqctl validate --strict review.conv
  sdqctl run review.conv --ci --state review.state \\
    --summary review.md --junit review.xml

The same command goes on where a failed or killed job was, on any runner that
has the file of --state: keep it as an artifact or in a cache. At an ASK it
ends with exit 8; `--answer VALUE` answers it.

  --max-tokens N, --max-time 20m   exit 4; it can be resumed with a higher one
  --warn-at 80                     warn when 80 % of a budget are used
  --wait 10m                       wait for a session that is in use
  --retry-for 5m                   try again what the provider refuses for now
  exit 8                           PAUSE, CONSULT or ASK: a human is wanted
  exit 75                          busy or rate limited: try again later

`sdqctl help exit-codes` has all. `sdqctl sessions cleanup --older-than 30d`
deletes what is old."""

_SESSIONS = """\
A session is one conversation, kept by its runtime; SESSION-NAME or
--session-name names it.

  sdqctl sessions list --here             those of this project
  sdqctl sessions show NAME --transcript  what was said in one
  sdqctl chat                             talk in a new one, on a terminal
  sdqctl resume                           choose one, and talk in it
  sdqctl resume NAME                      talk in this one
  sdqctl resume NAME --prompt TEXT        one prompt more
  sdqctl resume NAME --continue           what is left of its run
  sdqctl sessions fork NAME NEW --at 3    a second one, as it was after step 3
  sdqctl sessions search WORDS            in the text of all
  sdqctl sessions export NAME             as markdown, JSON, HTML, or a bundle
  sdqctl sessions delete NAME             into the trash; `sessions restore`

Its status: idle (without a run), running, paused (waits for a human), failed,
interrupted (cut off), completed."""


def permissions() -> str:
    """What decides about tools: modes, rules, trust, the net."""
    from sdqctl.model.modes import READING_MODES, WRITING_MODES
    from sdqctl.policy.rules import FORMS

    modes = [f"  {', '.join(sorted(READING_MODES)):<42}reading only"]
    modes += [f"  {', '.join(sorted(WRITING_MODES)):<42}writing there, and the shell"]
    return _PERMISSIONS.format(modes="\n".join(modes), forms=_wrapped(FORMS))


def ci() -> str:
    """How a run in CI is set up."""
    return _CI


def sessions() -> str:
    """What can be done with sessions."""
    return _SESSIONS


def config() -> str:
    """The configuration files, and every setting."""
    from sdqctl.config import SETTINGS

    parts = [
        "sdqctl.toml of the project (found upwards; what it allows counts after\n"
        "`sdqctl trust`) is put over the user's file, the environment over both, and\n"
        "flags over all. `sdqctl status` says which files were read."
    ]
    for name, known in SETTINGS.items():
        variable = known.metadata["variable"]
        title = f"{name}  ({variable})" if variable else name
        meaning = _LINK.sub(r"\1", known.metadata["doc"])
        parts.append(f"{title}\n{_wrapped(meaning)}")
    return "\n\n".join(parts)


def template_variables() -> str:
    """What a name between double braces stands for."""
    from sdqctl.workflow.template import KNOWN, OUTPUT_ONLY

    return f"""\
{{{{NAME}}}} in a prompt, a command, SESSION-NAME or a path is filled in when the
step runs. An unknown one stays as it is, and `sdqctl validate` says so.

{_wrapped(", ".join(sorted(KNOWN)))}

In output paths only: {", ".join(sorted(OUTPUT_ONLY))}.

In a RUN command a value is one word, whatever it holds. `sdqctl render FILE`
shows the prompts as they would be sent. `sdqctl init` has workflows to start
from."""


def _wrapped(text: str) -> str:
    return fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
