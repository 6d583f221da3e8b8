# syntax=docker/dockerfile:1
# CPU image: PyTorch's own CPU wheels, no CUDA libraries.
FROM python:3.12-slim AS build
RUN pip install --no-cache-dir 'uv>=0.9'
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN sed -E '/^ +--hash/d; s/ *\\$//' requirements.lock > constraints.txt
COPY hybrid_search hybrid_search
COPY workers workers
RUN uv venv /opt/venv && uv pip install --python /opt/venv/bin/python --torch-backend cpu --compile-bytecode --constraint constraints.txt '.[parquet]'

FROM python:3.12-slim
RUN useradd --system --create-home --uid 10001 search && install -d -o search -g search /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
USER search
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["hybrid-search"]
CMD ["serve"]
