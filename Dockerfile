# Two stages: the image that runs holds no compiler and no build tool.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY biometrics biometrics
COPY enrolment enrolment
COPY matcher matcher
RUN python -m venv /opt/exchange && /opt/exchange/bin/pip install --no-cache-dir .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/exchange --create-home exchange
COPY --from=build /opt/exchange /opt/exchange
ENV PATH=/opt/exchange/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER exchange
# The configuration that `biometrics init` writes, with its data, is mounted here.
VOLUME /var/lib/exchange
EXPOSE 7443
ENTRYPOINT ["biometrics"]
CMD ["serve", "--config", "/var/lib/exchange/exchange.toml"]
