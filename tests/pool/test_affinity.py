"""Which requests belong together, and where a session is kept."""

from moongate.pool.affinity import HOMES, SESSION_HEADERS, STRANGER, Affinity, Session, session

ASKED = (b"system", b"hello")
WENT_ON = (*ASKED, b"hi there", b"and now?")


def _said(*turns: bytes, caller: str = "key-1") -> Session:
    return session(caller, "", {}, lambda: turns)


def test_a_conversation_that_goes_on_is_known_by_what_was_said() -> None:
    affinity = Affinity()
    affinity.keep(_said(*ASKED), (), "a", moved=True)
    assert affinity.homes(_said(*WENT_ON)) == ("a",)


def test_the_same_first_question_twice_is_two_conversations() -> None:
    affinity = Affinity()
    affinity.keep(_said(*ASKED), (), "a", moved=True)
    assert affinity.homes(_said(*ASKED)) == ()


def test_another_caller_with_the_same_words_is_another_conversation() -> None:
    affinity = Affinity()
    affinity.keep(_said(*ASKED), (), "a", moved=True)
    assert affinity.homes(_said(*WENT_ON, caller="key-2")) == ()


def test_a_changed_history_is_another_conversation() -> None:
    affinity = Affinity()
    affinity.keep(_said(*ASKED), (), "a", moved=True)
    assert affinity.homes(_said(b"system", b"hello!", b"hi there", b"and now?")) == ()


def test_messages_cut_at_other_places_are_another_conversation() -> None:
    affinity = Affinity()
    affinity.keep(_said(b"ab", b"c"), (), "a", moved=True)
    assert affinity.homes(_said(b"a", b"bc", b"d")) == ()


def test_the_callers_own_key_comes_before_headers_and_both_before_the_words() -> None:
    headers = {"x-session-id": "h"}
    by_key = session("c", "k", headers, lambda: ASKED)
    by_header = session("c", "", headers, lambda: ASKED)
    assert by_key == session("c", "k", {}, lambda: WENT_ON)
    assert by_header == session("c", "", headers, lambda: WENT_ON)
    assert len({by_key, by_header, session("c", "", {}, lambda: ASKED)}) == 3


def test_each_header_that_agents_send_names_a_session() -> None:
    named = {session("c", "", {name: "one"}, lambda: ASKED) for name in SESSION_HEADERS}
    assert named == {session("c", "one", {}, lambda: ())}


def test_a_request_without_messages_belongs_to_nothing() -> None:
    assert _said() == STRANGER


def test_a_session_that_spilled_over_returns_to_its_home() -> None:
    affinity, kin = Affinity(), session("c", "k", {}, lambda: ())
    affinity.keep(kin, (), "home", moved=True)
    affinity.keep(kin, affinity.homes(kin), "other", moved=False)
    assert affinity.homes(kin) == ("home", "other")


def test_a_session_whose_home_rests_moves() -> None:
    affinity, kin = Affinity(), session("c", "k", {}, lambda: ())
    affinity.keep(kin, (), "home", moved=True)
    affinity.keep(kin, affinity.homes(kin), "other", moved=True)
    assert affinity.homes(kin) == ("other", "home")


def test_only_so_many_homes_are_kept() -> None:
    affinity, kin = Affinity(), session("c", "k", {}, lambda: ())
    for name in "abcdefgh":
        affinity.keep(kin, affinity.homes(kin), name, moved=False)
    assert affinity.homes(kin)[0] == "a"
    assert len(affinity.homes(kin)) == HOMES
