"""``ferry completion SHELL``: the script that lets a shell complete ferry's arguments.

The script asks ``ferry`` itself (``main`` answers through argcomplete), so it never goes stale.
"""

from __future__ import annotations

import argparse

NAME = "completion"
HELP = "print the script that completes ferry's arguments in a shell"
EXAMPLES = """\
examples:
  source <(ferry completion bash)                                this shell only
  ferry completion bash > ~/.local/share/bash-completion/completions/ferry
  ferry completion zsh > "${fpath[1]}/_ferry"
  ferry completion fish > ~/.config/fish/completions/ferry.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One argument: the shell."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(args: argparse.Namespace) -> int:
    """Print the script on stdout."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["ferry"], shell=args.shell), end="")
    return 0
