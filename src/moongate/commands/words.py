"""The words of the tables, in English and in Chinese."""

from collections.abc import Mapping

from msgspec import Struct

from moongate.core.errors import Kind
from moongate.pool.report import State


class Words(Struct, frozen=True, kw_only=True):
    """Headings, then the parts of sentences; those with braces are filled in with `format`."""

    account: str
    state: str
    left: str
    requests: str
    result: str
    models: str
    took: str
    well: str
    until: str
    unchanged: str
    balance: str
    now: str
    served: str
    failed: str
    clock: str
    more: str
    seconds: str
    waits: Mapping[str, str]
    states: Mapping[State, str]
    kinds: Mapping[str, str]


ENGLISH = Words(
    account="Account",
    state="State",
    left="Plan used, balance",
    requests="Requests",
    result="Result",
    models="Models",
    took="Took",
    well="all is well",
    until="until {}",
    unchanged="until something changes",
    balance="balance {}",
    now="now {}",
    served="served {}",
    failed="failed {}",
    clock="clock {}",
    more="and {} more",
    seconds="{:.1f} s",
    waits={"s": "in {} s", "min": "in {} min", "h": "in {} h", "d": "in {} days"},
    states={"ready": "ready", "busy": "busy", "resting": "resting", "trial": "on trial", "out": "out"},
    kinds={
        Kind.RATE_LIMITED.code: "too many requests",
        Kind.OVERLOADED.code: "overloaded",
        Kind.QUOTA_EXHAUSTED.code: "quota used up",
        Kind.BALANCE_EXHAUSTED.code: "no money left",
        Kind.CREDENTIAL_REFUSED.code: "key refused",
        Kind.LOGIN_EXPIRED.code: "login expired",
        Kind.ACCOUNT_BARRED.code: "barred by the vendor",
        Kind.MISDIRECTED.code: "wrong base URL",
        Kind.MODEL_NOT_IN_PLAN.code: "not in the plan",
        Kind.UNREACHABLE.code: "cannot be reached",
        Kind.TIMED_OUT.code: "answers too late",
        Kind.FAILED.code: "fails",
        Kind.CHALLENGED.code: "takes us for a bot",
        Kind.PROTOCOL.code: "answers what nobody understands",
        Kind.TRUNCATED.code: "breaks off its replies",
    },
)

CHINESE = Words(
    account="账号",
    state="状态",
    left="套餐用量、余额",
    requests="请求",
    result="结果",
    models="模型",
    took="用时",
    well="一切正常",
    until="至 {}",
    unchanged="直到情况有变",
    balance="余额 {}",
    now="当前 {}",
    served="完成 {}",
    failed="失败 {}",
    clock="时钟 {}",
    more="另有 {} 个",
    seconds="{:.1f} 秒",
    waits={"s": "{} 秒后", "min": "{} 分钟后", "h": "{} 小时后", "d": "{} 天后"},
    states={"ready": "可用", "busy": "已满", "resting": "休息", "trial": "待试", "out": "停用"},
    kinds={
        Kind.RATE_LIMITED.code: "请求过多",
        Kind.OVERLOADED.code: "上游过载",
        Kind.QUOTA_EXHAUSTED.code: "额度用尽",
        Kind.BALANCE_EXHAUSTED.code: "余额不足",
        Kind.CREDENTIAL_REFUSED.code: "密钥被拒",
        Kind.LOGIN_EXPIRED.code: "登录过期",
        Kind.ACCOUNT_BARRED.code: "账号被限制",
        Kind.MISDIRECTED.code: "地址有误",
        Kind.MODEL_NOT_IN_PLAN.code: "套餐不含此模型",
        Kind.UNREACHABLE.code: "无法连接",
        Kind.TIMED_OUT.code: "超时",
        Kind.FAILED.code: "上游出错",
        Kind.CHALLENGED.code: "被当成机器人",
        Kind.PROTOCOL.code: "答复无法理解",
        Kind.TRUNCATED.code: "答复中断",
    },
)


def words(environ: Mapping[str, str]) -> Words:
    """Those of the locale, of which the first that is set counts."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((value for name in names if (value := environ.get(name))), "")
    return CHINESE if locale.lower().startswith("zh") else ENGLISH
