# This repository with everything that it needs: on a machine without a GPU,
#   docker build --target cpu -t temporal-clue:cpu . && docker run --rm temporal-clue:cpu make puzzle
# and on one with GPUs and NVIDIA's container toolkit:
#   docker build -t temporal-clue .
#   docker run --rm --gpus all --ipc host -v "$PWD/outputs:/app/outputs" temporal-clue make smoke-gpu
FROM python:3.11 AS cpu
WORKDIR /app
COPY . .
RUN make install
CMD ["make"]

FROM cpu AS gpu
RUN make install-gpu FORCE=1
