"""Decoding and parsing: from the bytes of a frame to an image, a new state, or a ``Frame`` (RFC 6386 §9 to §18)."""

from __future__ import annotations

import cython

from codec.boolcoder import BoolReader
from codec.check import check_state
from codec.errors import CorruptStream
from codec.frame import Frame
from codec.header import KEY_TAG_SIZE, TAG_SIZE, Context, Header, read_header
from codec.image import Image, macroblocks
from codec.modes import read_modes
from codec.quantization import factors
from codec.state import State
from codec.symbols import B_PRED, SPLITMV  # inlined

if cython.compiled:
    from cython.cimports.codec.canvas import Canvas
    from cython.cimports.codec.decisions import Decisions
    from cython.cimports.codec.tokens import TokenPartitions, read_tokens, skip_tokens
    from cython.cimports.codec.transform import add_residue, add_residue_chroma, idct_add
else:
    from codec.canvas import Canvas
    from codec.decisions import Decisions
    from codec.tokens import TokenPartitions, read_tokens, skip_tokens
    from codec.transform import add_residue, add_residue_chroma, idct_add

__all__ = ["advance", "context_of", "decode", "next_state", "parse", "segment_factors"]


def decode(state: State | None, data: bytes | bytearray | memoryview) -> tuple[State, Image | None]:
    """Decode a frame: return the state after it and its image; the old state stays what it is.

    ``state`` is None before the first frame, which must be a key frame. The image is None when the frame is not
    to be shown; without any data it is the last one again. Raises CorruptStream, and Mismatch for a state that is
    none.
    """
    if state is not None:
        check_state(state)
    if not data:
        return _before(state), _before(state).image
    if type(data) is not bytes:
        data = bytes(data)
    header, reader, end = read_header(data, context_of(state))
    d, width, height = _read_decisions(state, data, header, reader, end)
    partitions = TokenPartitions(data, end, header.log2_partitions)
    references = None
    if not header.key_frame:
        before = _before(state)
        references = (before.last, before.golden, before.altref)
    canvas = Canvas(d.columns, d.rows, header, references)
    _reconstruct(canvas, d, partitions, header)
    _check_tokens(partitions)
    after = next_state(state, header, width, height, bytes(d.segments), canvas.finished())
    # A frame need not become the last reference to be seen.
    return after, Image(width, height, canvas.finished()) if header.show else None


def parse(state: State | None, data: bytes | bytearray | memoryview, *, coefficients: bool = True) -> Frame:
    """Return what a frame says: its header, the decisions for each macroblock and the coefficients.

    ``state`` is the one to decode it on, None before the first frame. Raises CorruptStream, also for a frame
    without data, which says nothing. Without ``coefficients`` those are left unread, as ``rebase`` needs none; what
    is wrong with them is not noticed then.
    """
    if state is not None:
        check_state(state, references=False)
    if type(data) is not bytes:
        data = bytes(data)
    header, reader, end = read_header(data, context_of(state))
    d, width, height = _read_decisions(state, data, header, reader, end)
    partitions = TokenPartitions(data, end, header.log2_partitions)
    eobs, levels = b"", b""
    if coefficients:
        eobs, levels = _read_coefficients(d, partitions, header)
        _check_tokens(partitions)
    ends = partitions.ends()
    tokens_start = end + 3 * (len(ends) - 1)
    start = KEY_TAG_SIZE if header.key_frame else TAG_SIZE
    sizes = (start, tokens_start - start, *(b - a for a, b in zip([tokens_start, *ends], ends, strict=False)))
    return Frame(width, height, header, d.frozen(), eobs, levels, sizes)


def advance(state: State | None, frame: Frame) -> State:
    """Return what parsing needs of the state after a frame that was parsed on ``state``: its images are empty.

    So a whole stream is parsed without decoding it. To decode or rebase on such a state raises Mismatch.
    """
    return next_state(state, frame.header, frame.width, frame.height, frame.decisions.segments, b"")


def context_of(state: State | None) -> Context:
    """Return what a state gives a frame header to start from."""
    if state is None:
        return Context()
    return Context(state.probabilities, state.segmentation, state.filter_deltas)


