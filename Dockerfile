# Two stages: the image that runs holds no compiler and no build tool.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY biometrics biometrics
COPY enrolment enrolment
COPY matcher matcher
RUN python -m venv /opt/exchange \
    && /opt/exchange/bin/pip install --no-cache-dir '.[postgres]' \
    && /opt/exchange/bin/pip uninstall --yes pip setuptools

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
