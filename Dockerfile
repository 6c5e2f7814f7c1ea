# py-image-dedup: the daemon in a container.
#   docker build -t py-image-dedup .
#   docker run -e PUID=1000 -e PGID=1000 -v ~/Pictures:/data/in -v dedup-state:/state -p 127.0.0.1:8001:8001 py-image-dedup

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# For builds behind a proxy with its own certificates: --build-arg PIP_CERT=/path/in/the/build
ARG PIP_CERT
WORKDIR /build
RUN python3 -m venv /opt/venv
COPY pyproject.toml setup.py README.md LICENSE ./
COPY py_image_dedup py_image_dedup
COPY docs/man docs/man
# dumb-init is the first process: it forwards signals and reaps orphaned processes.
RUN /opt/venv/bin/pip install --quiet "dumb-init>=1.2,<2" '.[all]' \
    && /opt/venv/bin/python -m compileall -q /opt/venv

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="py-image-dedup" \
      org.opencontainers.image.description="Finds the duplicates of a photo library and removes them safely" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/venv /opt/venv
COPY deploy/docker/entrypoint.sh deploy/docker/healthcheck.py deploy/docker/defaults.yaml /opt/py-image-dedup/
RUN mkdir -p /data/in /data/out /state && chmod 0755 /opt/py-image-dedup/entrypoint.sh
# Nothing is removed by default: dry_run is true here too. Options of the image are in defaults.yaml and not in the
# environment, because the environment overrides a mounted configuration file.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/state \
    PUID=1000 \
    PGID=1000 \
    PY_IMAGE_DEDUP_DEFAULTS_FILE=/opt/py-image-dedup/defaults.yaml
VOLUME ["/data/in", "/data/out", "/state"]
EXPOSE 8000 8001
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["python", "/opt/py-image-dedup/healthcheck.py"]
ENTRYPOINT ["/opt/venv/bin/dumb-init", "--", "/opt/py-image-dedup/entrypoint.sh"]
CMD ["daemon"]
