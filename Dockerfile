# Two stages: what builds stays behind. Every package comes from the lock, checked by its hash; of these the image gets what driftline[all] needs, and no
# tools. It runs as a user of its own and writes to /state and /tmp only.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN pip wheel --no-cache-dir --require-hashes --no-deps --wheel-dir /wheels --requirement requirements.lock
COPY pyproject.toml README.md LICENSE pom.xml ./
COPY src ./src
RUN python -m venv /opt/driftline \
    && /opt/driftline/bin/pip install --no-cache-dir --no-index --find-links /wheels ".[all]" \
    && /opt/driftline/bin/python -m compileall -q /opt/driftline/lib

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /state driftline && mkdir /state && chown driftline /state
COPY --from=build /opt/driftline /opt/driftline
ENV PATH=/opt/driftline/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001
WORKDIR /state
VOLUME /state
STOPSIGNAL SIGTERM
ENTRYPOINT ["driftline"]
CMD ["worker"]
