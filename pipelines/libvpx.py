"""Two-pass VP8 encoding by the libvpx that PyAV brings along, called through ctypes.

Why not PyAV's own encoder: two passes need the statistics of the first handed to the second, and FFmpeg takes them in
a field of its codec context (`stats_in`) that PyAV does not reach and no option sets. The shared library itself is in
PyAV's wheel and its C interface (vpx/vpx_encoder.h) is stable, so this file calls that. Neither PyAV nor numpy is
imported for it.

The interface has no layout query, so nothing is believed unseen: libvpx's default configuration must show its
well-known values at the offsets that are used here, and the interface version is one that libvpx itself accepts. Fields
behind the ones declared are left alone.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

from pipelines.errors import EncoderError

_Uint = ctypes.c_uint
_Int = ctypes.c_int

# vpx_encoder.h, vp8cx.h
_ONE_PASS, _FIRST_PASS, _LAST_PASS = 0, 1, 2
_VARIABLE_BITRATE, _CONSTRAINED_QUALITY = 0, 2
_KEY_FRAMES_DISABLED, _KEY_FRAMES_AUTO = 0, 1
_DEADLINES = {"good": 1_000_000, "realtime": 1}
_PACKET_FRAME, _PACKET_STATS = 0, 1
_FRAME_IS_KEY, _FRAME_IS_INVISIBLE = 1, 4
_SET_CPU_USED, _SET_AUTO_ALT_REF, _SET_CQ_LEVEL = 13, 14, 25
_SET_ARNR_FRAMES, _SET_ARNR_STRENGTH = 21, 22
_ABI_MISMATCH = 3
_IMAGE_I420 = 0x102

# One frame's statistics: its number, two errors, and 15 numbers more (all doubles).
_STATISTICS = struct.Struct("=18d")

# The indices that libvpx's 64 levels stand for: steps of 1 at first, of 3 at the end.
_STEPS = ((1, 5), (2, 1), (1, 3), (2, 1), (1, 1), (2, 2), (1, 4), (2, 1), (1, 8), (2, 15), (3, 22))
_INDICES = tuple(itertools.accumulate((step for step, times in _STEPS for _ in range(times)), initial=0))

# libvpx lets a frame take up to four times its share and counts those bits in 32: a larger share could overflow.
_BITS_PER_FRAME = 5_000_000
_MAX_KILOBITS = 1_000_000


class _Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class _Config(ctypes.Structure):
    """The head of vpx_codec_enc_cfg, and room for what later versions add behind it."""

    _fields_ = [
        ("usage", _Uint),
        ("threads", _Uint),
        ("profile", _Uint),
        ("width", _Uint),
        ("height", _Uint),
        ("bit_depth", _Int),
        ("input_bit_depth", _Uint),
        ("time_base_num", _Int),
        ("time_base_den", _Int),
        ("error_resilient", _Uint),
        ("passes", _Int),
        ("lag_in_frames", _Uint),
        ("drop_frame_threshold", _Uint),
        ("resize_allowed", _Uint),
        ("scaled_width", _Uint),
        ("scaled_height", _Uint),
        ("resize_up_threshold", _Uint),
        ("resize_down_threshold", _Uint),
        ("end_usage", _Int),
        ("stats", _Buffer),
        ("macroblock_stats", _Buffer),
        ("target_kilobits", _Uint),
        ("min_quantizer", _Uint),
        ("max_quantizer", _Uint),
        ("undershoot_percent", _Uint),
        ("overshoot_percent", _Uint),
        ("buffer_size", _Uint),
        ("buffer_initial", _Uint),
        ("buffer_optimal", _Uint),
        ("bias_percent", _Uint),
        ("min_section_percent", _Uint),
        ("max_section_percent", _Uint),
        ("corpus_complexity", _Uint),
        ("key_frame_mode", _Int),
        ("key_frame_min_distance", _Uint),
        ("key_frame_max_distance", _Uint),
        ("later", ctypes.c_uint8 * 4096),
    ]


class _FramePacket(ctypes.Structure):
    _fields_ = [("buffer", _Buffer), ("pts", ctypes.c_int64), ("duration", ctypes.c_ulong), ("flags", ctypes.c_uint32)]


class _Packet(ctypes.Structure):
    """vpx_codec_cx_pkt: the buffer of a statistics packet lies where that of a frame packet lies."""

    _fields_ = [("kind", _Int), ("frame", _FramePacket)]


class _Image(ctypes.Structure):
    _fields_ = [
        ("format", _Int),
        ("colour_space", _Int),
        ("range", _Int),
        ("width", _Uint),
        ("height", _Uint),
        ("bit_depth", _Uint),
        ("display_width", _Uint),
        ("display_height", _Uint),
        ("render_width", _Uint),
        ("render_height", _Uint),
        ("x_chroma_shift", _Uint),
        ("y_chroma_shift", _Uint),
        ("planes", ctypes.c_void_p * 4),
        ("strides", _Int * 4),
        ("bits_per_sample", _Int),
        ("user", ctypes.c_void_p),
        ("private", ctypes.c_uint8 * 64),
    ]


# What libvpx's default VP8 configuration has held since 1.7; another layout would not show these at these places.
_DEFAULTS = {
    "width": 320,
    "height": 240,
    "bit_depth": 8,
    "time_base_num": 1,
    "time_base_den": 30,
    "target_kilobits": 256,
    "min_quantizer": 4,
    "max_quantizer": 63,
    "max_section_percent": 400,
    "key_frame_mode": _KEY_FRAMES_AUTO,
    "key_frame_max_distance": 128,
}


@dataclass(frozen=True, slots=True)
class Altref:
    """How libvpx makes hidden frames from frames to come: from how many of them, filtered how strongly."""

    lag: int = 25
    """How many frames libvpx looks ahead."""
    frames: int = 0
    """From how many frames noise is averaged away, 0 to 15."""
    strength: int = 3
    """How much frames may differ and still be averaged, 0 to 6."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How libvpx shall encode: one thread; if nothing else is said, constant quality, deadline good, two passes."""

    width: int
    height: int
    rate: Fraction
    """Frames a second; only libvpx's rate control looks at it."""
    cq: int
    """Quality, 0 (best) to 63: libvpx's cq-level."""
    speed: int
    """libvpx's cpu-used, 0 (slow) to 16."""
    key_frames: bool = False
    """Whether libvpx may place key frames after the first frame (at scene cuts)."""
    altref: Altref | None = None
    """Hidden frames, or none: then libvpx makes one packet of every frame."""
    quantizer: int | None = None
    """One quantizer for every frame, 0 to 63, in a single pass; `cq` counts for nothing then."""
    deadline: Literal["good", "realtime"] = "good"
    """For realtime, a negative `speed` means just that speed; a positive one is a bound on how libvpx adapts it."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One compressed frame."""

    data: bytes
    key_frame: bool


