"""A local OpenAI-compatible server that answers as a test tells it to, over real HTTP."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, "prompt_tokens_details": {"cached_tokens": 400}}


def reply(text: str, finish: str = "stop", usage: dict | None = USAGE) -> tuple[int, dict]:
    """An answer as a chat completion; `finish` is "stop", "length" or "content_filter"."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return 200, {"id": "x", "object": "chat.completion", "created": 1, "model": "tester", "choices": [choice], "usage": usage}


def refusal(status: int, message: str, code: str | None = None) -> tuple[int, dict]:
    return status, {"error": {"message": message, "type": "error", "code": code}}


class Server:
    """What was asked, and how to answer it.

    Attributes:
        answer: gives the status and the body for a prompt and the number of the request.
        seconds: how long each answer takes.
        prompts, statuses: one for each request, in order.
    """

    def __init__(self, answer: Callable[[str, int], tuple[int, dict]], seconds: float):
        self.answer, self.seconds = answer, seconds
        self.prompts: list[str] = []
        self.statuses: list[int] = []
        self.lock = threading.Lock()


@contextmanager
def openai_server(answer: Callable[[str, int], tuple[int, dict]], seconds: float = 0.0):
    """Gives the server and the address of a model called "tester" with a context of 20,000 tokens."""
    server = Server(answer, seconds)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def send(self, status: int, body: dict) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.send(200, {"object": "list", "data": [{"id": "tester", "object": "model", "max_model_len": 20_000}]})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = request["messages"][-1]["content"]
            with server.lock:
                server.prompts.append(prompt)
                number = len(server.prompts)
            time.sleep(server.seconds)
            status, body = server.answer(prompt, number)
            server.statuses.append(status)
            try:
                self.send(status, body)
            except (BrokenPipeError, ConnectionResetError):  # the client was killed
                self.close_connection = True

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server, f"http://127.0.0.1:{http.server_port}/v1"
    finally:
        http.shutdown()
        http.server_close()
