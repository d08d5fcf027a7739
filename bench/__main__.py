"""``python -m bench``: measures, prints the tables, and after a whole run writes them down."""

from __future__ import annotations

import argparse
import json
import platform
import re
import resource
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import forward, forwards, observed, relay, report, rounds
from bench.load import clients
from bench.rounds import Results

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "performance.md"
RAW = HERE / "results" / "latest.json"
SUITES: dict[str, ModuleType] = {
    "relay": relay,
    "observed": observed,
    "forward": forward,
    "forwards": forwards,
}


def main() -> int:
    arguments = _arguments()
    if arguments.report:
        _document(json.loads(RAW.read_text()))
        return 0
    _raise_descriptors()
    results = _measure(arguments)
    for name, measured in results.items():
        print(f"\n{name}\n\n{_table(name, measured)}")
    for name, measured in results.items():
        for title in report.missed(SUITES[name].ROWS, measured):
            print(f"missed: {name}, {title}")
    if arguments.quick or arguments.only or arguments.rounds < 3:
        print("a partial run: docs/performance.md stays as it is")
        return 0
    raw = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "rounds": arguments.rounds,
        "results": results,
    }
    RAW.parent.mkdir(exist_ok=True)
    RAW.write_text(json.dumps(raw, indent=1) + "\n")
    _document(raw)
    return 0


def _measure(arguments: argparse.Namespace) -> dict[str, Results]:
    results: dict[str, Results] = {}
    with ExitStack() as stack:
        pool = stack.enter_context(clients())
        for name, suite in SUITES.items():
            chosen = [
                scenario
                for scenario in suite.scenarios(pool, arguments.quick)
                if re.search(arguments.only, f"{name}/{scenario.name}")
            ]
            if chosen:
                results[name] = rounds.run(chosen, arguments.rounds)
    return results


def _table(name: str, measured: Results) -> str:
    return report.table(SUITES[name].ROWS, measured, SUITES[name].PEERS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument(
        "--only",
        default="",
        metavar="PATTERN",
        help="only what matches this regular expression, as in relay/bulk or forward/",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: does the bench work?")
    parser.add_argument(
        "--report", action="store_true", help="only write the tables anew, from the last figures"
    )
    return parser.parse_args()


def _raise_descriptors() -> None:
    """2,000 idle connections are 4,000 descriptors of a relay; the default limit is often 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _document(raw: dict[str, Any]) -> None:
    """Put the tables of these figures into the document."""
    text = DOCUMENT.read_text()
    for name, measured in raw["results"].items():
        head = f"{raw['when'][:10]}, {raw['machine']}, {raw['rounds']} rounds."
        text = report.replace_block(text, name, f"{head}\n\n{_table(name, measured)}")
    DOCUMENT.write_text(text)
    print(f"written: {DOCUMENT.relative_to(HERE.parent)}")


if __name__ == "__main__":
    sys.exit(main())