class Film(Protocol):
    """Raw frames that can be gone through more than once: a list, or what reads them again for each pass."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes | memoryview]: ...


Progress = Callable[[int], object]
"""Called after every frame of a pass with the number of the pass, 1 or 2."""


def encode(
    frames: Film,
    settings: Settings,
    progress: Progress | None = None,
    *,
    padded: bool = False,
    stats: bytes | None = None,
) -> list[Packet]:
    """Encode raw frames; returns a packet a frame, in order, and between them hidden frames if any.

    A frame is its planes Y, U and V one after the other: tightly packed (I420), or `padded` to whole macroblocks as in
    the codec's rasters. `stats` is what `first_pass` returned for the same frames.
    Raises EncoderError when libvpx refuses.
    """
    grid = 16 if padded else 1
    if stats is None:
        stats = first_pass(frames, settings, progress, padded=padded) if settings.quantizer is None else b""
    packets: list[Packet] = []
    for packet in _run(frames, settings, grid, stats, functools.partial(progress, 2) if progress else None):
        if packet.kind == _PACKET_FRAME:
            data = ctypes.string_at(packet.frame.buffer.data, packet.frame.buffer.size)
            packets.append(Packet(data, bool(packet.frame.flags & _FRAME_IS_KEY)))
    shown = sum(packet.data[0] >> 4 & 1 for packet in packets if packet.data)
    if shown != len(frames):
        raise EncoderError(f"libvpx made {shown} frames of {len(frames)}; this build of libvpx cannot be used")
    return packets


def first_pass(frames: Film, settings: Settings, progress: Progress | None = None, *, padded: bool = False) -> bytes:
    """What the first of two passes finds out (see `Statistics`), whatever quality is asked for."""
    stats = bytearray()
    grid = 16 if padded else 1
    for packet in _run(frames, settings, grid, b"", functools.partial(progress, 1) if progress else None):
        if packet.kind == _PACKET_STATS:
            stats += ctypes.string_at(packet.frame.buffer.data, packet.frame.buffer.size)
    return bytes(stats)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the first pass tells of a frame, as far as it is used here; squared errors a macroblock."""

    intra_error: float
    """Of a prediction from the frame itself."""
    coded_error: float
    """Of the better of that and one from the frame before."""


