"""Packages that every node of a cluster must have, as requirements such as `vllm>=0.12`.

Nodes come with their packages, in an image or an environment: nothing is installed, since that
would copy an environment of gigabytes on each node. A node that lacks one is left out by name.

>>> lacking(["evolcoder>=1000"])   # doctest: +SKIP
['cluster.packages wants evolcoder>=1000, and 1.2 is installed']
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version


def lacking(packages: Iterable[str]) -> list[str]:
    """Say what this machine lacks; one sentence for each package."""
    return list(_lacks(packages))


def _lacks(packages: Iterable[str]) -> Iterator[str]:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - Ray's

    for package in packages:
        wanted = f"cluster.packages wants {package}"
        try:
            requirement = Requirement(package)
            installed = version(requirement.name)
        except InvalidRequirement as error:
            yield f"{wanted}, which is no requirement: {str(error).splitlines()[0]}"
        except PackageNotFoundError:
            yield f"{wanted}, which is not installed"
        else:
            if not requirement.specifier.contains(installed, prereleases=True):
                yield f"{wanted}, and {installed} is installed"
