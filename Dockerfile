# syntax=docker/dockerfile:1
# CPU image: PyTorch's own CPU wheels, no CUDA libraries. For a GPU: docker build --build-arg TORCH_BACKEND=cu128 . (any that
# `uv pip install --torch-backend` knows), and give the container the device.
FROM python:3.12-slim-bookworm AS build
ARG TORCH_BACKEND=cpu
ARG EXTRAS=parquet,elasticsearch,aws,otel
RUN pip install --no-cache-dir 'uv==0.9.*'
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN sed -E '/^ +--hash/d; s/ *\\$//' requirements.lock > constraints.txt
COPY mappings mappings
COPY hybrid_search hybrid_search
COPY workers workers
RUN uv venv /opt/venv \
    && uv pip install --python /opt/venv/bin/python --torch-backend "$TORCH_BACKEND" --compile-bytecode --constraint constraints.txt ".[$EXTRAS]"

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="hybrid-search" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 search \
    && useradd --system --create-home --uid 10001 --gid search search \
    && install -d -o search -g search /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HYBRID_SEARCH_HOME=/data/index XDG_CACHE_HOME=/data/cache
USER 10001:10001
WORKDIR /home/search
VOLUME /data
EXPOSE 8080 9108
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('HYBRID_SEARCH_PORT', 8080)}/readyz\", timeout=3)"]
ENTRYPOINT ["hybrid-search"]
CMD ["serve"]
