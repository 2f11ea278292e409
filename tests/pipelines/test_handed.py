"""What one chunk hands to the next: the state, whatever the references do, and each picture of it as soon as can be."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import codec
from mu import Task
from pipelines.encode.handed import HandsOn, received
from pipelines.encode.plan import PICTURES, STATE, Chunk, Plan, Settings
from pipelines.encode.read import encoding
from pipelines.media.source import Colour, Source

SIZE = 32, 16
SOURCE = Source("in", *SIZE, (1, 1), (1, 25), (25, 1), True, 100, Colour())
REFRESH = st.builds(codec.Refresh, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2), st.integers(0, 2))


class Between:
    """The context of both: messages, and after how many frames each was sent."""

    def __init__(self, sender: Task, receiver: Task) -> None:
        self._sender, self._receiver = sender, receiver
        self.messages: dict[str, bytes] = {}
        self.after: dict[str, int] = {}
        self.made = 0

    def send(self, receiver: str, name: str, payload: bytes | memoryview) -> None:
        assert receiver == self._receiver.name
        assert name in [edge.name for edge in self._sender.sends]
        assert name not in self.messages
        self.messages[name], self.after[name] = bytes(payload), self.made

    def receive(self, sender: str, name: str) -> memoryview:
        assert sender == self._sender.name
        assert name in [edge.name for edge in self._receiver.receives]
        return memoryview(self.messages.pop(name))

    def fetch(self, name: str) -> memoryview:
        raise NotImplementedError

    def store(self, name: str, payload: bytes | memoryview) -> None:
        raise NotImplementedError

    def buffer(self, size: int) -> memoryview:
        raise NotImplementedError

    def add(self, tasks: Sequence[Task]) -> None:
        raise NotImplementedError

    def progress(self, stage: str, done: float = 1, total: float | None = None) -> None:
        raise NotImplementedError


def noise(seed: int) -> codec.Image:
    """Pictures of which no two become the same."""
    pixels = np.random.default_rng(seed).integers(0, 256, SIZE[0] * SIZE[1] * 3 // 2, np.uint8)
    return codec.Image.from_bytes(*SIZE, pixels.tobytes())


def chunks(frames: int, *, reencode: bool) -> tuple[Chunk, Chunk]:
    first_frame = "reencode" if reencode else "lead"
    _, one, other, *_ = Plan(SOURCE, Settings(frames, 16, first_frame=first_frame)).chunks(frames * 5)
    return one, other


@given(refreshes=st.lists(REFRESH, max_size=7), reencode=st.booleans(), seed=st.integers(0, 1 << 20))
def test_every_state_comes_whole_and_each_picture_as_soon_as_it_is_made(
    refreshes: list[codec.Refresh], reencode: bool, seed: int
) -> None:
    """Frames that refresh and copy references in any way, as decisions; then made anew on another state."""
    images = [noise(seed + number) for number in range(len(refreshes) + 3)]
    before = codec.encode_frame(None, images.pop(), q_index=40).state
    decisions, state = [], codec.encode_frame(None, images.pop(), q_index=20).state
    for number, image in enumerate(images):
        anew = reencode and number == 0
        refresh = codec.Refresh() if number == 0 else refreshes[number - 1]
        made = codec.encode_frame(state, image, q_index=30, key_frame=anew, refresh=refresh)
        decisions.append(codec.parse(state, made.data))
        state = made.state
    one, other = chunks(len(images), reencode=reencode)
    one = msgspec.structs.replace(one, frames=len(images))
    context = Between(encoding(one), encoding(other))
    hands_on = HandsOn(context, one, decisions)
    there: list[set[bytes]] = []
    state = before
    for number, (image, frame) in enumerate(zip(images, decisions, strict=True)):
        if frame.key_frame:
            everything = codec.Refresh(golden=True, altref=True)
            state = codec.encode_frame(state, image, q_index=10, refresh=everything).state
        else:
            state = codec.rebase_frame(state, image, frame, last=one.refreshes_all(number)).state
        there.append({state.last, state.golden, state.altref})
        context.made = number + 1
        hands_on.made(number, state)
    assert set(context.messages) == {*PICTURES, STATE}
    final = {"golden": state.golden, "altref": state.altref}
    first = {raster: number for number, rasters in reversed([*enumerate(there, 1)]) for raster in rasters}
    assert context.after[STATE] == len(images)
    for name in PICTURES:
        payload = context.messages[name]
        if payload:
            assert payload == final[name]
            assert context.after[name] == first[payload] < len(images)
        else:
            assert context.after[name] == 1
            assert first[final[name]] == len(images) or (name == "altref" and final["altref"] == final["golden"])
    late = {raster for raster in there[-1] if raster not in context.messages.values()}
    assert len(context.messages[STATE]) < 1500 + len(late) * len(state.last)
    assert received(context, other) == state
    assert not context.messages


def test_most_chunks_end_with_the_golden_picture_that_their_first_frame_made() -> None:
    one, other = chunks(4, reencode=True)
    images = [noise(seed) for seed in range(4)]
    context = Between(encoding(one), encoding(other))
    decisions, states = [], []
    state = None
    for image in images:
        made = codec.encode_frame(state, image, q_index=30)
        decisions.append(codec.parse(state, made.data))
        states.append(state := made.state)
    hands_on = HandsOn(context, one, decisions)
    hands_on.made(0, states[0])
    assert context.messages == {"golden": states[0].last, "altref": b""}
    for number in (1, 2):
        hands_on.made(number, states[number])
    assert STATE not in context.messages
    hands_on.made(3, states[3])
    assert len(context.messages[STATE]) < len(states[0].last) + 1500
    assert received(context, other) == states[3]


def test_a_chain_ends_without_a_word() -> None:
    one, _ = chunks(1, reencode=True)
    last = msgspec.structs.replace(one, next=None)
    made = codec.encode_frame(None, noise(1), q_index=30)
    context = Between(encoding(last), encoding(one))
    HandsOn(context, last, [codec.parse(None, made.data)]).made(0, made.state)
    assert not context.messages
    assert received(context, msgspec.structs.replace(one, previous=None)) is None