def statistics(stats: bytes) -> list[Statistics]:
    """The statistics of each frame. Raises EncoderError when they are not those of libvpx's VP8."""
    if len(stats) % _STATISTICS.size:
        raise EncoderError(f"libvpx {version()} keeps its statistics otherwise; install av 18")
    rows = list(_STATISTICS.iter_unpack(stats))[:-1]  # the last is the sum of all
    return [Statistics(row[1], row[2]) for row in rows]


def quantizer_index(level: int) -> int:
    """The quantizer index of the bitstream, 0 to 127, that libvpx means by 0 to 63."""
    return _INDICES[level]


def version() -> str:
    """libvpx's own name for its version, such as "v1.16.0"."""
    return str(_library().vpx_codec_version_str().decode())


def _run(
    frames: Film,
    settings: Settings,
    grid: int,
    stats: bytes,
    progress: Callable[[], object] | None,
) -> Iterator[_Packet]:
    """One pass; a packet is good until the next is asked for."""
    library = _library()
    encoder = ctypes.create_string_buffer(256)  # vpx_codec_ctx is 56 bytes
    config, keep = _configure(settings, stats)
    started = library.vpx_codec_enc_init_ver(encoder, _interface(), ctypes.byref(config), 0, _abi_version())
    _check(library, encoder, started, "start")
    try:
        controls = {_SET_CPU_USED: settings.speed, _SET_AUTO_ALT_REF: 0, _SET_CQ_LEVEL: settings.cq}
        if hidden := settings.altref:
            controls[_SET_AUTO_ALT_REF] = 1
            controls |= {_SET_ARNR_FRAMES: hidden.frames, _SET_ARNR_STRENGTH: hidden.strength}
        for control, value in controls.items():
            _check(library, encoder, library.vpx_codec_control_(encoder, control, _Int(value)), "take a setting")
        deadline = _DEADLINES[settings.deadline]
        image, pixels = _image(settings.width, settings.height, grid)
        for index, frame in enumerate(frames):
            pixels[:] = frame
            encoded = library.vpx_codec_encode(encoder, ctypes.byref(image), index, 1, 0, deadline)
            _check(library, encoder, encoded, "encode")
            yield from _packets(library, encoder)
            if progress:
                progress()
        while True:
            finished = library.vpx_codec_encode(encoder, None, len(frames), 1, 0, deadline)
            _check(library, encoder, finished, "finish")
            last = list(_packets(library, encoder))
            yield from last
            if not last:
                break
    finally:
        library.vpx_codec_destroy(encoder)
        del keep


def _packets(library: ctypes.CDLL, encoder: ctypes.Array[ctypes.c_char]) -> Iterator[_Packet]:
    position = ctypes.c_void_p()
    while packet := library.vpx_codec_get_cx_data(encoder, ctypes.byref(position)):
        yield packet.contents


