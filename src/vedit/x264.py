"""What x264 is told everywhere, so that the same frames give the same bytes."""

from __future__ import annotations

_AVX_512F = 13  # OpenCV's number of the instruction set; its Python module has no name for it


def steady() -> dict[str, str]:
    """Options of libx264 without its AVX-512 code, on processors that have it.

    Its macroblock tree reads more than it should there: the same frames give other bytes from run to run. Every
    instruction set is meant to give the same bytes, so this one is left out.
    """
    import cv2

    return {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(_AVX_512F) else {}
