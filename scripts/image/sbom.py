"""The bill of materials: what is in an image, as CycloneDX."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from scripts.image.debian import SUITE, Package


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that a bill is about. `digest` is not known yet where a container runtime makes the image."""

    name: str
    version: str
    digest: str
    created: datetime
    """The time of its commit."""


def bill(image: Subject, packages: Sequence[Package], site: Path) -> str:
    """Return the bill of an image as JSON: Debian's packages of the base, and the Python packages in the folder `site`.

    The same image has the same bill: its time is the image's, and its number is made of the image's digest.
    """
    bom = Bom(serial_number=uuid5(NAMESPACE_OID, image.digest))
    bom.metadata.timestamp = image.created
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER,
        name=image.name,
        version=image.version,
        bom_ref=image.name,
        hashes=list(_hashes(image.digest)),
    )
    components = [*(_debian(package) for package in packages), *_python(site)]
    bom.components.update(components)
    bom.register_dependency(bom.metadata.component, components)
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _debian(package: Package) -> Component:
    qualifiers = {"arch": package.architecture, "distro": SUITE}
    purl = PackageURL("deb", "debian", package.name, package.version, qualifiers)
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=purl,
        bom_ref=str(purl),
        hashes=list(_hashes(package.digest)),
    )


def _hashes(digest: str) -> Iterator[HashType]:
    if digest:
        yield HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))


def _python(site: Path) -> Iterator[Component]:
    for distribution in sorted(distributions(path=[str(site)]), key=lambda each: each.name.lower()):
        purl = PackageURL("pypi", None, distribution.name.lower().replace("_", "-"), distribution.version)
        yield Component(
            type=ComponentType.LIBRARY,
            name=distribution.name,
            version=distribution.version,
            purl=purl,
            bom_ref=str(purl),
            licenses=list(_licences(distribution)),
        )


def _licences(distribution: Distribution) -> Iterator[License]:
    """Yield the terms of a package: as an SPDX expression where it gives one, else what it is classified as."""
    about = distribution.metadata
    if "License-Expression" in about:
        yield LicenseFactory().make_from_string(about["License-Expression"])
        return
    classified = [text for text in about.get_all("Classifier") or () if text.startswith("License ::")]
    for text in classified or (about.get_all("License") or ())[:1]:
        yield LicenseFactory().make_with_name(text.rpartition(" :: ")[2].splitlines()[0])
