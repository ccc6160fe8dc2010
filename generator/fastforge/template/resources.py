"""Read and write resources, as lines that people type and as mappings in an answer.

A line has the name, then the fields: `order number:str:max=40:unique item:ref=items`. A word with `=` before
any colon is an option of the resource: `plural=orders`, `without=batch,export`. So is the word `owned`. The
template checks the rest.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from fastforge.errors import UserError

# The option of a resource whose rows belong to the callers that create them.
OWNED = "owned"
EXAMPLE = "order number:str:max=40:unique quantity:int:min=1 status:enum=open,paid:default=open:filter"


class Resource(TypedDict):
    """A resource in the answer `resources`."""

    name: str
    plural: NotRequired[str]
    without: NotRequired[list[str]]
    owned: NotRequired[bool]
    fields: list[str]


def parse_line(line: str) -> Resource:
    """Return the resource that the line describes. A word with a space in it must be quoted.

    Raises:
        UserError: The line is empty, has an open quote, or an unknown or repeated option.
    """
    try:
        name, *words = shlex.split(line)
    except ValueError as error:
        problem = "is empty" if not line.strip() else f"cannot be read ({str(error).lower()})"
        raise UserError(f"The resource {line!r} {problem}.", f"Write it as: {EXAMPLE}") from error
    options: dict[str, str] = {}
    fields = []
    for word in words:
        option, equals, value = word.partition("=")
        is_option = word == OWNED or (equals and ":" not in option)
        if not is_option:
            fields.append(word)
        elif option in options or not (word == OWNED or option in ("plural", "without")):
            problem = "is given twice" if option in options else "is not an option of a resource"
            raise UserError(
                f"{name}: {option!r} {problem}.",
                "Use plural=WORD, without=batch,export,summary and owned; a field is NAME:TYPE.",
            )
        else:
            options[option] = value
    resource = Resource(name=name, fields=fields)
    if "plural" in options:
        resource["plural"] = options["plural"]
    if "without" in options:
        resource["without"] = options["without"].split(",")
    if OWNED in options:
        resource["owned"] = True
    return resource


def line_of(resource: Mapping[str, Any]) -> str:
    """Return the line that describes the resource."""
    plural = [f"plural={resource['plural']}"] if "plural" in resource else []
    without = [f"without={','.join(resource['without'])}"] if resource.get("without") else []
    owned = [OWNED] if resource.get("owned") else []
    return shlex.join([resource["name"], *plural, *without, *owned, *resource["fields"]])


def read_resources(answer: Sequence[Any]) -> list[Any]:
    """Return the answer with a mapping instead of each line. The template checks anything else."""
    return [parse_line(each) if isinstance(each, str) else each for each in answer]


def changes_in_words(old: object, new: object) -> Iterator[str]:
    """Yield a line for each resource and field that is added (+) or removed (-)."""
    before, after = _by_name(old), _by_name(new)
    yield from (f"+ {line_of(each)}" for name, each in after.items() if name not in before)
    yield from (f"- {name}" for name in before if name not in after)
    for name in after:
        yield from _changed_words(before[name], after[name]) if name in before else ()


def revisions_in_words(old: object, new: object) -> Iterator[str]:
    """Yield a line for each revision that is added (+) or removed (-)."""
    before, after = _as_list(old), _as_list(new)
    for sign, revisions, others in (("+", after, before), ("-", before, after)):
        for each in revisions:
            if each not in others:
                steps = ", ".join(map(_step_in_words, each["steps"]))
                yield f"{sign} {each['id']} {'after ' + each['after'] if each['after'] else 'first'}: {steps}"


def _step_in_words(step: Mapping[str, Any]) -> str:
    if "field" in step:
        action = "add" if "add" in step else "drop"
        return f"{action} {step[action]}.{step['field'].split(':')[0]}"
    action = "create" if "create" in step else "remove"
    return f"{action} {step[action]['name']}"


def _changed_words(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = shlex.split(line_of(old))[1:], shlex.split(line_of(new))[1:]
    yield from (f"{new['name']}: + {word}" for word in after if word not in before)
    yield from (f"{new['name']}: - {word}" for word in before if word not in after)


def _by_name(answer: object) -> dict[str, Mapping[str, Any]]:
    return {each["name"]: each for each in _as_list(answer)}


def _as_list(answer: object) -> Sequence[Mapping[str, Any]]:
    return answer if isinstance(answer, list) else []
