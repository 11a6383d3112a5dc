# Two stages: what builds stays behind. The image holds the package and its locked dependencies, runs as a user of its own, and writes to /state only.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE pom.xml ./
COPY src ./src
RUN python -m venv /opt/driftline \
    && /opt/driftline/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock \
    && /opt/driftline/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
COPY --from=build /opt/driftline /opt/driftline
RUN useradd --system --uid 10001 driftline && mkdir /state && chown driftline /state
ENV PATH=/opt/driftline/bin:$PATH
USER driftline
WORKDIR /state
ENTRYPOINT ["driftline"]
CMD ["worker"]