def segment_factors(header: Header) -> list[int]:
    """Return the dequantisation factors of the four segments, six each (§9.3, §9.6)."""
    flat: list[int] = []
    for segment in range(4):
        index = header.quantizer_index
        if header.segmentation_enabled:
            own = header.segmentation.quantizers[segment]
            index = own if header.segmentation.absolute else index + own
        flat.extend(factors(index, header.quantizer_deltas))
    return flat


def next_state(
    before: State | None, header: Header, width: int, height: int, segment_map: bytes, raster: bytes
) -> State:
    """Return the state after a frame that reconstructs to ``raster`` (§9.7, §9.11)."""
    scaling, references = header.scaling, None
    if not header.key_frame:
        before = _before(before)
        scaling, references = before.scaling, (before.last, before.golden, before.altref)
    last, golden, altref = header.references(references, raster)
    probabilities = header.probabilities
    if not header.refresh_entropy:
        probabilities = Context().probabilities if header.key_frame else _before(before).probabilities
    return State(
        width,
        height,
        scaling,
        last,
        golden,
        altref,
        probabilities,
        header.segmentation,
        segment_map,
        header.filter_deltas,
    )


def _before(state: State | None) -> State:
    if state is None:
        raise CorruptStream("the first frame of a stream must be a key frame (§9.1)", 0)
    return state


def _read_decisions(
    state: State | None, data: bytes, header: Header, reader: BoolReader, end: int
) -> tuple[Decisions, int, int]:
    """Read the first partition to its end; return it with the frame's size."""
    if header.key_frame:
        width, height = header.width, header.height
        columns, rows = macroblocks(width, height)
        # Every macroblock of a key frame costs more than a bit (§11.2), so a size that is far too large for the
        # data is found out before any memory is taken for it.
        if columns * rows > 8 * len(data):
            rule = f"{len(data)} bytes cannot hold a key frame of {width} x {height} pixels (§11.2)"
            raise CorruptStream(rule, 6)
        d = Decisions(columns, rows)
    else:
        before = _before(state)
        width, height = before.width, before.height
        d = Decisions(*macroblocks(width, height))
        if not header.update_segment_map:
            d.segments[:] = before.segment_map
    read_modes(reader, header, d)
    if reader.ended_early():
        raise CorruptStream("the first partition ends before its last macroblock (§19.3)", end)
    return d, width, height


def _check_tokens(partitions: TokenPartitions) -> None:
    which = partitions.overrun()
    if which:
        rule = f"token partition {which - 1} ends before its last macroblock (§13)"
        raise CorruptStream(rule, partitions.ends()[which - 1])


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _clear(levels: cython.p_short) -> cython.void:
    """Set the levels of a macroblock to zero: all of them, for to look for those that are not takes longer."""
    k: cython.int
    for k in range(400):
        levels[k] = 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_macroblock(
    canvas: Canvas,
    d: Decisions,
    column: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
    coded: cython.int,
    levels: cython.p_short,
    eobs: cython.p_uchar,
    quant: cython.p_int,
) -> cython.void:
    """Predict a macroblock and add its residue (§14.5): ``levels`` [25][16], ``eobs`` [25], factors a segment."""
    at: cython.Py_ssize_t = row * canvas.columns + column
    mode: cython.int = d.y_mode[at]
    y: cython.Py_ssize_t = 16 * (row * canvas.y_stride + column)
    uv: cython.Py_ssize_t = 8 * (row * canvas.uv_stride + column)
    f: cython.Py_ssize_t = 6 * d.segment[at]
    block: cython.int
    canvas.predict(d, column, row)
    if mode == B_PRED:
        for block in range(16):
            canvas.predict_b(d.b_mode[16 * at + block], block, column, row)
            if coded and eobs[block]:
                idct_add(
                    levels,
                    16 * block,
                    eobs[block] == 1,
                    quant[f],
                    quant[f + 1],
                    canvas.frame,
                    y + 4 * ((block >> 2) * canvas.y_stride + (block & 3)),
                    canvas.y_stride,
                )
        if coded:
            add_residue_chroma(
                levels, 0, eobs, 0, quant, f, canvas.frame, canvas.u + uv, canvas.v + uv, canvas.uv_stride
            )
    elif coded:
        add_residue(
            levels,
            0,
            eobs,
            0,
            mode != SPLITMV,
            quant,
            f,
            canvas.frame,
            y,
            canvas.y_stride,
            canvas.u + uv,
            canvas.v + uv,
            canvas.uv_stride,
        )


