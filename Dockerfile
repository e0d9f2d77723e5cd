# The page in a container: `docker build -t phi-playground .`; docs/serving.md says how to run it.
FROM python:3.11-slim-bookworm AS packages
WORKDIR /build
COPY requirements-light.txt .
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements-light.txt

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 phi \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home phi \
 && install -d -o phi -g phi /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY app.py LICENSE ./
COPY backends backends
COPY playground playground
COPY recordings recordings
COPY ui ui
# All that is written goes to the one volume: models, and uploads until they are read.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    TMPDIR=/data \
    HF_HOME=/data/huggingface \
    PHI_MODELS_DIR=/data/models \
    GRADIO_TEMP_DIR=/data/uploads
USER 10001:10001
VOLUME /data
EXPOSE 7860
# Running answers have five seconds to end: give it ten before it is killed, which is Docker's own rule.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--no-browser"]
