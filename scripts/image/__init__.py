"""Makes the container images without a registry and without a container runtime: `python -m scripts.image --help`.

An image has three layers, from what changes least to what changes most: `base` (Python and the libraries that it needs,
from Debian's packages), `dependencies` (the packages of the lock) and `code`. Nothing of an image is run to make it, so
that the images of other architectures are made in the same way.
"""
