"""Asking for many pictures: side by side, again where that helps, and whatever the other side does."""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import certificate
from deploy.errors import ToolMissing
from pipelines.classify.answers import Answer, Label, Later, Model, Picture, Refused, Rejected, printable
from pipelines.classify.api import Api
from pipelines.classify.job import VAIN, classify
from pipelines.classify.retry import Retry
from pipelines.errors import SettingsError
from tests.pipelines.answering import MODEL, Call, Told, fine, problem, serving

QUICK = Retry(tries=8, first=0.002, longest=0.01, patience=5)
ANSWER = Answer((Label("cat", 1.0),), Model("m", "1"))


def some(count: int) -> Iterator[Picture]:
    for number in range(count):
        yield Picture(name=f"{number}.jpg", data=b"picture %d" % number)


def test_waits_grow_double_and_are_bounded() -> None:
    retry = Retry(tries=9, first=0.5, longest=10, patience=30)
    bounds = [retry.wait(tried, uniform=lambda _, high: high) for tried in range(1, 9)]
    assert bounds == [0.5, 1, 2, 4, 8, 10, 10, 10]
    assert retry.wait(9) < 0
    assert retry.wait(1, after=3, uniform=lambda low, _: low) == 3, "not before it was asked for"
    assert retry.wait(1, after=31) < 0, "nobody waits for so long"


@given(st.integers(1, 10_000), st.floats(0, 100), st.integers())
def test_a_wait_is_anything_up_to_its_bound(tried: int, after: float, seed: int) -> None:
    retry = Retry(tries=20_000)
    waited = retry.wait(tried, after, random.Random(seed).uniform)
    if after > retry.patience:
        assert waited < 0
    else:
        assert after <= waited <= after + min(retry.longest, retry.first * 2.0 ** min(tried - 1, 99))


def test_full_jitter_spreads_over_all_of_the_wait() -> None:
    uniform = random.Random(1).uniform
    waits = sorted(Retry().wait(3, uniform=uniform) for _ in range(1000))
    assert waits[0] < 0.01
    assert 0.45 < waits[500] < 0.55
    assert waits[-1] > 0.99


def test_pictures_are_asked_for_side_by_side_over_connections_that_stay() -> None:
    meet = threading.Barrier(4)

    def tell(_: Call, number: int) -> Told:
        if number < 4:
            meet.wait(30)  # the first four are there at once, or this fails
        return fine()

    with serving(tell) as server:
        api = Api(server.url, key="secret", top=2, model="made-up@1", parallel=4)
        outcomes = list(classify(some(40), api, parallel=4))
        api.close()
    assert server.most_at_once == 4
    assert server.connections == 4
    assert sorted(outcome.index for outcome in outcomes) == list(range(40))
    for outcome in outcomes:
        assert outcome.name == f"{outcome.index}.jpg"
        assert outcome.labels == (Label("cat", 0.9), Label("dog", 0.1))
        assert outcome.model == Model(**MODEL)
        assert (outcome.problem, outcome.tries) == ("", 1)
    assert sorted(call.body for call in server.calls) == sorted(picture.data for picture in some(40))
    assert {call.path for call in server.calls} == {"/v1/frames?top=2&model=made-up%401"}
    assert {call.headers["x-api-key"] for call in server.calls} == {"secret"}
    assert {call.headers["Content-Type"] for call in server.calls} == {"image/jpeg"}


def test_what_is_throttled_or_fails_is_tried_again() -> None:
    seen: dict[bytes, int] = {}
    troubles = [
        problem(429, "refused"),
        problem(503, "no_model", Retry_After="0"),
        Told(0),  # the connection breaks
        problem(500, "failed"),
        Told(502, body=b"<html>bad gateway</html>"),
    ]
    lock = threading.Lock()

    def tell(call: Call, _: int) -> Told:
        with lock:
            before = seen[call.body] = seen.get(call.body, -1) + 1
        return troubles[before] if before < len(troubles) else fine()

    with serving(tell) as server:
        outcomes = list(classify(some(12), Api(server.url, parallel=3), parallel=3, retry=QUICK))
    assert len(outcomes) == 12
    assert all(outcome.labels and outcome.tries == 6 for outcome in outcomes)


def test_a_server_that_takes_few_at_once_serves_many_in_the_end() -> None:
    room = threading.Semaphore(2)

    def tell(_: Call, __: int) -> Told:
        if not room.acquire(blocking=False):
            return problem(429, "refused", "Too Many Requests")
        try:
            threading.Event().wait(0.002)
            return fine()
        finally:
            room.release()

    retry = Retry(tries=1000, first=0.002, longest=0.05)
    with serving(tell) as server:
        outcomes = list(classify(some(60), Api(server.url, parallel=8), parallel=8, retry=retry))
    assert [outcome.problem for outcome in outcomes] == [""] * 60


def test_what_stays_bad_is_listed_and_the_rest_is_kept() -> None:
    def tell(call: Call, _: int) -> Told:
        if call.body == b"picture 3":
            return problem(422, "damaged_image", "the picture \x1b[31mends early")
        if call.body == b"picture 5":
            return problem(503, "no_model", "the model cannot be had")
        return fine()

    with serving(tell) as server:
        outcomes = list(classify(some(8), Api(server.url), retry=QUICK))
    assert [outcome.index for outcome in outcomes if outcome.labels] == [0, 1, 2, 4, 6, 7]
    assert outcomes[3].problem == "422 damaged_image: the picture \ufffd[31mends early"
    assert outcomes[3].tries == 1
    assert outcomes[5].problem == "503 no_model: the model cannot be had (tried 8 times)"
    assert len(server.calls) == 7 + 8