def _configure(settings: Settings, stats: bytes) -> tuple[_Config, object]:
    """The configuration, and what must stay alive as long as it."""
    config = _default_config(_library())
    config.threads = 1
    config.width, config.height = settings.width, settings.height
    rate = settings.rate.limit_denominator(1_000_000)
    config.time_base_num, config.time_base_den = rate.denominator, rate.numerator
    config.end_usage = _CONSTRAINED_QUALITY
    config.target_kilobits = max(1, min(_MAX_KILOBITS, int(_BITS_PER_FRAME * rate) // 1000))
    config.min_quantizer, config.max_quantizer = 0, 63
    config.key_frame_mode = _KEY_FRAMES_AUTO if settings.key_frames else _KEY_FRAMES_DISABLED
    config.key_frame_min_distance, config.key_frame_max_distance = 0, 9999
    config.lag_in_frames = settings.altref.lag if settings.altref else 0
    config.passes = _LAST_PASS if stats else _FIRST_PASS
    if settings.quantizer is not None:
        config.passes, config.end_usage = _ONE_PASS, _VARIABLE_BITRATE
        config.min_quantizer = config.max_quantizer = settings.quantizer
    kept = ctypes.create_string_buffer(stats, len(stats)) if stats else None
    if kept is not None:
        config.stats = _Buffer(ctypes.addressof(kept), len(stats))
    return config, kept


def _image(width: int, height: int, grid: int) -> tuple[_Image, memoryview]:
    """An image over memory of its own, and that memory: planes whose sides are rounded up to `grid` pixels of luma."""
    stored, rows = -(-width // grid) * grid, -(-height // grid) * grid
    chroma = (stored + 1) // 2
    luma_size, chroma_size = stored * rows, chroma * ((rows + 1) // 2)
    pixels = (ctypes.c_uint8 * (luma_size + 2 * chroma_size))()
    start = ctypes.addressof(pixels)
    image = _Image(format=_IMAGE_I420, bit_depth=8, x_chroma_shift=1, y_chroma_shift=1, bits_per_sample=12)
    image.width = image.display_width = image.render_width = width
    image.height = image.display_height = image.render_height = height
    image.planes[:3] = start, start + luma_size, start + luma_size + chroma_size
    image.strides[:3] = stored, chroma, chroma
    return image, memoryview(pixels).cast("B")  # the view keeps the memory alive


def _check(library: ctypes.CDLL, encoder: ctypes.Array[ctypes.c_char], code: int, what: str) -> None:
    if code:
        name = library.vpx_codec_err_to_string(code).decode()
        detail = library.vpx_codec_error_detail(encoder)
        raise EncoderError(f"libvpx could not {what}: {name}" + (f" ({detail.decode()})" if detail else ""))


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_find_library()))
    context, pointer = ctypes.c_char_p, ctypes.c_void_p
    prototypes: dict[str, tuple[object, list[object]]] = {
        "vpx_codec_version_str": (ctypes.c_char_p, []),
        "vpx_codec_vp8_cx": (pointer, []),
        "vpx_codec_enc_config_default": (_Int, [pointer, pointer, _Uint]),
        "vpx_codec_enc_init_ver": (_Int, [context, pointer, pointer, ctypes.c_long, _Int]),
        "vpx_codec_encode": (_Int, [context, pointer, ctypes.c_int64, ctypes.c_ulong, ctypes.c_long, ctypes.c_ulong]),
        "vpx_codec_get_cx_data": (ctypes.POINTER(_Packet), [context, pointer]),
        "vpx_codec_destroy": (_Int, [context]),
        "vpx_codec_err_to_string": (ctypes.c_char_p, [_Int]),
        "vpx_codec_error_detail": (ctypes.c_char_p, [context]),
    }
    for name, (result, arguments) in prototypes.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    # The one variadic call: its third argument is passed as the C int that it is, so it has no fixed types.
    library.vpx_codec_control_.restype = _Int
    config = _default_config(library)
    if wrong := [name for name, value in _DEFAULTS.items() if getattr(config, name) != value]:
        name = library.vpx_codec_version_str().decode()
        raise EncoderError(f"libvpx {name} keeps its settings elsewhere ({', '.join(wrong)}); install av 18")
    return library


def _default_config(library: ctypes.CDLL) -> _Config:
    config = _Config()
    if library.vpx_codec_enc_config_default(library.vpx_codec_vp8_cx(), ctypes.byref(config), 0):
        raise EncoderError("this libvpx was built without its VP8 encoder; install the av wheel from PyPI")
    return config


@functools.cache
def _abi_version() -> int:
    """The interface version that this libvpx answers to; any other is refused before anything is done."""
    library = _library()
    config = _default_config(library)
    for candidate in range(20, 80):
        encoder = ctypes.create_string_buffer(256)
        if library.vpx_codec_enc_init_ver(encoder, _interface(), ctypes.byref(config), 0, candidate) != _ABI_MISMATCH:
            library.vpx_codec_destroy(encoder)
            return candidate
    raise EncoderError(f"libvpx {version()} has an unknown interface version; install av 18")


def _interface() -> int:
    return int(_library().vpx_codec_vp8_cx())


def _find_library() -> Path:
    """libvpx beside PyAV (a wheel carries it), or else the one that PyAV has loaded (a build from source)."""
    spec = importlib.util.find_spec("av")
    if spec is None or spec.origin is None:
        raise EncoderError("PyAV is not installed; run: pip install av")
    package = Path(spec.origin).parent
    for folder in (package.parent / "av.libs", package / ".dylibs"):
        if found := sorted(folder.glob("libvpx*")):
            return found[0]
    import av  # noqa: F401  (loads its libraries, so that the system's libvpx shows in the list below)

    for line in Path("/proc/self/maps").read_text().splitlines():
        name = line.rpartition(" ")[2]
        if Path(name).name.startswith("libvpx"):
            return Path(name)
    raise EncoderError("PyAV was built without libvpx; install the av wheel from PyPI")
