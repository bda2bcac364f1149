# Two stages: the image that runs holds no compiler and no build tool.
FROM python:3.11-slim AS build
WORKDIR /build
# What the locks name, by its SHA-256, and nothing else.
COPY .lock .lock
RUN python -m venv tools \
    && tools/bin/pip install --no-cache-dir --require-hashes -r .lock/build.txt \
    && python -m venv --without-pip /opt/exchange \
    && tools/bin/uv pip install --no-cache --python /opt/exchange --compile-bytecode \
        --require-hashes -r .lock/server.txt
COPY pyproject.toml README.md LICENSE ./
COPY biometrics biometrics
COPY enrolment enrolment
COPY matcher matcher
RUN tools/bin/python -m hatchling build --target wheel --directory dist \
    && tools/bin/uv pip install --no-cache --python /opt/exchange --compile-bytecode \
        --no-deps dist/*.whl

FROM python:3.11-slim
RUN pip uninstall --yes --root-user-action ignore pip setuptools wheel \
    && useradd --system --uid 10001 --home-dir /var/lib/exchange --create-home exchange
COPY --from=build /opt/exchange /opt/exchange
# Nothing is written but below /var/lib/exchange: the rest may be read-only.
ENV PATH=/opt/exchange/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001
# The configuration that `biometrics init` writes, with its data, is mounted here.
VOLUME /var/lib/exchange
EXPOSE 7443
# Needs `[metrics] listen`; says nothing of searches. A start may load for minutes.
HEALTHCHECK --interval=10s --timeout=10s --start-period=10m --retries=3 \
    CMD ["biometrics", "status", "--config", "/var/lib/exchange/exchange.toml"]
# SIGTERM drains for as long as calls run: give it 30 seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["biometrics"]
CMD ["serve", "--config", "/var/lib/exchange/exchange.toml"]