def test_a_wrong_key_ends_it_at_once() -> None:
    with serving(lambda *_: problem(403, "refused", "Forbidden")) as server:
        with pytest.raises(Refused, match=r"403 refused: Forbidden.*check the key"):
            list(classify(some(100), Api(server.url, key="wrong"), retry=QUICK))
        assert len(server.calls) < 5


def test_an_address_that_is_cut_short_is_told() -> None:
    with (
        serving(lambda *_: problem(403, "refused", "Missing Authentication Token")) as server,
        pytest.raises(Refused, match="which ends in /frames"),
    ):
        Api(server.url.removesuffix("/frames"))(Picture(name="a", data=b"a"))


def test_only_a_certificate_that_is_trusted_will_do(tmp_path: Path) -> None:
    try:
        files = certificate.made(tmp_path)
    except ToolMissing as error:
        pytest.skip(str(error))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with serving(lambda *_: fine(), context) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert Api(server.url, key="k", trusted=str(files.certificate))(Picture(name="a", data=b"a")).labels
        with pytest.raises(Refused, match="its certificate is not trusted"):
            list(classify(some(3), Api(server.url, key="k"), retry=QUICK))
    assert len(server.calls) == 1, "nobody else heard the key"


def test_nobody_there_ends_it_before_every_picture_was_tried() -> None:
    with serving(lambda *_: fine()) as server:
        url = server.url
    with pytest.raises(Refused, match=r"given up after 8 tries: .*does not answer"):
        list(classify(some(100), Api(url), retry=QUICK))


def test_who_no_longer_answers_is_not_asked_for_all_the_rest() -> None:
    with serving(lambda _, number: fine() if number < 5 else problem(429, "refused", "Limit Exceeded")) as server:
        outcomes = classify(some(1000), Api(server.url, parallel=2), parallel=2, retry=QUICK)
        with pytest.raises(Refused, match="given up after 8 tries: 429 refused: Limit Exceeded"):
            list(outcomes)
        assert len(server.calls) < 5 + 8 * (VAIN + 4)


@pytest.mark.parametrize(
    ("told", "match"),
    [
        (Told(body=b"<html>hello</html>"), "not as a classifier"),
        (Told(body=b'{"labels": [{"label": "cat", "score": 7}], "model": {"name": "m", "version": "1"}}'), "<= 1"),
        (Told(body=b"[" * 2_000_000), "not as a classifier"),
        (Told(302, {"Location": "http://127.0.0.1:1/"}), "not where frames are posted"),
        (problem(404, "refused"), "not where frames are posted"),
    ],
)
def test_what_is_no_classifier_is_told_apart(told: Told, match: str) -> None:
    with serving(lambda *_: told) as server, pytest.raises(Refused, match=match):
        list(classify(some(3), Api(server.url, key="k"), retry=QUICK))


def test_another_model_is_refused_picture_by_picture() -> None:
    with serving(lambda *_: problem(404, "unknown_model", "m@2 does")) as server, pytest.raises(Rejected):
        Api(server.url)(Picture(name="a", data=b"a"))


@pytest.mark.parametrize(
    ("after", "low", "high"),
    [("7", 7, 7), ("", 0, 0), ("soon", 0, 0), ("-3", 0, 0), ("99999999999999999999", 9e8, 1e9), ("date", 50, 70)],
)
def test_retry_after_is_a_number_or_a_date(after: str, low: float, high: float) -> None:
    if after == "date":
        after = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    with (
        serving(lambda *_: problem(503, "no_model", Retry_After=after)) as server,
        pytest.raises(Later) as error,
    ):
        Api(server.url)(Picture(name="a", data=b"a"))
    assert low <= error.value.after <= high


@pytest.mark.parametrize("url", ["ftp://x/", "https://", "nonsense", "http://example.com/v1/frames", "http://h:x/", ""])
def test_an_address_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        Api(url, key="secret")


def test_a_picture_that_cannot_be_sent_keeps_its_place() -> None:
    pictures = [*some(2), Picture(name="x", problem="no JPEG"), *some(1)]
    outcomes = sorted(classify(pictures, lambda _: ANSWER, parallel=2), key=lambda outcome: outcome.index)
    assert [outcome.problem for outcome in outcomes] == ["", "", "no JPEG", ""]


def test_pictures_are_taken_as_they_are_needed() -> None:
    taken = 0

    def many() -> Iterator[Picture]:
        nonlocal taken
        for picture in some(1_000_000):
            taken += 1
            yield picture

    outcomes = classify(many(), lambda _: ANSWER, parallel=2)
    for _ in range(10):
        next(outcomes)
    assert taken < 30
    outcomes.close()
    assert taken < 30


def test_leaving_early_does_not_wait_for_what_never_answers() -> None:
    before = set(threading.enumerate())

    def ask(picture: Picture) -> Answer:
        if picture.name != "0.jpg":
            raise Later("not now", 40)
        return ANSWER

    outcomes = classify(some(10), ask, parallel=3)
    assert next(outcomes).index == 0
    outcomes.close()
    assert set(threading.enumerate()) <= before, "none waits out its 40 s"


def test_an_error_of_ours_is_not_hidden() -> None:
    def ask(_: Picture) -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(classify(some(3), ask))


def test_texts_from_outside_are_shown_harmlessly() -> None:
    assert printable("a\x1b]0;b\x07\n c\u202e") == "a\ufffd]0;b\ufffd c\ufffd"
    assert len(printable("x" * 10_000)) == 300
