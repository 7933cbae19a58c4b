# Stage 1: everything pip needs to build stays here.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements.lock postgres.lock cuda.lock ./
# With the driver for PostgreSQL: --build-arg POSTGRES=1
ARG POSTGRES=""
# Name PyTorch's index of CPU builds for a smaller image: --build-arg PIP_EXTRA_ARGS="--index-url ..."
ARG PIP_EXTRA_ARGS=""
# hadolint ignore=SC2086
RUN python -m venv --upgrade-deps /venv && /venv/bin/pip install ${PIP_EXTRA_ARGS} --no-deps torch==2.13.0 \
    && /venv/bin/pip install -r requirements.lock ${POSTGRES:+-r postgres.lock}

# Stage 2: the app, run by a user that is not root.
FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 10001 errorscope && install -d -o errorscope /data
COPY --from=build /venv /venv
WORKDIR /app
COPY --chown=root:root .streamlit .streamlit
COPY --chown=root:root app.py requirements.lock postgres.lock cuda.lock ./
COPY --chown=root:root pages pages
COPY --chown=root:root backend backend
COPY --chown=root:root assets assets
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/data/numba \
    ERRORSCOPE_HOME=/data
USER 10001
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/health', timeout=4)"]
# Inside a container the loopback address is unreachable; publish the port on the host's loopback:
#   docker run -e ERRORSCOPE_OPEN=1 -p 127.0.0.1:8501:8501 -v errorscope:/data errorscope
# Beyond that the app shows nothing until sign-in is configured (README, "Sharing it").
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501"]
