# The servers of `recon serve` on a CPU: docker build -t meddiffusion-recon . ; see docs/serve.md.
# An image that is passed on holds astra-toolbox, which is under the GPLv3, only where WITH_ASTRA=yes; see docs/licences.md.

FROM python:3.12-slim AS build
ARG WITH_ASTRA=no
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/recon
ENV PATH=/opt/recon/bin:$PATH
WORKDIR /build
COPY constraints.txt ./
# The index of the CPU builds alone, and for torch alone: beside PyPI it could serve any other name too.
RUN pip install --constraint constraints.txt --no-deps --index-url https://download.pytorch.org/whl/cpu torch
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY datasets ./datasets
COPY physics ./physics
COPY priors ./priors
COPY recon ./recon
COPY benchmarks ./benchmarks
COPY packages ./packages
# fastmri without its dependencies, which ask for torchvision; astra-toolbox and its CUDA libraries are of use with a GPU.
RUN pip install --constraint constraints.txt '.[serve]' ./packages/meddiffusion-recon-weights \
    && pip install --constraint constraints.txt --no-deps fastmri \
    && if [ "$WITH_ASTRA" != yes ]; then \
        pip list --format=freeze | sed -n 's/^\(nvidia[^=]*\|astra-toolbox\)==.*/\1/p' | xargs --no-run-if-empty pip uninstall --yes; fi \
    && find /opt/recon -name __pycache__ -type d -prune -exec rm -rf {} +

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 recon
COPY --from=build /opt/recon /opt/recon
ENV PATH=/opt/recon/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/tmp/numba
# As a number: Kubernetes' runAsNonRoot does not look names up.
USER 10001
WORKDIR /home/recon
EXPOSE 9002 8137
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8137/health', timeout=4)"]
STOPSIGNAL SIGTERM
# In the container all interfaces: which of the host's are published is said in compose.yaml or by `docker run -p`.
ENTRYPOINT ["recon", "serve", "--host", "0.0.0.0"]
