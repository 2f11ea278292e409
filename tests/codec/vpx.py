"""The libvpx inside PyAV's wheel through ctypes: an encoder with every knob, a decoder that shows its references.

PyAV's own wrapper hides what these tests need: flags for single frames, maps of regions, other sizes in mid-stream,
and the three reference images behind a decoded frame. Nothing here is used by the project itself.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_Uint = ctypes.c_uint
_Int = ctypes.c_int

# vpx_encoder.h, vp8cx.h, vp8.h, vp8dx.h of libvpx 1.14 to 1.16.
_ENCODER_ABI, _DECODER_ABI = 39, 12
BEST, GOOD, REALTIME = 0, 1_000_000, 1
VBR, CBR, CQ, Q = range(4)
KEY = 1
NO_LAST, NO_GOLDEN, NO_ALTREF = 1 << 16, 1 << 17, 1 << 21
KEEP_LAST, KEEP_GOLDEN, KEEP_ALTREF = 1 << 18, 1 << 22, 1 << 23
FORCE_GOLDEN, FORCE_ALTREF, KEEP_ENTROPY = 1 << 19, 1 << 24, 1 << 20
CONTROLS = {
    "active_map": 9,
    "altref": 14,
    "arnr_frames": 21,
    "cq_level": 25,
    "noise": 15,
    "partitions": 18,
    "roi_map": 8,
    "scaling": 11,
    "screen": 31,
    "sharpness": 16,
    "speed": 13,
    "static_threshold": 17,
    "temporal_layer": 30,
}
_COPY_REFERENCE, _IS_CORRUPT = 2, 257
_IMAGE_I420 = 0x102


class Picture(NamedTuple):
    """A frame to encode: the three planes of I420 one after the other, without padding."""

    width: int
    height: int
    data: bytes


class Refused(Exception):
    """Libvpx said no."""


class _Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class _Config(ctypes.Structure):
    _fields_ = [
        *((name, _Uint) for name in ("usage", "threads", "profile", "width", "height", "depth", "input_depth")),
        *((name, _Int) for name in ("time_base_num", "time_base_den")),
        ("error_resilient", _Uint),
        ("passes", _Int),
        *((name, _Uint) for name in ("lag_in_frames", "drop_threshold", "resize_allowed", "scaled_width")),
        *((name, _Uint) for name in ("scaled_height", "resize_up", "resize_down")),
        ("end_usage", _Int),
        ("stats", _Buffer),
        ("macroblock_stats", _Buffer),
        *((name, _Uint) for name in ("bitrate", "min_quantizer", "max_quantizer", "undershoot", "overshoot")),
        *((name, _Uint) for name in ("buffer_size", "buffer_initial", "buffer_optimal", "bias", "min_section")),
        *((name, _Uint) for name in ("max_section", "corpus_complexity")),
        ("key_mode", _Int),
        *((name, _Uint) for name in ("key_min", "key_max", "spatial_layers")),
        ("spatial_altref", _Int * 5),
        ("spatial_bitrate", _Uint * 5),
        ("layers", _Uint),
        ("layer_bitrate", _Uint * 5),
        ("layer_decimator", _Uint * 5),
        ("layer_period", _Uint),
        ("layer_id", _Uint * 16),
        ("later", ctypes.c_uint8 * 4096),
    ]


class _Image(ctypes.Structure):
    _fields_ = [
        *((name, _Int) for name in ("format", "colour_space", "range")),
        *((name, _Uint) for name in ("width", "height", "depth", "shown_width", "shown_height")),
        *((name, _Uint) for name in ("render_width", "render_height", "x_shift", "y_shift")),
        ("planes", ctypes.c_void_p * 4),
        ("strides", _Int * 4),
        ("bits", _Int),
        ("user", ctypes.c_void_p),
        ("private", ctypes.c_uint8 * 64),
    ]


class _Packet(ctypes.Structure):
    _fields_ = [
        ("kind", _Int),
        ("buffer", _Buffer),
        ("pts", ctypes.c_int64),
        ("duration", ctypes.c_ulong),
        ("flags", ctypes.c_uint32),
    ]


class _Reference(ctypes.Structure):
    _fields_ = [("which", _Int), ("image", _Image)]


class _RoiMap(ctypes.Structure):
    _fields_ = [
        ("enabled", ctypes.c_uint8),
        ("map", ctypes.c_char_p),
        ("rows", _Uint),
        ("columns", _Uint),
        ("quantizers", _Int * 8),
        ("filters", _Int * 8),
        ("skip", _Int * 8),
        ("references", _Int * 8),
        ("static", _Uint * 4),
    ]


class _ActiveMap(ctypes.Structure):
    _fields_ = [("map", ctypes.c_char_p), ("rows", _Uint), ("columns", _Uint)]


class _Scaling(ctypes.Structure):
    _fields_ = [("horizontal", _Int), ("vertical", _Int)]


@functools.cache
def library() -> ctypes.CDLL:
    """The library that PyAV's wheel brings along."""
    spec = importlib.util.find_spec("av")
    assert spec is not None
    assert spec.origin is not None
    found = sorted((Path(spec.origin).parents[1] / "av.libs").glob("libvpx*"))
    assert found, "this PyAV has no libvpx beside it; install the wheel from PyPI"
    lib = ctypes.CDLL(str(found[0]))
    context, pointer, image = ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(_Image)
    for name, result, arguments in (
        ("vpx_codec_vp8_cx", pointer, []),
        ("vpx_codec_vp8_dx", pointer, []),
        ("vpx_codec_enc_config_default", _Int, [pointer, pointer, _Uint]),
        ("vpx_codec_enc_config_set", _Int, [context, pointer]),
        ("vpx_codec_enc_init_ver", _Int, [context, pointer, pointer, ctypes.c_long, _Int]),
        ("vpx_codec_dec_init_ver", _Int, [context, pointer, pointer, ctypes.c_long, _Int]),
        ("vpx_codec_encode", _Int, [context, pointer, ctypes.c_int64, ctypes.c_ulong, ctypes.c_long, ctypes.c_ulong]),
        ("vpx_codec_get_cx_data", ctypes.POINTER(_Packet), [context, pointer]),
        ("vpx_codec_decode", _Int, [context, ctypes.c_char_p, _Uint, pointer, ctypes.c_long]),
        ("vpx_codec_get_frame", image, [context, pointer]),
        ("vpx_codec_destroy", _Int, [context]),
        ("vpx_codec_error_detail", ctypes.c_char_p, [context]),
        ("vpx_codec_err_to_string", ctypes.c_char_p, [_Int]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class _Codec:
    """A libvpx context that is destroyed with its object."""

    def __init__(self) -> None:
        self.lib = library()
        self.context = ctypes.create_string_buffer(256)
        self.open = False

    def check(self, code: int, what: str) -> None:
        if code:
            detail = self.lib.vpx_codec_error_detail(self.context) or b""
            name = self.lib.vpx_codec_err_to_string(code)
            raise Refused(f"{what}: {name.decode()} {detail.decode()}")

    def control(self, number: int, value: object) -> None:
        self.check(self.lib.vpx_codec_control_(self.context, number, value), f"control {number}")

    def __del__(self) -> None:
        if self.open:
            self.lib.vpx_codec_destroy(self.context)


class Encoder(_Codec):
    """A VP8 encoder.

    ``config`` are fields of vpx_codec_enc_cfg by the names above, ``controls`` those of ``CONTROLS`` with an int,
    ``stats`` what a first pass (``passes`` 1) gave, for a second (``passes`` 2).
    """

    def __init__(
        self,
        width: int,
        height: int,
        config: Mapping[str, Any] | None = None,
        controls: Mapping[str, int] | None = None,
        deadline: int = GOOD,
        stats: bytes = b"",
    ) -> None:
        super().__init__()
        self.deadline = deadline
        self.pts = 0
        self.config = _Config()
        self.check(
            self.lib.vpx_codec_enc_config_default(self.lib.vpx_codec_vp8_cx(), ctypes.byref(self.config), 0),
            "default configuration",
        )
        assert (self.config.width, self.config.max_quantizer, self.config.key_max) == (320, 63, 128)
        settings = {"width": width, "height": height, "threads": 1, "lag_in_frames": 0, "key_max": 9999}
        for name, value in {**settings, **(config or {})}.items():
            self._set(name, value)
        self.stats = ctypes.create_string_buffer(stats, max(len(stats), 1))
        self.config.stats = _Buffer(ctypes.addressof(self.stats), len(stats))
        interface, pointer = self.lib.vpx_codec_vp8_cx(), ctypes.byref(self.config)
        self.check(
            self.lib.vpx_codec_enc_init_ver(self.context, interface, pointer, 0, _ENCODER_ABI), "start of the encoder"
        )
        self.open = True
        for name, value in {"speed": 4, **(controls or {})}.items():
            self.control(CONTROLS[name], _Int(value))

    def _set(self, name: str, value: Any) -> None:
        if isinstance(value, int):
            setattr(self.config, name, value)
        else:
            getattr(self.config, name)[: len(value)] = value

    def change(self, **config: Any) -> None:
        """Change the configuration in mid-stream."""
        for name, value in config.items():
            self._set(name, value)
        self.check(self.lib.vpx_codec_enc_config_set(self.context, ctypes.byref(self.config)), "change")

    def roi(self, segments: bytes, quantizers: Iterable[int], filters: Iterable[int]) -> None:
        """Give each macroblock a segment (a byte), and the segments their differences: this turns segmentation on."""
        columns, rows = (self.config.width + 15) // 16, (self.config.height + 15) // 16
        roi = _RoiMap(enabled=1, map=segments, rows=rows, columns=columns)
        roi.quantizers[:4], roi.filters[:4] = tuple(quantizers), tuple(filters)
        self.control(CONTROLS["roi_map"], ctypes.byref(roi))

    def active(self, macroblocks: bytes) -> None:
        """Code only the macroblocks whose byte is 1."""
        columns, rows = (self.config.width + 15) // 16, (self.config.height + 15) // 16
        self.control(CONTROLS["active_map"], ctypes.byref(_ActiveMap(macroblocks, rows, columns)))

    def scale(self, horizontal: int, vertical: int) -> None:
        """Code smaller frames from here on, by 1 4/5, 2 3/5 or 3 1/2: the next one is a key frame that says so."""
        self.control(CONTROLS["scaling"], ctypes.byref(_Scaling(horizontal, vertical)))

    def encode(self, picture: Picture | None, flags: int = 0) -> list[bytes]:
        """Encode one more frame (None: no more) and return what comes out: frames, or the first pass's statistics."""
        self.pts += 1
        image, keep = (None, None) if picture is None else _wrap(picture.width, picture.height, picture.data)
        pointer = None if image is None else ctypes.byref(image)
        code = self.lib.vpx_codec_encode(self.context, pointer, self.pts, 1, flags, self.deadline)
        self.check(code, "encode")
        del keep
        position = ctypes.c_void_p()
        packets = []
        while packet := self.lib.vpx_codec_get_cx_data(self.context, ctypes.byref(position)):
            if packet.contents.kind in (0, 1):
                buffer = packet.contents.buffer
                packets.append(ctypes.string_at(buffer.data, buffer.size))
        return packets

    def finish(self) -> Iterator[bytes]:
        """Yield what was held back."""
        while packets := self.encode(None):
            yield from packets


class Decoder(_Codec):
    """A VP8 decoder."""

    def __init__(self) -> None:
        super().__init__()
        code = self.lib.vpx_codec_dec_init_ver(self.context, self.lib.vpx_codec_vp8_dx(), None, 0, _DECODER_ABI)
        self.check(code, "start of the decoder")
        self.open = True

    def decode(self, data: bytes) -> Picture | None:
        """Decode a frame and return it unless it is not to be shown. Raises Refused."""
        self.check(self.lib.vpx_codec_decode(self.context, data, len(data), None, 0), "decode")
        position = ctypes.c_void_p()
        image = self.lib.vpx_codec_get_frame(self.context, ctypes.byref(position))
        return _unwrap(image.contents) if image else None

    def is_corrupt(self) -> bool:
        """Whether libvpx itself thinks that the last frame was damaged or stands on a damaged one."""
        corrupt = _Int()
        self.control(_IS_CORRUPT, ctypes.byref(corrupt))
        return bool(corrupt.value)

    def references(self, width: int, height: int) -> list[bytes]:
        """Return last, golden and altref as they are kept: planes rounded up to whole macroblocks."""
        size = (width + 15) & ~15, (height + 15) & ~15
        found = []
        for which in (1, 2, 4):
            image, pixels = _wrap(*size, bytes(size[0] * size[1] * 3 // 2))
            self.control(_COPY_REFERENCE, ctypes.byref(_Reference(which, image)))
            found.append(bytes(pixels))
        return found


def _wrap(width: int, height: int, data: bytes) -> tuple[_Image, Any]:
    """An image over a copy of the data, and that copy."""
    half_width, half_height = (width + 1) // 2, (height + 1) // 2
    luma, chroma = width * height, half_width * half_height
    assert len(data) == luma + 2 * chroma
    pixels = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
    start = ctypes.addressof(pixels)
    image = _Image(format=_IMAGE_I420, depth=8, x_shift=1, y_shift=1, bits=12)
    image.width = image.shown_width = image.render_width = width
    image.height = image.shown_height = image.render_height = height
    image.planes[:3] = start, start + luma, start + luma + chroma
    image.strides[:3] = width, half_width, half_width
    return image, pixels


def _unwrap(image: _Image) -> Picture:
    width, height = image.shown_width, image.shown_height
    rows = []
    for plane in range(3):
        half = int(plane > 0)
        start, stride = image.planes[plane], image.strides[plane]
        size = (width + half) >> half
        rows += [ctypes.string_at(start + y * stride, size) for y in range((height + half) >> half)]
    return Picture(width, height, b"".join(rows))
