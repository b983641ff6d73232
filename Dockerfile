# The operator's image, where a container runtime and a registry are at hand; `make image` makes the same image without them.
# Nothing of the first stage but the three layers' files gets into the image: no shell, no package manager.
ARG PYTHON=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM --platform=$BUILDPLATFORM ${PYTHON} AS build
WORKDIR /src
COPY constraints ./constraints
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r constraints/image.txt
COPY scripts/image ./scripts/image
# The architecture of the image may be another than this machine's: no program of the image is run.
ARG TARGETARCH=amd64
RUN python -m scripts.image --layers dependencies --arch ${TARGETARCH}
COPY pyproject.toml README.md LICENSE ./
COPY operator ./operator
RUN python -m scripts.image --layers code --arch ${TARGETARCH} && mv build/image/${TARGETARCH} /layers

# The bill of materials: `docker build --target bill --output build .`
FROM scratch AS bill
COPY --from=build /src/build/forestall-image.cdx.json /

FROM scratch
ARG REVISION=unknown
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="forestall" \
      org.opencontainers.image.description="Keeps Kubernetes workloads inside their service level objectives by acting before the breach." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
# From what changes least to what changes most: a change of the code alone sends the last layer alone.
COPY --from=build /layers/base/ /
COPY --from=build /layers/dependencies/ /
COPY --from=build /layers/code/ /
# The linear algebra takes one thread, not one for each of the node's cores.
ENV PATH=/usr/local/bin:/usr/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENBLAS_NUM_THREADS=1
# A number, so that the kubelet can see that it is not root; /etc/passwd has a name for it.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/forestall"]
CMD ["run"]
