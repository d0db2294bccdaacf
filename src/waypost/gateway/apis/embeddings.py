"""OpenAI's embeddings: texts as vectors, always of the model that is named, since no two models' vectors compare."""

from __future__ import annotations

from waypost.errors import BadRequest, ModelFailed, WaypostError
from waypost.gateway.apis.api import Json, Written
from waypost.gateway.wire import error_body, kind
from waypost.types import Answer, Native

_AUTO = "auto"


class Embeddings:
    """Nothing is chosen or translated here: the request goes to its model as it came, and so does the answer back."""

    name = "embeddings"
    path = "/v1/embeddings"

    def read(self, body: Json) -> tuple[Json, Native]:
        """The texts as a conversation, by which the request is measured, and the request as it came.

        Raises:
            BadRequest: the input is of another kind, or the choice of the model is left to the router.
        """
        model = body.get("model")
        if isinstance(model, str) and (model == _AUTO or model.startswith(f"{_AUTO}:")):
            problem = "must name one model for embeddings: vectors of different models cannot be compared, "
            raise BadRequest("model", f"{problem}so '{model}' would make an index of them useless")
        passed = {name: value for name, value in body.items() if name != "input"}
        came = {name: value for name, value in body.items() if name != "waypost"}
        messages = [{"role": "user", "content": text} for text in _texts(body)]
        return {**passed, "messages": messages}, Native(self.name, came, foreign=("input",))

    def whole(self, id: str, created: int, answer: Answer, asked: Json) -> bytes:
        """The model's bytes as they came."""
        if answer.raw is None:
            raise ModelFailed(f"{answer.model} gave no embeddings")
        return answer.raw

    def stream(self, id: str, created: int, asked: Json) -> Written:
        """There is no such thing: vectors come whole."""
        raise BadRequest("stream", "must be left out: embeddings come whole")

    def error(self, error: WaypostError) -> Json:
        """OpenAI's error object."""
        return error_body(error)


def _texts(body: Json) -> list[str]:
    """The texts of the input; where it is in tokens, nothing."""
    given = body.get("input")
    match given:
        case str() if given:
            return [given]
        case [str(), *_] if all(isinstance(text, str) for text in given):
            return list(given)
        case [int() | list(), *_]:
            return [""]
    got = f"got {kind(given)}" if "input" in body else "and is missing"
    raise BadRequest("input", f"must be a text, a list of texts, or tokens, and not be empty, {got}")
