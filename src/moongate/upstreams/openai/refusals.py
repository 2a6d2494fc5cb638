"""How servers refuse that speak OpenAI's chat interface, each in its own words.

Sources: OpenAI's guide to its error codes; those of DeepSeek and Together; Baidu's table for the second version of
Qianfan's interface, of 2026-03; and answers of these, of vLLM, Ollama and others as public bug reports quote them, 2024
to 2026-09. A server nobody has seen is judged by its status alone.
"""

from moongate.core.errors import Kind
from moongate.upstreams.refusals import CLIENT_ERRORS, Row, status

REFUSALS = (
    # OpenAI and vLLM, llama.cpp, Qianfan; Together tells it under 403.
    Row(
        Kind.CONTEXT_EXCEEDED,
        CLIENT_ERRORS,
        r"\bcontext (length|window|size)\b|^exceed_context_size|Prompt tokens too long|the max input characters is",
    ),
    # Qianfan tells it under 403, with a type of its own.
    Row(Kind.CONTENT_REFUSED, CLIENT_ERRORS, r"^unsafe_request\b"),
    # OpenAI names no money left and a spending limit reached in the type. The same words without it are Google's, who
    # says so of requests a minute.
    Row(
        Kind.BALANCE_EXHAUSTED,
        CLIENT_ERRORS,
        r"^insufficient_(user_)?quota\b|insufficient (account )?(balance|credits)|balance is insufficient"
        r"|余额不足|欠费",
    ),
    Row(Kind.BALANCE_EXHAUSTED, status(402)),
    # OpenAI under 403 for a project, Qianfan under 401.
    Row(Kind.MODEL_NOT_IN_PLAN, CLIENT_ERRORS, r"does not have access to model|no permission to use the model"),
    # 404 at most servers, 400 at DeepSeek, 422 at Scaleway.
    Row(Kind.MODEL_NOT_SERVED, CLIENT_ERRORS, r"\bmodel\b.{0,200}?\bnot (exist|found)\b"),
    Row(Kind.MODEL_NOT_SERVED, status(404), r"model"),
    Row(Kind.CREDENTIAL_REFUSED, status(401), hint="does the key belong to the server at base_url?"),
    Row(Kind.ACCOUNT_BARRED, status(403)),
    Row(Kind.MISDIRECTED, status(404), hint="is the base URL right?"),
    Row(Kind.MISDIRECTED, status(405), hint="is the base URL right?"),
)
