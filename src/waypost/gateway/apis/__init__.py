"""The APIs by which requests come, one file each; `APIS` is the only registry."""

from __future__ import annotations

from collections.abc import Mapping

from waypost.gateway.apis.api import Api as Api
from waypost.gateway.apis.api import Written as Written
from waypost.gateway.apis.chat import Chat
from waypost.gateway.apis.completions import Completions
from waypost.gateway.apis.embeddings import Embeddings
from waypost.gateway.apis.messages import Messages
from waypost.gateway.apis.responses import Responses

CHAT = Chat()
_ALL: tuple[Api, ...] = (CHAT, Responses(), Messages(), Completions(), Embeddings())
APIS: Mapping[str, Api] = {api.path: api for api in _ALL}
