"""What a deny rule means besides a program of its name: whatever may come to running that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sdqctl.policy.rules import ToolRule
from sdqctl.policy.shell.variables import holds_program, is_inert
from sdqctl.policy.shell.word import Word
from sdqctl.policy.shell.wrappers import Inner, base_name

_TOKENS = re.compile(r"[^\s;&|()<>$`\"'{}!=]+")
_SPACED = re.compile(r"[\s;&|()<>$`\"']")
_WORDS_ONLY = """
: [ [[ ag alias ansible apt apt-get awk aws az base64 basename black brew bun bunzip2 bzip2 c++
cargo cat cc cd chgrp chmod chown clang cmake cmp code column comm composer cp curl cut date dd
declare deno df diff dig dirname du echo egrep emacs eslint exit export false fd fgrep file find
flake8 fold g++ gawk gcc gcloud gem gh git go gofmt grep gunzip gzip head helm hexdump hg host
hostname htop id install jest jobs join jq kill killall less ln local locate ls lsof make man
md5sum mkdir mktemp more mount mv mypy nano node nslookup od openssl paste patch perl pgrep php
pip pip3 pkill popd prettier printenv printf ps pushd pwd py.test pylint pyright pytest python
python2 python3 read readlink realpath return rev rg rm rmdir rsync ruby ruff rustc rustup scp sed
seq set sftp sha1sum sha256sum shift shopt sleep sort split ss stat strings svn tac tail tar tee
terraform test top touch tr tree true tsc type ulimit umask uname uniq unset unzip vi vim wait wc
wget whatis whereis which who whoami xxd yamllint yes zcat zip zstd
"""
_RUN_NOTHING = frozenset(_WORDS_ONLY.split())
"""Programs whose words are no program, apart from those options that docs/security.md names."""
_RUN_SOME = {
    **dict.fromkeys(
        ("npm", "pnpm", "yarn"), frozenset({"exec", "x", "dlx", "init", "create", "-c", "--call"})
    ),
    **dict.fromkeys(
        ("docker", "podman", "nerdctl", "kubectl", "oc", "docker-compose"),
        frozenset({"run", "exec", "compose", "create", "debug"}),
    ),
    "poetry": frozenset({"run"}),
}
"""Programs that take a command with these words alone."""
_GIT_RUNS = frozenset(
    {"foreach", "bisect", "filter-branch", "for-each-repo", "rebase", "difftool", "mergetool"}
    | {"config", "archive", "clone", "fetch", "pull", "push", "ls-remote", "grep", "worktree"}
)
_GIT_SETS = re.compile(r"(?:-c)?(alias\.|include(?:if)?\.).*|--config-env.*", re.IGNORECASE)


def denied_by(rule: ToolRule, words: Sequence[Word], inner: Inner) -> str:
    """Why a deny rule denies a command, empty when it does not."""
    if words[0].text is None and rule.pattern is not None:
        return f"which program it runs is known only then, and may be what {rule.text} denies"
    if rule.denies_command(words):
        return f"the rule {rule.text} denies it"
    if unknown := inner.unclear or inner.opaque:
        return f"{unknown}, which might be what the rule {rule.text} denies"
    if not inner.known and _may_run(rule, words):
        return f"{words[0].text} may run what the rule {rule.text} denies"
    return ""


def denied_in(rule: ToolRule, name: str, value: str | None) -> str:
    """Why a deny rule denies that a variable is set, since programs start what is in it."""
    if rule.pattern is None or is_inert(name):
        return ""
    if value is None:
        unknown = holds_program(name)
        why = f"what {name} holds is known only then, and may be what {rule.text} denies"
        return why if unknown else ""
    tokens = list(_tokens([Word(value)]))
    stands = _stand_in(rule.words, tokens)
    return f"programs may start what {name} holds, which {rule.text} denies" if stands else ""


def _may_run(rule: ToolRule, words: Sequence[Word]) -> bool:
    """Whether a program may run the denied words as a command."""
    if base_name(words[0].text or "").casefold() == "git":
        return _git_may_run(rule, words)
    return may_run(words) and _stand_in(rule.words, list(_tokens(words[1:])))


def may_run(words: Sequence[Word]) -> bool:
    """Whether a program may run its words as a command."""
    name = base_name(words[0].text or "").casefold()
    if name in _RUN_SOME and not _runs_some(_RUN_SOME[name], words[1:]):
        return False
    return name not in _RUN_NOTHING


def _runs_some(wanted: frozenset[str], words: Sequence[Word]) -> bool:
    """Whether the subcommand is one that runs others; after options it may be the second word."""
    operands = [word.text for word in words if not (word.text or "").startswith("-")]
    options = [word.text for word in words if (word.text or "").startswith("-")]
    looked_at = operands[: 2 if options else 1]
    return any(text is None or text in wanted for text in (*looked_at, *options))


def _git_may_run(rule: ToolRule, words: Sequence[Word]) -> bool:
    """git runs what its settings say, and some of its commands run others."""
    tokens = list(_tokens(words[1:]))
    settings = any(
        word.text == "-c"
        or (word.text or "").startswith(("-c", "--exec", "--upload", "--receive"))
        or word.text in _GIT_RUNS
        for word in words[1:]
    )
    if settings and _stand_in(rule.words, tokens):
        return True
    if rule.words[:1] != ("git",):
        return False
    for index, word in enumerate(words[1:], start=1):
        if _GIT_SETS.fullmatch(word.text or ""):
            given = [
                *_tokens([Word((word.text or "").partition("=")[2])]),
                *_tokens(words[index + 1 :]),
            ]
            unknown = (
                "--config-env" in (word.text or "") or "include" in (word.text or "").casefold()
            )
            return unknown or None in given or _in_order(rule.words[1:], given)
    return False


def _tokens(words: Sequence[Word]) -> Iterator[str | None]:
    """The words, and what stands in a text that may be run as a line."""
    for word in words:
        if word.text is None or not _SPACED.search(word.text):
            yield word.text
            if word.text is not None and "=" in word.text:
                yield word.text.rpartition("=")[2]
        else:
            yield from _TOKENS.findall(word.text)


def _stand_in(wanted: Sequence[str], tokens: Sequence[str | None]) -> bool:
    """Whether a denied command stands in these words, all but one of its own known."""
    if not wanted:
        return False
    unknown_at = (None, *range(len(wanted))) if len(wanted) > 1 else (None,)
    return any(_in_order(wanted, tokens, unknown) for unknown in unknown_at)


def _in_order(
    wanted: Sequence[str], tokens: Sequence[str | None], unknown: int | None = None
) -> bool:
    rest = iter(tokens)
    for position, text in enumerate(wanted):
        program = position == 0
        names = {text.casefold()}
        found = any(
            position == unknown
            if token is None
            else token.casefold() in names or (program and base_name(token).casefold() in names)
            for token in rest
        )
        if not found:
            return False
    return True
