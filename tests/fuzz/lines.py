"""Command lines that are made to be read differently by two readers.

Three sources: words and signs strung together at random, small programs of the shell's grammar, and
the lines of the table of cases with parts changed, dropped, doubled or put into one another.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

TABLE = Path(__file__).parents[1] / "policy" / "shell_cases.jsonl"
PROGRAMS = ("git", "al", "evil", "touch", "rm")
_SIGNS_TEXT = r"""
; ;; ;& ;;& & && | || |& ( ) (( )) { } [ ] [[ ]] < > << <<- <<< <( >( <& >& <> &> &>> >| 2>
2>&1 3< {fd}> $ $( $(( ${ $[ $' $" ` ' " \ # ! ~ * ? = += : , - -- + ^ % @ ..
"""
SIGNS = _SIGNS_TEXT.split()
_WORDS_TEXT = r"""
git al evil touch rm echo printf cat if then elif else fi while until do done for in case esac
select function time coproc eval exec command builtin env xargs find sh bash dash nice nohup
timeout let test read declare local export unset set trap alias cd pushd popd : true false x y
i a b E EOF 1 0 42 PATH IFS LANG CI GIT_PAGER BASH_ENV -c -v -n -e -exec -I{} {} x= i= a= PATH=
LANG= a[ a[i]= i++ x+1 a[$(evil)] 'a[$(evil)]' $x $i ${x} ${x:-y} ${x:=y} ${!x} ${x@P} ${a[i]}
${#x} $((i)) $((x=1)) $(evil) $(git) `evil` `git` <(evil) 'E' "E" \E src README.md %n /dev/null
evil;git git;evil PS4='$(evil)' BASH_ENV='$(evil)' -x
x=(1) x[0]=1 typeset mapfile x='($(evil))' x="(`evil`)"
"""
WORDS = _WORDS_TEXT.split()
TESTS = ("==", "-eq", "=~", "<", "-a")
GAPS = (" ", " ", " ", " ", "", "", "\n", "\\\n", "\t", "  ", ";", " ; ")
ODD = ("\u00a0", "\u0085", "\u2003", "\u200b", "é", "\r", "\x00", "\x0c", "\x7f")


class Lines:
    """Lines of one random sequence: the same seed makes the same lines."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        rows = [json.loads(line) for line in TABLE.read_text().splitlines()]
        targets = [str(row["target"]).replace("{base}/project/", "") for row in rows]
        self._table = [t for t in targets if len(t) < 200 and not _leaves(t)]
        self._pieces = [piece for target in self._table for piece in target.split(" ")]

    def __iter__(self) -> Iterator[str]:
        sources: list[Callable[[], str]] = [
            self._soup,
            self._program,
            self._changed,
            self._changed,
            lambda: self._mutated(self._program()),
            lambda: self._wrapped(self._changed()),
        ]
        while True:
            line = self._random.choice(sources)()
            if not _leaves(line) and len(line) < 400:
                yield line

    # -- words and signs -----------------------------------------------------------------------

    def _piece(self) -> str:
        kind = self._random.random()
        if kind < 0.45:
            return self._random.choice(WORDS)
        if kind < 0.85:
            return self._random.choice(SIGNS)
        if kind < 0.98:
            return self._random.choice(self._pieces)
        return self._random.choice(ODD)

    def _soup(self) -> str:
        count = self._random.randint(1, 12)
        return "".join(self._piece() + self._random.choice(GAPS) for _ in range(count))

    # -- programs ------------------------------------------------------------------------------

    def _program(self, depth: int = 0) -> str:
        pick = self._random.choice
        kind = self._random.random()
        if depth > 3 or kind < 0.45:
            return self._simple(depth)
        one, two = self._program(depth + 1), self._program(depth + 1)
        joint = pick((";", "\n", "&&", "||", "|", "&", " ;\n", " \\\n&& ", "|\n"))
        shapes = (
            f"{one} {joint} {two}",
            f"{one}{joint}{two}",
            f"({one})",
            f"{{ {one}; }}",
            f"{one}\n{two}\n{one}",
            f"{{\n{one}\n{two}\n}}\n{one}\n{two}",
            f"for {pick('xi')} in {self._word(depth)} 1; do\n{one}\n{two}\ndone\n{two}",
            f"if {one}; then {two}; fi",
            f"if {one}\nthen {two}\nelse {one}\nfi",
            f"while {one}; do {two}; break; done",
            f"for {pick('xiab')} in {self._word(depth)} {self._word(depth)}; do {one}; done",
            f"for ((i=0;i<2;i++)); do {one}; done",
            f"case {self._word(depth)} in {pick(('x', '*', '(a', 'a|b'))}) {one};; *) {two};; esac",
            f"{pick(('f', 'g'))}() {{ {one}; }}",
            f"! {one}",
            f"time {one}",
            f"{one} # {two}",
            f"[[ {self._word(depth)} {pick(TESTS)} {self._word(depth)} ]] && {one}",
            f"(( {self._expression(depth)} )); {one}",
            f"{one} <<{pick(('E', chr(39) + 'E' + chr(39), '-E'))}\n{two}\nE\n{one}",
            self._wrapped(one),
        )
        return pick(shapes)

    def _simple(self, depth: int) -> str:
        pick, chance = self._random.choice, self._random.random
        words = []
        if chance() < 0.3:
            name = pick(("x", "i", "a", "LANG", "CI", "PATH", "a[0]", "a[i]", "BRANCH"))
            values = (self._word(depth + 1), "1", f"$(({self._expression(depth)}))", "(1 x)")
            words.append(f"{name}{pick(('=', '=', '+='))}{pick(values)}")
        if chance() < 0.9:
            words.append(pick((*PROGRAMS[:2], *PROGRAMS, "echo", "printf", "read", "test", "cd")))
        words += [self._word(depth + 1) for _ in range(self._random.randint(0, 3))]
        if chance() < 0.2:
            words.append(pick(("> /dev/null", "2>&1", "< README.md", "> out", "<<< x", "{x}< src")))
        return " ".join(words) or ":"

    def _word(self, depth: int) -> str:
        pick = self._random.choice
        plain = (
            "x",
            "a b",
            "-v",
            "src",
            "..",
            "1",
            "*",
            "{a,b}",
            "~",
            "#",
            "-",
            "%n",
            "a[$(evil)]",
        )
        if depth > 3:
            return pick(("x", "1", "$x", '"$x"'))
        inner = self._program(depth + 2)
        return pick(
            (
                *("x", "1", "a", "src", '"$x"', "$i", "'a[$(evil)]'"),
                pick(plain),
                f"'{pick(plain)}'",
                f'"{pick(plain)}"',
                f"$({inner})",
                f'"$({inner})"',
                f"`{inner}`",
                f"<({inner})",
                f"$(({self._expression(depth)}))",
                "${"
                + pick("xia1@")
                + pick(("", ":-", ":=", "=", "#", "%", "/", ":", "^", "@"))
                + pick(("", "x", "1", "i", f"$({inner})"))
                + "}",
                f"$'{pick(('a', chr(92) + chr(39), chr(92) * 2))}'",
            )
        )

    def _expression(self, depth: int) -> str:
        pick = self._random.choice
        atoms = (
            "1",
            "i",
            "x",
            "$x",
            "$#",
            "${#x}",
            "i++",
            "x=1",
            "a[0]",
            "a[i]",
            "PATH=1",
            "$(git)",
        )
        return pick(("", "1+", "-", "i=")) + pick(atoms) + pick(("", "+1", "*i", "?1:0", "&&x"))

    # -- the table -----------------------------------------------------------------------------

    def _changed(self) -> str:
        return self._mutated(self._random.choice(self._table))

    def _mutated(self, line: str) -> str:
        for _ in range(self._random.randint(1, 3)):
            at, to = sorted(self._random.randint(0, len(line)) for _ in range(2))
            other = self._random.choice(self._table)
            line = self._random.choice(
                (
                    line[:at] + self._piece() + line[at:],
                    line[:at] + self._piece() + line[to:],
                    line[:at] + line[at + 1 :],
                    line[:at] + line[to:],
                    line[:to] + line[at:],
                    line[:at] + other,
                    f"{line}{self._random.choice(('; ', chr(10), ' && ', '|', '&', ' '))}{other}",
                    f"{line}\n{other}\n{line}",
                    line[:at]
                    + self._random.choice(("\\\n", "\n", " ", "#", "'", '"', "\\"))
                    + line[at:],
                )
            )
        return line

    def _wrapped(self, line: str) -> str:
        quoted = "'" + line.replace("'", "'\\''") + "'"
        double = '"' + "".join(f"\\{c}" if c in '"\\$`' else c for c in line) + '"'
        text = self._random.choice((quoted, quoted, double))
        return self._random.choice(
            (
                f"sh -c {text}",
                f"sh -c {text}",
                f"bash -c {text}",
                f"dash -c {text} x y",
                f"eval {text}",
                f"$({line})",
                f'"$({line})"',
                f"git $({line})",
                f"git <<E\n{line}\nE",
                f"git <<'E'\n{line}\nE",
                f"git commit -m \"$(cat <<'E'\n{line}\nE\n)\"",
                f"echo | xargs sh -c {text}",
                f"find . -maxdepth 0 -exec sh -c {text} \\;",
                f"trap {text} EXIT",
                f"env LANG=C sh -c {text}",
                f"nice timeout 5 sh -c {text}",
            )
        )


def _leaves(line: str) -> bool:
    """Whether a line names places outside that must not be touched even by mistake."""
    return any(
        text in line
        for text in (
            "/etc",
            "/tmp",
            "/usr",
            "/bin",
            "/lib",
            "/proc",
            "/sys",
            "{base}",
            "kill",
            "-delete",
            "fprint",
        )
    )
