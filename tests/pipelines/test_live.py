"""The page that follows an encoding."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from pipelines.encode.aim import Aim
from pipelines.encode.job import encode_file
from pipelines.encode.live import Live
from pipelines.encode.plan import Settings
from tests.pipelines import clips


def test_every_reading_of_a_film_has_a_page(tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mp4")
    with Live() as live:
        encode_file(
            str(clip), str(tmp_path / "out.webm"), Settings(6, 3), workers=2, follow=live.begin, aim=Aim("psnr", 35.0)
        )
        page = urllib.request.urlopen(live.address, timeout=10).read().decode()
        names = [line.split('"')[0] for line in page.split('href="/jobs/')[1:]]
        assert len(names) >= 2
        for name in names:
            facts = json.load(urllib.request.urlopen(f"{live.address}jobs/{name}/facts?from=0", timeout=10))
            assert facts["over"]
            assert {"assign", "over", "span"} <= {fact[0] for fact in facts["facts"]}
