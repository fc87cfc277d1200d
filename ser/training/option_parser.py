"""Options from dataclasses: help in groups, and one-line errors that suggest the nearest valid name."""

import argparse
import dataclasses
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NoReturn

from transformers import HfArgumentParser

from ser.files import PROJECT
from ser.nearest_name import nearest


class OptionParser(HfArgumentParser):
    """`HfArgumentParser` that raises `ValueError` instead of printing its usage, which has 200 lines here."""

    def __init__(self, kinds: Sequence[type] = ()):
        super().__init__(kinds, add_help=False, allow_abbrev=False)  # type: ignore[arg-type]  # a NewType of its own
        self.fields = {each.name: each for kind in kinds for each in dataclasses.fields(kind) if each.init}

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        raise ValueError(message)

    def parse_all(self, arguments: list[str] | None) -> tuple[Any, ...]:
        """One object of each dataclass; unknown options are refused."""
        *parsed, unknown = self.parse_args_into_dataclasses(arguments, return_remaining_strings=True)
        if unknown:
            self._refuse(unknown[0].partition("=")[0])  # its value may be a secret
        return tuple(parsed)

    def _refuse(self, option: str) -> NoReturn:
        see_help = "; `python train.py --help` lists the options"
        if not option.startswith("-"):
            raise ValueError(f"{option!r} belongs to no option{see_help}")
        name = option.lstrip("-").replace("-", "_")
        raise ValueError(f"there is no option {option}{nearest(name, self.fields, prefix='--') or see_help}")

    def print_groups(self, groups: Mapping[str, Iterable[str]], *, description: str | None, epilog: str | None) -> None:
        """Print description, the options of each group with their defaults, and epilog.

        Args:
            groups: Names of options, by the title of their group.
            description: May have several lines.
            epilog: Likewise.
        """
        shown = argparse.ArgumentParser(
            usage="python train.py [OPTION VALUE ...]",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
        )
        for title, names in groups.items():
            group = shown.add_argument_group(title)
            for name in names:
                default, text = self.get_default(name), self.fields[name].metadata.get("help", "")
                if default not in (None, "", []) and "efault" not in text:
                    text += f" (default: {as_typed(default)})".replace("%", "%%")
                group.add_argument(f"--{name}", metavar="", help=text)
        shown.print_help()


def as_typed(default: Any) -> str:
    """A default as one would type it, folders of this project relative to it."""
    values = default if isinstance(default, list) else [getattr(default, "value", default)]
    return " ".join(str(value).removeprefix(f"{PROJECT}/") for value in values)


__all__ = ["OptionParser"]
