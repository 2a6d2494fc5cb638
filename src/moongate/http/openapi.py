"""The OpenAPI document, made from the surfaces, the schema of the wire and the table of errors."""

from collections.abc import Iterable, Sequence

import msgspec

from moongate import __version__
from moongate.core.errors import Kind
from moongate.dialects.openai_chat import schema
from moongate.dialects.openai_chat.server import ERRORS

REF = "#/components/schemas/{name}"

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}

MODEL = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer", "description": "seconds since 1970, 0 where unknown"},
        "owned_by": {"type": "string"},
        "context_length": {"type": "integer", "description": "tokens"},
        "supports_reasoning": {"type": "boolean"},
        "supports_image_in": {"type": "boolean"},
        "supports_video_in": {"type": "boolean"},
    },
}

PARAMS_HEADER = {
    "name": "x-moongate-params",
    "in": "header",
    "schema": {"type": "string", "enum": ["adapt", "strict", "pass"], "default": "adapt"},
    "description": "What happens to parameters the upstream is known to refuse: made to fit and announced, refused by "
    "name, or sent as they came.",
}

BUFFERED_HEADER = {
    "name": "x-moongate-buffered",
    "in": "header",
    "schema": {"type": "string", "enum": ["true", "false"], "default": "false"},
    "description": "Hold the answer back until it is complete, so that even a late break is tried again elsewhere.",
}


def document(chat_paths: Iterable[str], twins: Iterable[str]) -> dict[str, object]:
    """OpenAPI 3.1. `chat_paths` speak OpenAI chat; under each of `twins` the list of models is served."""
    _, components = msgspec.json.schema_components([schema.Request], ref_template=REF)
    paths: dict[str, object] = {}
    for path in chat_paths:
        paths[path] = {"post": _chat()}
        paths[f"{path}/{{conversation_id}}"] = {"post": _turn()}
    for twin in twins:
        paths[f"{twin}/v1/conversations/{{conversation_id}}"] = {"get": _conversation(), "delete": _deletion()}
        paths[f"{twin}/v1/conversations/{{conversation_id}}/items"] = {"get": _items()}
        paths[f"{twin}/v1/models"] = {"get": _get("The models there are", _list_of_models(), keyed=True)}
        paths[f"{twin}/v1/models/{{id}}"] = {"get": _one_model()}
    paths["/"] = {"get": _get("That it runs", {"type": "object", "properties": {"status": {"const": "running"}}})}
    paths["/health"] = {"get": _get("That it is alive", {"type": "object"})}
    paths["/health/ready"] = {"get": _ready()}
    paths["/admin/accounts"] = {"get": _operators("How each account fares")}
    paths["/admin/accounts/{name}/reset"] = {"post": _reset()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Moongate",
            "version": __version__,
            "description": "A gateway to every kind of Kimi access. Every reply carries `x-request-id`; replies of a "
            "model also `x-moongate-route`, `x-moongate-attempts` and, where the request was changed to fit, "
            "`x-moongate-notes`. Errors name whose fault they were in `x-moongate-origin`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": ERROR, "Model": MODEL},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _chat() -> dict[str, object]:
    request = {"allOf": [{"$ref": REF.format(name="Request")}], "additionalProperties": True}
    return {
        "summary": "A chat completion, whole or streamed",
        "description": "OpenAI's chat completions. Fields not listed here reach the upstream as they came.",
        "security": [{}, {"bearer": []}, {"x-api-key": []}],
        "parameters": [PARAMS_HEADER, BUFFERED_HEADER],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": request,
                    "example": {"model": "kimi-k3", "messages": [{"role": "user", "content": "你好"}], "stream": False},
                }
            },
        },
        "responses": {
            "200": {
                "description": "The completion; with `stream: true` its chunks as server-sent events",
                "content": {
                    "application/json": {"schema": {"type": "object"}},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            },
            **_refusals(ERRORS),
        },
    }


