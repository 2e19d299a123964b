"""What a request is refused with: a status, a code for programs and words for people."""

from typing import Any

from starlette.responses import JSONResponse


class Refusal(Exception):  # noqa: N818 - an answer, not an error of the program
    """A request that is not taken. Its words hold nothing of what was sent but keys that look like keys."""

    def __init__(
        self,
        status: int,
        code: str,
        words: str,
        *,
        field: str | None = None,
        item: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(words)
        self.status = status
        self.code = code
        self.words = words
        self.field = field
        self.item = item
        self.headers = headers

    def response(self) -> JSONResponse:
        """Make the answer: error, message, and field and item (from 0) where it is about one."""
        content: dict[str, Any] = {"error": self.code, "message": self.words}
        if self.field is not None:
            content["field"] = self.field
        if self.item is not None:
            content["item"] = self.item
        return JSONResponse(content, self.status, self.headers)
