# The operator's image. Of the build stage, nothing but the finished environment gets into it.
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY constraints ./constraints
# Every package at its pinned version and with its known hash. It comes first: a change of the code installs none anew.
RUN python -m venv --without-pip /opt/forestall \
    && pip --python /opt/forestall/bin/python install --require-hashes --only-binary=:all: -r constraints/runtime.txt
# The build backend and what it needs, pinned by the same lock as the developers'.
RUN awk '/^[a-z]/ {keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} keep' constraints/dev.txt \
        > backend.txt \
    && pip install --require-hashes --only-binary=:all: -r backend.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator ./operator
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/forestall/bin/python install --no-deps --no-index dist/*.whl

FROM ${PYTHON}
LABEL org.opencontainers.image.title="forestall" \
      org.opencontainers.image.description="Keeps Kubernetes workloads inside their service level objectives by acting before the breach." \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing can be installed into a running container, and the linear algebra takes one thread, not one per node's core.
RUN pip uninstall --yes --root-user-action=ignore pip
ENV PATH=/opt/forestall/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENBLAS_NUM_THREADS=1 \
    HOME=/tmp
COPY --from=build /opt/forestall /opt/forestall
# A number, so that the kubelet can see that it is not root.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["forestall"]
CMD ["run"]