@cython.cfunc
def _reconstruct(canvas: Canvas, d: Decisions, partitions: TokenPartitions, header: Header) -> object:
    """Read the tokens and reconstruct the whole frame into ``canvas``, a row of macroblocks at a time."""
    probabilities: bytes = header.probabilities.coefficients
    probs: cython.p_uchar = probabilities
    flags: bytearray = bytearray(9 * d.columns)
    above: cython.p_uchar = flags
    levels = cython.declare(cython.short[400])
    eobs = cython.declare(cython.uchar[25])
    left = cython.declare(cython.uchar[9])
    quant = cython.declare(cython.int[24])
    i: cython.int
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    coded: cython.int
    has_y2: cython.int
    flat: list = segment_factors(header)
    for i in range(24):
        quant[i] = flat[i]
    with cython.nogil:
        _clear(levels)
        for row in range(d.rows):
            for i in range(9):
                left[i] = 0
            for column in range(d.columns):
                has_y2 = d.y_mode[at] != B_PRED and d.y_mode[at] != SPLITMV
                coded = 0
                if d.skip[at]:
                    skip_tokens(above, 9 * column, left, has_y2)
                else:
                    coded = read_tokens(
                        partitions,
                        row & partitions.mask,
                        probs,
                        above,
                        9 * column,
                        left,
                        has_y2,
                        levels,
                        0,
                        eobs,
                        0,
                    )
                add_macroblock(canvas, d, column, row, coded, levels, eobs, quant)
                canvas.settle(d, column, row, coded)
                if coded:
                    _clear(levels)
                at += 1
            canvas.finish_row(row)
            if partitions.overrun():
                break
    return None


def _read_coefficients(d: Decisions, partitions: TokenPartitions, header: Header) -> tuple[bytes, bytes]:
    """Read the tokens of the whole frame; return what ``Frame`` keeps of them, ``eobs`` and ``levels``."""
    probabilities: bytes = header.probabilities.coefficients
    probs: cython.p_uchar = probabilities
    flags: bytearray = bytearray(9 * d.columns)
    above: cython.p_uchar = flags
    eob_buffer: bytearray = bytearray(25 * d.columns * d.rows)
    eobs: cython.p_uchar = eob_buffer
    level_buffer: bytearray = bytearray(800 * d.columns * d.rows)
    left = cython.declare(cython.uchar[9])
    levels = cython.declare(cython.short[400])
    packed: cython.p_short
    used: cython.Py_ssize_t = 0
    i: cython.int
    block: cython.int
    row: cython.Py_ssize_t
    column: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    has_y2: cython.int
    if cython.compiled:
        packed = cython.cast(cython.p_short, cython.cast(cython.p_uchar, level_buffer))
    else:
        packed = memoryview(level_buffer).cast("h")
    with cython.nogil:
        _clear(levels)
        for row in range(d.rows):
            for i in range(9):
                left[i] = 0
            for column in range(d.columns):
                has_y2 = d.y_mode[at] != B_PRED and d.y_mode[at] != SPLITMV
                if d.skip[at]:
                    skip_tokens(above, 9 * column, left, has_y2)
                elif read_tokens(
                    partitions,
                    row & partitions.mask,
                    probs,
                    above,
                    9 * column,
                    left,
                    has_y2,
                    levels,
                    0,
                    eobs,
                    25 * at,
                ):
                    for block in range(25):
                        if eobs[25 * at + block]:
                            for i in range(16):
                                packed[used + i] = levels[16 * block + i]
                            used += 16
                    _clear(levels)
                at += 1
            if partitions.overrun():
                break
    return bytes(eob_buffer), bytes(memoryview(level_buffer)[: 2 * used])