def _turn() -> dict[str, object]:
    return {
        **_chat(),
        "summary": "The next turn of a conversation",
        "description": "As a chat completion; what was said before is added here, and what is sent is what is new. Who "
        "sends the history all the same doubles nothing.",
        "parameters": [CONVERSATION, PARAMS_HEADER, BUFFERED_HEADER],
    }


CONVERSATION = {
    "name": "conversation_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$"},
    "description": "The caller's own name for the conversation; it begins with its first turn.",
}


def _conversation() -> dict[str, object]:
    return _of_a_conversation("One conversation of the caller's own")


def _deletion() -> dict[str, object]:
    return _of_a_conversation("Delete a conversation")


def _items() -> dict[str, object]:
    queries: list[tuple[str, dict[str, object]]] = [
        ("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
        ("order", {"type": "string", "enum": ["asc", "desc"], "default": "desc"}),
        ("after", {"type": "string", "description": "the id of the item before the first one wanted"}),
    ]
    return _of_a_conversation(
        "What was said in it", [{"name": name, "in": "query", "schema": schema} for name, schema in queries]
    )


def _of_a_conversation(summary: str, queries: Sequence[dict[str, object]] = ()) -> dict[str, object]:
    operation = _get(summary, {"type": "object"}, keyed=True)
    responses = operation["responses"]
    kinds = (Kind.INVALID_REQUEST, Kind.UNAUTHENTICATED, Kind.UNKNOWN_CONVERSATION, Kind.HISTORY_AWAY)
    return {
        **operation,
        "parameters": [CONVERSATION, *queries],
        "responses": {**(responses if isinstance(responses, dict) else {}), **_refusals(kinds)},
    }


def _refusals(kinds: Iterable[Kind]) -> dict[str, object]:
    codes: dict[int, list[str]] = {}
    for kind in kinds:
        codes.setdefault(kind.status, []).append(f"{ERRORS[kind][1] or ERRORS[kind][0]} ({kind.origin})")
    return {
        str(status): {
            "description": ", ".join(sorted(set(meanings))),
            "content": {"application/json": {"schema": {"$ref": REF.format(name="Error")}}},
        }
        for status, meanings in sorted(codes.items())
    }


def _get(summary: str, answer: dict[str, object], *, keyed: bool = False) -> dict[str, object]:
    content = {"application/json": {"schema": answer}}
    security: dict[str, object] = {"security": [{}, {"bearer": []}, {"x-api-key": []}]} if keyed else {}
    return {"summary": summary, **security, "responses": {"200": {"description": summary, "content": content}}}


def _list_of_models() -> dict[str, object]:
    items = {"type": "array", "items": {"$ref": REF.format(name="Model")}}
    return {"type": "object", "properties": {"object": {"const": "list"}, "data": items}}


def _one_model() -> dict[str, object]:
    operation = _get("One model", {"$ref": REF.format(name="Model")}, keyed=True)
    responses = operation["responses"]
    return {
        **operation,
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {**(responses if isinstance(responses, dict) else {}), **_refusals([Kind.UNKNOWN_MODEL])},
    }


def _operators(summary: str) -> dict[str, object]:
    answer = {"type": "object", "properties": {"accounts": {"type": "array", "items": {"type": "object"}}}}
    content = {"application/json": {"schema": answer}}
    return {
        "summary": summary,
        "description": "For the operator: takes API_MASTER_KEY, or the word in `running.json` of MOONGATE_HOME.",
        "security": [{"bearer": []}, {"x-api-key": []}],
        "responses": {"200": {"description": summary, "content": content}, **_refusals([Kind.UNAUTHENTICATED])},
    }


def _reset() -> dict[str, object]:
    operation = _operators("Forget what is held against an account")
    responses = operation["responses"]
    return {
        **operation,
        "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {**(responses if isinstance(responses, dict) else {}), **_refusals([Kind.UNKNOWN_PATH])},
    }


def _ready() -> dict[str, object]:
    answer: dict[str, object] = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    operation = _get("Whether an account can serve", answer)
    content = {"application/json": {"schema": answer}}
    return {
        **operation,
        "responses": {
            "200": {"description": "An account can serve", "content": content},
            "503": {"description": "No account can serve", "content": content},
        },
    }
