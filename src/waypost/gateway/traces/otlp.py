"""Spans in the words of OpenTelemetry's protocol."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as proto

from waypost import __version__
from waypost.gateway.traces.span import Attributes, Span, Value

# The conventions by which the spans are written.
_SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
_SAMPLED = 0x001
_REMOTE = 0x100 | 0x200  # that it is known whether the parent is somewhere else, and that it is
_LOCAL = 0x100
_TOO_LARGE = 1 << 63


def encoded(spans: Sequence[Span], service: str) -> bytes:
    """The message that delivers spans of a service."""
    resource = Resource(
        attributes=_pairs(
            {
                "service.name": service,
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "waypost",
                "telemetry.sdk.version": __version__,
            }
        )
    )
    scope = InstrumentationScope(name="waypost.gateway", version=__version__)
    scoped = proto.ScopeSpans(scope=scope, spans=[_span(span) for span in spans], schema_url=_SCHEMA)
    whole = proto.ResourceSpans(resource=resource, scope_spans=[scoped], schema_url=_SCHEMA)
    message: bytes = ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString()
    return message


def _span(span: Span) -> proto.Span:
    return proto.Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        trace_state=span.state,
        flags=_SAMPLED | (_REMOTE if span.remote else _LOCAL),
        name=span.name,
        kind=proto.Span.SPAN_KIND_SERVER if span.serves else proto.Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=span.start,
        end_time_unix_nano=max(span.start, span.end),
        attributes=_pairs(span.attributes),
        events=[
            proto.Span.Event(name=e.name, time_unix_nano=e.at, attributes=_pairs(e.attributes)) for e in span.events
        ],
        status=proto.Status(code=proto.Status.STATUS_CODE_ERROR) if span.failed else None,
    )


def _pairs(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and abs(value) < _TOO_LARGE:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, tuple):
        return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))
    # What came from elsewhere may be half a character, or a number that no integer there can hold.
    return AnyValue(string_value=str(value).encode(errors="replace").decode())
