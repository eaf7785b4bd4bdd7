"""A local HTTP server that speaks OpenAI's and Anthropic's protocols and gives the answers that a test chooses."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, "prompt_tokens_details": {"cached_tokens": 400}}


def reply(text: str | None, finish: str = "stop", usage: dict | None = USAGE, **fields) -> tuple[int, dict]:
    """An answer as a chat completion; `finish` is "stop", "length" or "content_filter"; `fields`: more of the message."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **fields}}
    return 200, {"id": "x", "object": "chat.completion", "created": 1, "model": "tester", "choices": [choice], "usage": usage}


def streamed(body: dict) -> str:
    """A chat completion as the stream of events that a request with `stream: true` gets."""
    (choice,), about = body["choices"], {"id": body["id"], "created": 1, "model": "tester", "object": "chat.completion.chunk"}
    deltas = [({**choice["message"]}, None), ({}, choice["finish_reason"])]
    chunks = [about | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    chunks.append(about | {"choices": [], "usage": body["usage"]})
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def refusal(status: int, message: str, code: str | None = None) -> tuple[int, dict]:
    return status, {"error": {"message": message, "type": "error", "code": code}}


def claude(thinking: str, text: str, usage: dict) -> tuple[int, str]:
    """An answer of Anthropic's API, as a stream of events."""
    start = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": usage}
    events: list[dict] = [{"type": "message_start", "message": {**start, "stop_reason": None, "stop_sequence": None}}]
    blocks = (("thinking", thinking, {"signature": ""}), ("text", text, {}))
    for i, (kind, content, more) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": i, "content_block": {"type": kind, kind: "", **more}})
        events.append({"type": "content_block_delta", "index": i, "delta": {"type": f"{kind}_delta", kind: content}})
        events.append({"type": "content_block_stop", "index": i})
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage})
    events.append({"type": "message_stop"})
    return 200, "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


class Server:
    """What was requested, and how to answer it.

    Attributes:
        answer: (prompt, number of the request) → status and body.
        seconds: how long each answer takes.
        template: what its chat template puts before the model's answer, by the value of `enable_thinking`; None: the server is
            not vLLM.
        requests, prompts, statuses: one for each request, in order.
    """

    def __init__(self, answer: Callable[[str, int], tuple[int, dict | str]], seconds: float, template: dict | None):
        self.answer, self.seconds, self.template = answer, seconds, template
        self.requests: list[dict] = []
        self.prompts: list[str] = []
        self.statuses: list[int] = []
        self.lock = threading.Lock()


@contextmanager
def openai_server(
    answer: Callable[[str, int], tuple[int, dict | str]],
    seconds: float = 0.0,
    template: dict[bool, str] | None = None,
    path: str = "/v1",
):
    """Yields the server, with a model called "tester" and a context of 20,000 tokens, and its address, which ends in `path`."""
    server = Server(answer, seconds, template)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def send(self, status: int, body: dict | str) -> None:
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            if self.path != f"{path}/models":
                return self.send(404, "<html>")
            model = {"id": "tester", "object": "model", "max_model_len": 20_000}
            self.send(200, {"object": "list", "data": [model | ({"owned_by": "vllm"} if server.template else {})]})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/count_tokens"):  # Inspect asks how long the thinking was
                return self.send(200, {"input_tokens": 10})
            if server.template and self.path == "/tokenize":  # a token for each character
                thinking = (request.get("chat_template_kwargs") or {}).get("enable_thinking", True)
                return self.send(200, {"tokens": [*map(ord, f"Who?\n{server.template[thinking]}")]})
            if server.template and self.path == "/detokenize":
                return self.send(200, {"prompt": "".join(map(chr, request["tokens"]))})
            prompt = request["messages"][-1]["content"]
            prompt = prompt if isinstance(prompt, str) else prompt[-1]["text"]
            with server.lock:
                server.requests.append(request)
                server.prompts.append(prompt)
                number = len(server.prompts)
            time.sleep(server.seconds)
            status, body = server.answer(prompt, number)
            if request.get("stream") and "choices" in body:
                body = streamed(body)
            server.statuses.append(status)
            try:
                self.send(status, body)
            except (BrokenPipeError, ConnectionResetError):  # the client was killed
                self.close_connection = True

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server, f"http://127.0.0.1:{http.server_port}{path}"
    finally:
        http.shutdown()
        http.server_close()
