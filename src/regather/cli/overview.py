"""The help of ``regather`` itself: commands by group, examples, exit codes."""

from __future__ import annotations

from regather.cli.commands import GROUPS
from regather.cli.parsing import Formatter, Parser, commands_of, groups_of, indented

EXIT_CODES = """exit codes:
  0 done
  1 failed; the same command resumes
  2 the command cannot be carried out as given
  3 verification or trust failed
  4 not enough sources
  5 degraded (check only)
  6 a different file is there and is kept (--force replaces it)
  130 interrupted; the same command resumes
  141 the reader of standard output has left (get -o - only)
"""


EXAMPLES = (
    "regather demo",
    "regather generate large_file.txt --size 100MB",
    "regather split large_file.txt --out hosted --servers 3 --replicas 2",
    "regather get hosted/large_file.txt.regather.json -o copy.txt",
)


class Overview(Parser):
    """The parser of ``regather`` itself, whose help lists the commands."""

    def short_help(self) -> str:
        """Commands by group, and examples."""
        lines = [f"usage: {self.usage}", "", f"{self.description}"]
        commands = commands_of(self)
        for title, names in GROUPS.items():
            lines += ["", f"{title}:", *(f"  {n:<11} {commands[n].description}" for n in names)]
        return (
            "\n".join(lines) + f"\n\nexamples:\n{indented(EXAMPLES)}\n"
            "regather COMMAND -h shows the most used options of a command, --help all;\n"
            "regather help lists topics like sources, parity and resume\n"
        )

    def format_help(self) -> str:
        """The same, and the options of all commands and the exit codes."""
        formatter = Formatter(self.prog)
        formatter.start_section("options")
        formatter.add_arguments(groups_of(self)[0][1])
        formatter.end_section()
        return f"{self.short_help()}\n{formatter.format_help()}\n{EXIT_CODES}"
