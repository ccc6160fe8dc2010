"""The options of `fastforge bench`."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from fastforge_kit.errors import WrongCommandLine
from fastforge_kit.optimizations import Optimization, load_optimizations
from fastforge_kit.project import OPTIMIZATIONS

SECONDS, ROUNDS = 1.0, 3
QUICK_SECONDS, QUICK_ROUNDS = 0.2, 2
Chosen = TypeVar("Chosen")


@dataclass(frozen=True)
class Options:
    """The selection and length of the measurements; `endpoints` is a list of texts, "all" or "none"."""

    seconds: float
    rounds: int
    connections: int
    workers: int | None
    port: int | None
    resource: str | None
    default_resource: str | None
    endpoints: str
    optimizations: Sequence[Optimization]
    json: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongCommandLine(f"{message[:1].upper()}{message[1:]}.", f"See: {self.prog} --help")


def read_options(arguments: Sequence[str]) -> Options:
    """Return the options that the arguments give. Raises `WrongCommandLine`."""
    given = _parser().parse_args(arguments)
    if (given.endpoints, given.optimizations) == ("none", "none"):
        raise WrongCommandLine(
            "Without endpoints and optimizations there is nothing to measure.", "Choose some."
        )
    return Options(
        seconds=given.seconds or (QUICK_SECONDS if given.quick else SECONDS),
        rounds=given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS),
        connections=given.connections,
        workers=given.workers,
        port=given.port,
        resource=given.resource,
        default_resource=given.default_resource,
        endpoints=given.endpoints,
        optimizations=chosen(
            "--optimizations", given.optimizations, load_optimizations(OPTIMIZATIONS), lambda each: each.id
        ),
        json=given.json,
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastforge bench", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_ROUNDS} rounds of {QUICK_SECONDS} s: for a first look; more results are inconclusive",
    )
    parser.add_argument(
        "--seconds",
        type=between(0.01, 3_600, float),
        help=f"length of a round ({SECONDS:g}); longer ones make results clearer. "
        "An optimization gets three times as many rounds, each a third as long",
    )
    parser.add_argument(
        "--rounds",
        type=between(1, 1_000),
        help=f"rounds of every endpoint ({ROUNDS}), which show the noise",
    )
    add_resource(parser)
    parser.add_argument(
        "--endpoints",
        default="all",
        metavar="LIST",
        help='parts of their names, such as "read,POST"; none leaves all out (all)',
    )
    parser.add_argument(
        "--optimizations",
        default="all",
        metavar="LIST",
        help="parts of their ids; none saves most of the time (all)",
    )
    parser.add_argument(
        "--connections",
        type=between(1, 1_000),
        default=32,
        help="requests at once (32); more for a busier service",
    )
    parser.add_argument(
        "--workers", type=between(1, 1_000), help="processes that serve the endpoints (as in production)"
    )
    parser.add_argument("--port", type=between(1, 65_535), help="port of the service (a free one)")
    parser.add_argument("--json", action="store_true", help="print one JSON document, for programs")
    return parser


def add_resource(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a resource."""
    parser.add_argument("--resource", metavar="NAME", help="the resource to measure (the default one)")
    parser.add_argument(
        "--default-resource", metavar="NAME", help="used if the service has it (the first of its document)"
    )


def chosen(
    flag: str, wanted: str, known: Sequence[Chosen], name: Callable[[Chosen], str]
) -> Sequence[Chosen]:
    """Return those with one of the wanted texts in their names. Raises `WrongCommandLine`."""
    if wanted in {"all", "none"}:
        return known if wanted == "all" else []
    texts = [text.strip() for text in wanted.split(",")]
    for text in texts:
        if not text or not any(text in name(each) for each in known):
            raise WrongCommandLine(
                f"{flag}: nothing has {text!r} in its name.", f"Choose from: {', '.join(map(name, known))}."
            )
    return [each for each in known if any(text in name(each) for text in texts)]


def between(least: float, most: float, kind: type[int] | type[float] = int) -> Callable[[str], float]:
    """Return a function that reads a number from an argument, and refuses others."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = -1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:,g} to {most:,g}")
        return number

    return read
